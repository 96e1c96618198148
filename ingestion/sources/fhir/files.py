"""One file, whatever is in it: a bundle, a bare resource, NDJSON, or what a broken transfer left of one.

Large bundles, and those that are not JSON as a whole, are read entry by entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from typing import Final

import msgspec

from ingestion.reasons import Reason
from ingestion.sources import Event, streams
from ingestion.sources.fhir import json_scan
from ingestion.sources.fhir.bundles import decoded_entries, take, take_document, take_resource
from ingestion.sources.fhir.entries import take_request, with_logical_references_of_last
from ingestion.sources.fhir.envelope import (
    BLANK,
    CONTAINER_BIT,
    NAMED,
    TAKEN_METHODS,
    Bundle,
    Entry,
    condition_of,
    method_of,
)
from ingestion.sources.fhir.reading import (
    DAMAGED,
    NUL_ESCAPE,
    UNDECODABLE,
    FileReading,
    decoded,
    is_utf8,
)
from ingestion.sources.fhir.references import Rewrites
from lakehouse.errors import InputRejected

#: Documents up to this size (unpacked) are decoded whole, larger ones entry by entry.
WHOLE_DOCUMENT_BYTES: Final = 256 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_WIDE_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")


def read(
    reading: FileReading, open_blocks: Callable[[], Iterator[bytes]], file_type: str
) -> Iterator[Event]:
    """One file, whatever is in it. ``open_blocks`` gives its content from the start each time."""
    try:
        start = next((block for block in open_blocks() if block and not block.isspace()), b"")
    except InputRejected as rejected:
        reading.reject(None, Reason(rejected.reason), DAMAGED[Reason(rejected.reason)])
        return
    refused = _refused_at_sight(start)
    if refused is not None:
        reading.reject(None, *refused)
    elif file_type == "fhir_ndjson":
        yield from _read_lines(reading, open_blocks())
    else:
        yield from _read_document(reading, open_blocks)


def _refused_at_sight(start: bytes) -> tuple[Reason, str] | None:
    if start.startswith(_WIDE_BOMS):
        return Reason.BAD_ENCODING, "The file is UTF-16; FHIR JSON is UTF-8."
    first = start.removeprefix(_BOM).lstrip(BLANK)[:1]
    if not first:
        return Reason.EMPTY_FILE, "The file has no content."
    if first == b"<":
        return Reason.XML, "The file is XML; only FHIR JSON is taken."
    if first == b"[":
        return (
            Reason.ROOT_IS_LIST,
            "The root is a list; FHIR has a Bundle or one resource per line.",
        )
    return None


def _read_lines(reading: FileReading, blocks: Iterator[bytes]) -> Iterator[Event]:
    """NDJSON: one resource (or one bundle) a line; position is the line number from 1."""
    number = 0
    try:
        for number, line in streams.lines(blocks):
            if line is None:
                reading.reject(f"line {number}", Reason.TOO_LARGE, DAMAGED[Reason.TOO_LARGE])
                continue
            text = line.strip(BLANK)
            if number == 1:
                text = text.removeprefix(_BOM)
            if text:
                reading.containers = number
                take_resource(reading, f"line {number}", number, text)
            if reading.rows.is_due:
                yield from reading.flush()
    except InputRejected as rejected:
        reason = Reason(rejected.reason)
        reading.reject(f"after line {number}", reason, DAMAGED[reason])


def _read_document(
    reading: FileReading, open_blocks: Callable[[], Iterator[bytes]]
) -> Iterator[Event]:
    """One JSON document: a bundle or a bare resource. Large bundles are read entry by entry."""
    data, stopped = streams.read_all(open_blocks(), WHOLE_DOCUMENT_BYTES)
    if stopped == Reason.TOO_LARGE:
        if (yield from _read_by_brackets(reading, open_blocks)):
            return
        data, stopped = streams.read_all(open_blocks())
        if stopped == Reason.TOO_LARGE:
            reading.reject(None, Reason.TOO_LARGE, DAMAGED[Reason.TOO_LARGE])
            return
    text = data.removeprefix(_BOM)
    if stopped is not None:
        yield from _read_broken(reading, text, open_blocks, Reason(stopped), None)
        return
    reading.valid_utf8 = text.isascii() or is_utf8(text)
    reading.has_nul = NUL_ESCAPE in text
    try:
        take_document(reading, text)
    except (msgspec.DecodeError, RecursionError) as error:
        reading.valid_utf8, reading.has_nul = False, True
        yield from _read_broken(reading, text, open_blocks, None, error)


def _read_broken(
    reading: FileReading,
    text: bytes,
    open_blocks: Callable[[], Iterator[bytes]],
    stopped: Reason | None,
    error: Exception | None,
) -> Iterator[Event]:
    """A document that is not JSON as a whole: its good entries, or its good lines."""
    first_line, _, others = text.partition(b"\n")
    if others and _is_object(first_line):
        yield from _read_lines(reading, open_blocks())
    elif not (yield from _read_by_brackets(reading, open_blocks)):
        if stopped is None:
            whole = json_scan.is_closed(text)
            stopped = Reason.MALFORMED_JSON if whole else Reason.TRUNCATED
        place = re.search(r"\(byte (\d+)\)", str(error))
        position = f"byte {place[1]}" if place else f"byte {len(text)}"
        detail = DAMAGED.get(stopped, "The file is not JSON.")
        reading.reject(position, stopped, detail, len(text))


def _is_object(text: bytes) -> bool:
    try:
        NAMED.decode(text)
    except UNDECODABLE:
        return False
    return True


def _read_by_brackets(
    reading: FileReading, open_blocks: Callable[[], Iterator[bytes]]
) -> Generator[Event, None, bool]:
    """A bundle that is too large to hold or not JSON as a whole; False where it is no bundle.

    It is gone through twice: references may point forward to an entry that renames its target.
    """
    rewrites = Rewrites()
    first_pass = FileReading(reading.path, reading.rows)
    scan = json_scan.Scan()
    try:
        for entry, _, _, body in _scanned(first_pass, open_blocks, scan):
            head = decoded(first_pass, "", body) if body else None
            if head is not None:
                condition = condition_of(entry, head)
                rewrites.note(entry.full_url, head.resource_type, head.id, condition)
    except _NotABundleError:
        return False
    except InputRejected:
        pass  # named in the second pass, at the same place
    if not scan.found_entries:
        return False
    bundle = Bundle(scan.bundle_type)
    scan = json_scan.Scan()
    complete = True
    reading.containers += 1
    bundle.start = reading.containers << CONTAINER_BIT
    try:
        for entry, place, index, body in _scanned(reading, open_blocks, scan):
            method = method_of(entry)
            if not body or method not in TAKEN_METHODS:
                take_request(reading, place, index, entry, bundle, index)
                continue
            head = decoded(reading, place, body)
            if head is not None:
                text = rewrites.apply(with_logical_references_of_last(body))
                sequence = bundle.sequence(index, method)
                condition = condition_of(entry, head)
                take(
                    reading,
                    place,
                    index,
                    sequence,
                    head,
                    text,
                    entry,
                    method,
                    condition,
                    named=rewrites.named,
                )
            if reading.rows.is_due:
                yield from reading.flush()
    except InputRejected as rejected:
        complete = False
        reason = Reason(rejected.reason)
        reading.reject(rejected.position, reason, DAMAGED[reason])
    if complete and not scan.closed and not scan.cut_entry:
        reason = Reason(scan.reason or Reason.TRUNCATED)
        reading.reject("end of file", reason, DAMAGED[reason])
    return True


class _NotABundleError(Exception):
    """The document has a list ``entry`` but is another resource, such as List."""


def _scanned(
    reading: FileReading, open_blocks: Callable[[], Iterator[bytes]], scan: json_scan.Scan
) -> Iterator[tuple[Entry, str, int, bytes]]:
    """Entries found by brackets, with their place and the bytes of their resource."""
    for element in json_scan.elements(open_blocks(), scan):
        place = f"entry[{element.index}] at byte {element.start}"
        if not element.complete:
            reason = Reason(scan.reason or Reason.TRUNCATED)
            reading.reject(place, reason, DAMAGED[reason], len(element.data))
            continue
        for _, entry in decoded_entries(reading, [(element.index, element.data)], ""):
            body = bytes(entry.resource)
            if not body and not scan.is_bundle:
                raise _NotABundleError
            yield entry, place, element.index, b"" if body == b"null" else body
