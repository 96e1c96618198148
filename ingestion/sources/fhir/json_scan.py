"""Finding the entries of a FHIR bundle by its brackets alone, without decoding it.

For bundles that cannot be decoded whole: truncated, broken inside one entry, or too large to hold.
Each entry found is decoded by itself, so that what is broken costs only its own entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ingestion.reasons import Reason
from ingestion.sources.streams import MAX_RECORD_BYTES
from lakehouse.errors import InputRejected

#: A string (possibly without its end, at the end of what is there) or a bracket. Possessive
#: quantifiers: nothing is tried twice, so the scan is linear.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+|[{}\[\]]', re.DOTALL)
_ENTRY_KEY: Final = b'"entry"'
_TYPE_KEY: Final = b'"resourceType"'
_BUNDLE_TYPE_KEY: Final = b'"type"'
_BUNDLE_TYPE: Final = re.compile(rb'\s*:\s*("[a-z-]*")')
_BUNDLE: Final = re.compile(rb'\s*:\s*"Bundle"')
_VALUE_START: Final = re.compile(rb"\s*:\s*\[")
_GAP_STRIP: Final = b" \t\r\n"
_MEMBER_END: Final = re.compile(rb'\s*:\s*(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|null)\s*,?', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the list ``Bundle.entry``: its bytes, and where they start in the file.

    ``complete`` is false for the last one of a file that ends inside it.
    """

    index: int
    start: int
    data: bytes
    complete: bool


@dataclass(slots=True)
class Scan:
    """What a scan found besides the elements; filled while :func:`elements` is consumed."""

    is_bundle: bool = False
    bundle_type: bytes = b""  # as written, with its quotes
    found_entries: bool = False
    closed: bool = False
    cut_entry: bool = False  # the last element is not complete
    reason: str | None = None  # why the input ended early, where it did


def elements(source: Iterator[bytes], scan: Scan) -> Iterator[Element]:
    """Elements of the top-level list ``entry`` in a streamed JSON document.

    Memory holds one element and one block. Raises :class:`InputRejected` (``too_large``) for an
    element above the limit, because the rest can then not be found.
    """
    text = bytearray()
    base = 0  # position in the file of text[0]
    position = 0  # where in text to go on
    depth = 0
    in_entries = False
    start: int | None = None  # of the element being read
    gap = 0  # end of the previous element
    index = 0
    ended = False
    while True:
        for token in _TOKEN.finditer(text, position):
            kind = text[token.start()]
            if kind == 0x22:  # a string
                if token.end() == len(text) and not ended and _is_open(token.group()):
                    break  # it goes on in the next block
                if depth == 1 and not in_entries:
                    word = token.group()
                    is_key = word in (_ENTRY_KEY, _TYPE_KEY, _BUNDLE_TYPE_KEY)
                    if is_key and token.end() + 64 > len(text) and not ended:
                        break  # what follows the key is not there yet
                    if word == _TYPE_KEY and _BUNDLE.match(text, token.end()):
                        scan.is_bundle = True
                    elif word == _BUNDLE_TYPE_KEY:
                        named = _BUNDLE_TYPE.match(text, token.end())
                        scan.bundle_type = named[1] if named else scan.bundle_type
                    elif word == _ENTRY_KEY and _VALUE_START.match(text, token.end()):
                        in_entries = scan.found_entries = True
                        gap = -1
                position = token.end()
                continue
            position = token.end()
            if kind in b"{[":
                depth += 1
                if in_entries and depth == 2:
                    gap = position
                elif in_entries and depth == 3:
                    for scalar in _scalars(text, gap, token.start(), base):
                        yield Element(index, *scalar)
                        index += 1
                    start = token.start()
                continue
            depth -= 1
            if not in_entries:
                scan.closed = depth <= 0
            elif depth == 2 and start is not None:
                yield Element(index, base + start, bytes(text[start:position]), True)
                index += 1
                start, gap = None, position
            elif depth == 1:
                for scalar in _scalars(text, gap, token.start(), base):
                    yield Element(index, *scalar)
                    index += 1
                in_entries = False
            if depth <= 0:
                scan.closed = True
        if ended:
            break
        keep = start if start is not None else (gap if in_entries and gap >= 0 else position)
        del text[:keep]
        base += keep
        position -= keep
        start = 0 if start is not None else None
        gap = gap - keep if gap >= 0 else gap
        if len(text) > MAX_RECORD_BYTES:
            raise InputRejected(
                "One entry is above the size that is taken.",
                reason=Reason.TOO_LARGE,
                position=f"entry[{index}] at byte {base}",
            )
        # A string longer than a block is looked at again from its start: growing the text by half
        # each time keeps that linear.
        wanted = len(text) * 3 // 2
        try:
            text += next(source)
            while len(text) < wanted:
                text += next(source)
        except StopIteration:
            ended = True
        except InputRejected as rejected:
            scan.reason = rejected.reason
            ended = True
    if in_entries:
        begin = start if start is not None else max(gap, 0)
        rest = bytes(text[begin:]).strip(_GAP_STRIP + b",")
        if rest:
            scan.cut_entry = True
            yield Element(index, base + begin, rest, False)


def is_closed(text: bytes) -> bool:
    """Whether every bracket of ``text`` that opens also closes."""
    depth = 0
    for token in _TOKEN.finditer(text):
        word = token.group()
        if word[0] == 0x22:
            if _is_open(word):
                return False
        else:
            depth += 1 if word in b"{[" else -1
    return depth <= 0


def _is_open(string: bytes) -> bool:
    """Whether a string token lacks its closing quote."""
    if len(string) < 2 or string[-1] != 0x22:
        return True
    slashes = len(string) - 1 - len(string[:-1].rstrip(b"\\"))
    return slashes % 2 == 1


def _scalars(text: bytearray, begin: int, end: int, base: int) -> Iterator[tuple[int, bytes, bool]]:
    """What stands between two elements and is no object: ``null``, a number, a word."""
    if begin < 0:
        return
    offset = begin
    for piece in bytes(text[begin:end]).split(b","):
        stripped = piece.strip(_GAP_STRIP)
        if stripped:
            yield base + offset, stripped, True
        offset += len(piece) + 1


def end_of_value(text: bytes, start: int) -> int:
    """Where the object or list that starts at ``start`` ends (the end of the text, if nowhere)."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        kind = text[token.start()]
        if kind != 0x22:
            depth += 1 if kind in b"{[" else -1
            if depth == 0:
                return token.end()
    return len(text)


def without_key(text: bytes, key: bytes) -> bytes:
    """The outermost object without one of its members, whose value is a string or null."""
    depth = 0
    for token in _TOKEN.finditer(text):
        kind = text[token.start()]
        if kind == 0x22:
            if depth == 1 and token.group() == b'"' + key + b'"':
                member = _MEMBER_END.match(text, token.end())
                if member is not None:
                    before, after = text[: token.start()], text[member.end() :]
                    if not member.group().endswith(b","):
                        before = before.rstrip(_GAP_STRIP).removesuffix(b",")
                    return before + after.lstrip(_GAP_STRIP)
        else:
            depth += 1 if kind in b"{[" else -1
    return text
