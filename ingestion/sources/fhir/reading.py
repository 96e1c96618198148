"""One file while it is read: what it gave, and what of it is not taken and why.

Details name structure only (element paths, sizes), never a value of the input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ingestion.reasons import Reason
from ingestion.sources import Event, FileRead, Rejected, streams
from ingestion.sources.fhir.envelope import NAMED
from ingestion.sources.fhir.rows import Rows
from ingestion.sources.fhir.shapes import RESOURCE, Head, refusal
from ingestion.sources.fhir.versions import OTHER_VERSION_TYPES

#: Beyond this many, rejections of one reason in one file are counted in one line.
_LISTED_REJECTIONS: Final = 100
NUL_ESCAPE: Final = rb"\u0000"
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
NOT_UTF8: Final = "A text is not UTF-8."
#: What decoding raises: msgspec's errors, and those of texts and depths it does not wrap.
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
DAMAGED: Final = {
    Reason.TRUNCATED: "The file ends in the middle: its transfer was cut off.",
    Reason.CORRUPT_ARCHIVE: "The compressed file is damaged from here on.",
    Reason.TOO_LARGE: f"Above the {streams.MAX_RECORD_BYTES >> 20} MB that are taken as one record.",
}


@dataclass(slots=True)
class FileReading:
    """One file while it is read: what it gave, and what is wrong with it."""

    path: str
    rows: Rows
    accepted: int = 0
    quarantined: int = 0
    #: Documents and lines so far.
    containers: int = 0
    #: Whether all of the file is UTF-8, and whether a text may have U+0000: where that is known
    #: for the whole file, its resources need no look each.
    valid_utf8: bool = False
    has_nul: bool = True
    rejected: list[Rejected] = field(default_factory=list)
    unlisted: dict[Reason, int] = field(default_factory=dict)
    listed: dict[Reason, int] = field(default_factory=dict)

    def reject(
        self, position: str | None, reason: Reason, detail: str, size: int | None = None
    ) -> None:
        self.quarantined += 1
        listed = self.listed.get(reason, 0)
        if listed < _LISTED_REJECTIONS:
            self.listed[reason] = listed + 1
            sample = {} if size is None else {"bytes": size}
            self.rejected.append(Rejected(self.path, position, reason, detail, sample))
        else:
            self.unlisted[reason] = self.unlisted.get(reason, 0) + 1

    def notice(self, position: str, reason: Reason, detail: str) -> None:
        self.rejected.append(Rejected(self.path, position, reason, detail, records=0))

    def flush(self) -> Iterator[Event]:
        """Batches that are full and rejections so far."""
        if self.rejected:
            yield from self.rejected
            self.rejected.clear()
        if self.rows.is_due:
            yield from self.rows.full()

    def end(self) -> Iterator[Event]:
        yield from self.flush()
        for reason, count in self.unlisted.items():
            yield Rejected(
                self.path, None, reason, f"{count} more records of this file.", records=count
            )
        arrived = self.accepted + self.quarantined
        yield FileRead(self.path, arrived, self.accepted, self.quarantined)


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def decoded(reading: FileReading, place: str, body: bytes) -> Head | None:
    """What identifies the resource; None where it was rejected."""
    try:
        head = Head.of(RESOURCE.decode(body))
    except UNDECODABLE as error:
        refuse(reading, place, body, error)
        return None
    return head if has_clean_text(reading, place, body) else None


def refuse(reading: FileReading, place: str, body: bytes, error: Exception) -> None:
    if isinstance(error, msgspec.ValidationError):
        reason, detail = refusal(error)
        if reason is Reason.UNKNOWN_RESOURCE_TYPE:
            named = NAMED.decode(body).resource_type
            if named in OTHER_VERSION_TYPES:
                reason, detail = Reason.FHIR_VERSION, "A resource type of another FHIR version."
    elif isinstance(error, UnicodeDecodeError):
        reason, detail = Reason.BAD_ENCODING, NOT_UTF8
    elif isinstance(error, RecursionError):
        reason, detail = Reason.MALFORMED_JSON, "Nested too deeply."
    elif str(error) == "Input data was truncated":
        reason, detail = Reason.TRUNCATED, "The resource is cut off."
    else:
        reason, detail = Reason.MALFORMED_JSON, "The resource is not JSON."
    reading.reject(place, reason, detail, len(body))


def has_clean_text(reading: FileReading, place: str, body: bytes) -> bool:
    """Whether the texts of a resource can be stored: UTF-8, and without U+0000."""
    if not (reading.valid_utf8 or body.isascii() or is_utf8(body)):
        reading.reject(place, Reason.BAD_ENCODING, NOT_UTF8, len(body))
        return False
    if reading.has_nul and NUL_ESCAPE in body and _NUL.search(body):
        reading.reject(place, Reason.INVALID_VALUE, "A text has the character U+0000.", len(body))
        return False
    return True
