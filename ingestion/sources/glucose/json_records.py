"""Records of a JSON document: a list, a list under one name, lines of objects, or a single object.

The document is split before it is decoded, so that one broken record costs only itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ingestion.reasons import Reason
from ingestion.sources.glucose.records import Refused

#: Names under which services wrap their lists: Nightscout's v3 ``result``; ``data`` of exports.
_WRAPPERS: Final = ("result", "data", "entries", "treatments", "records")
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RECORD: Final = msgspec.json.Decoder(dict[str, Any])
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Found = tuple[int, dict[str, Any]] | Refused


def records(content: bytes) -> Iterator[Found]:
    """Each record with its number from 1, or why it is none."""
    text = content.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        return
    if text[:1] == b"[":
        yield from _of_list(text)
        return
    try:
        members = _MEMBERS.decode(text)
    except _UNDECODABLE:
        yield from _of_lines(text)
        return
    for name in _WRAPPERS:
        if bytes(members.get(name, b"")).lstrip()[:1] == b"[":
            yield from _of_list(bytes(members[name]))
            return
    yield from _decoded([text])


def _of_list(text: bytes) -> Iterator[Found]:
    try:
        parts = _LIST.decode(text)
    except _UNDECODABLE:
        yield from _until_damage(text)
        return
    yield from _decoded([bytes(part) for part in parts])


def _until_damage(text: bytes) -> Iterator[Found]:
    """The whole objects before the place where a list is damaged or cut off."""
    number = 0
    for start, end in _objects(text):
        number += 1
        yield from _decoded([text[start:end]], number)
    yield Refused(
        f"record {number + 1}", Reason.TRUNCATED, "The list is damaged or ends in the middle here."
    )


def _objects(text: bytes) -> Iterator[tuple[int, int]]:
    """Where the objects of the outermost list begin and end, by brackets outside strings alone."""
    depth, start, in_string, position = 0, 0, False, 1
    while position < len(text):
        byte = text[position]
        if in_string:
            if byte == 0x5C:  # a backslash: what it escapes is no end
                position += 1
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"{[":
            if depth == 0:
                start = position
            depth += 1
        elif byte in b"}]":
            depth -= 1
            if depth < 0:
                return
            if depth == 0:
                yield start, position + 1
        position += 1


def _of_lines(text: bytes) -> Iterator[Found]:
    lines = [line for line in text.splitlines() if line.strip()]
    yield from _decoded(lines)


def _decoded(parts: list[bytes], first: int = 1) -> Iterator[Found]:
    for number, part in enumerate(parts, start=first):
        try:
            yield number, _RECORD.decode(part)
        except _UNDECODABLE:
            yield Refused(
                f"record {number}", Reason.MALFORMED_JSON, "The record is no JSON object."
            )
