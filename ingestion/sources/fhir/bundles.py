"""Bundles that are held whole: each entry is taken, and references inside the bundle are rewritten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from ingestion.reasons import Reason
from ingestion.sources.fhir.entries import take_one, take_request, with_logical_references_of_last
from ingestion.sources.fhir.envelope import (
    BLANK,
    CONTAINER_BIT,
    DOCUMENT,
    ENTRY,
    LIST,
    LOOSE,
    TAKEN_METHODS,
    Bundle,
    Entry,
    condition_of,
    described,
    method_of,
)
from ingestion.sources.fhir.reading import (
    NOT_UTF8,
    UNDECODABLE,
    FileReading,
    decoded,
    has_clean_text,
    refuse,
)
from ingestion.sources.fhir.references import Rewrites, with_logical_references
from ingestion.sources.fhir.shapes import LOGICAL_REFERENCES, RESOURCE, Head, refusal

#: Bundles in bundles are opened so far down.
_NESTED_BUNDLES: Final = 8


def take_document(
    reading: FileReading, text: bytes, where: str = "", position: int | None = None
) -> None:
    """Decode a whole document and take what is in it.

    ``where`` and ``position`` place a bundle inside a line or another bundle. Raises
    ``msgspec.DecodeError`` where it is not JSON.
    """
    try:
        document = DOCUMENT.decode(text)
    except (msgspec.ValidationError, UnicodeDecodeError):
        _take_loose_document(reading, text, where, position)
        return
    if bytes(document.resource_type) != b'"Bundle"':
        take_resource(reading, "resource", 0, text)
        return
    entries = enumerate(document.entry or ())
    _take_entries(reading, entries, described(document), where, position)


def _take_loose_document(
    reading: FileReading, text: bytes, where: str, position: int | None
) -> None:
    """A document whose root or entries are not what they should be: each entry by itself."""
    try:
        document = LOOSE.decode(text)
    except msgspec.ValidationError:
        reading.reject(where or None, Reason.NOT_FHIR, "The root is not a JSON object.", len(text))
        return
    if bytes(document.resource_type) != b'"Bundle"':
        take_resource(reading, "resource", 0, text)
        return
    entries = bytes(document.entry)
    if not entries.startswith(b"["):
        if entries not in (b"", b"null"):
            detail = "`Bundle.entry` is not a list."
            reading.reject(f"{where}entry", Reason.WRONG_SHAPE, detail, len(entries))
        return
    good = decoded_entries(reading, enumerate(map(bytes, LIST.decode(entries))), where)
    _take_entries(reading, good, described(document), where, position)


def decoded_entries(
    reading: FileReading, entries: Iterable[tuple[int, bytes]], where: str
) -> Iterator[tuple[int, Entry]]:
    for index, text in entries:
        place = f"{where}entry[{index}]"
        if text == b"null":
            reading.reject(place, Reason.NULL_ENTRY, "The entry is null.")
            continue
        try:
            yield index, ENTRY.decode(text)
        except msgspec.ValidationError as error:
            reason, detail = refusal(error)
            reading.reject(place, reason, detail, len(text))
        except UnicodeDecodeError:
            reading.reject(place, Reason.BAD_ENCODING, NOT_UTF8, len(text))
        except (msgspec.DecodeError, RecursionError):
            reading.reject(place, Reason.MALFORMED_JSON, "The entry is not JSON.", len(text))


def _take_entries(
    reading: FileReading,
    entries: Iterable[tuple[int, Entry]],
    bundle: Bundle,
    where: str,
    position: int | None,
) -> None:
    """The entries of one bundle that is held whole. Runs for every resource, so it is written out.

    References can be rewritten only when every fullUrl is known, hence the second loop.
    """
    reading.containers += 1
    bundle.start = reading.containers << CONTAINER_BIT
    taken: list[tuple[int, Entry, str | None, str | None, bytes, Head]] = []
    rewrites = Rewrites()
    decode = RESOURCE.decode
    looked_at = reading.valid_utf8 and not reading.has_nul
    for index, entry in entries:
        body = bytes(entry.resource)
        method = method_of(entry)
        if not body or body == b"null" or method not in TAKEN_METHODS:
            at = index if position is None else position
            take_request(reading, f"{where}entry[{index}]", at, entry, bundle, index)
            continue
        try:
            head = Head.of(decode(body))
        except UNDECODABLE as error:
            refuse(reading, f"{where}entry[{index}]", body, error)
            continue
        if not looked_at and not has_clean_text(reading, f"{where}entry[{index}]", body):
            continue
        if LOGICAL_REFERENCES:
            LOGICAL_REFERENCES.clear()
            body = with_logical_references(body)
        condition = condition_of(entry, head)
        if condition is not None or entry.full_url is not None:
            rewrites.note(entry.full_url, head.resource_type, head.id, condition)
        taken.append((index, entry, method, condition, body, head))
    apply = rewrites.apply if rewrites.targets else None
    for index, entry, method, condition, body, head in taken:
        take(
            reading,
            f"{where}entry[{index}]",
            index if position is None else position,
            bundle.sequence(index, method),
            head,
            body if apply is None else apply(body),
            entry,
            method,
            condition,
            bundle.is_partial,
            rewrites.named,
        )
    _note_repetitions(reading, where, [(each[0], each[-1]) for each in taken], bundle)


def _note_repetitions(
    reading: FileReading, where: str, taken: list[tuple[int, Head]], bundle: Bundle
) -> None:
    """Say where a bundle has a resource twice; both are kept, and the last one counts."""
    if bundle.is_history or len({head.id for _, head in taken}) == len(taken):
        return
    seen: set[tuple[str, str | None, str | None]] = set()
    twice: list[int] = []
    for index, head in taken:
        key = (head.resource_type, head.id, None if head.meta is None else head.meta.versionId)
        if key in seen and head.id:
            twice.append(index)
        seen.add(key)
    if twice:
        detail = f"{len(twice)} entries repeat a resource of this bundle; the last one counts."
        reading.notice(f"{where}entry[{twice[0]}]", Reason.DUPLICATE_ID, detail)


def take_resource(reading: FileReading, place: str, position: int, text: bytes) -> None:
    """A resource that is no entry of a bundle."""
    head = decoded(reading, place, text)
    if head is not None:
        body = with_logical_references_of_last(text.strip(BLANK))
        sequence = reading.containers << CONTAINER_BIT
        take(reading, place, position, sequence, head, body)


def take(
    reading: FileReading,
    place: str,
    position: int,
    sequence: int,
    head: Head,
    body: bytes,
    entry: Entry | None = None,
    method: str | None = None,
    condition: str | None = None,
    is_partial: bool = False,
    named: Sequence[str] = (),
) -> None:
    """Add the row of one resource, or the rows of a bundle inside a bundle or a line."""
    if head.resource_type != "Bundle":
        take_one(
            reading,
            place,
            position,
            sequence,
            head,
            body,
            entry,
            method,
            condition,
            is_partial,
            named,
        )
    elif place.count("entry[") > _NESTED_BUNDLES:
        reading.reject(place, Reason.MALFORMED_JSON, "Nested too deeply.", len(body))
    else:
        take_document(reading, body, where=f"{place} ", position=position)
