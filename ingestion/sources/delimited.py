"""Delimited text by a layout: rows with typed values, for the sources that read tables.

What is the same in all of them is here: compression, encodings, byte order marks, lines before the header,
quoted line breaks, rows of another width, numbers and times as a submitter writes them. A source says what
a record is made of (:class:`Row`); a row that cannot be one is rejected alone, with its place and column.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa

from ingestion.intake import layouts
from ingestion.intake.layouts import Layout
from ingestion.reasons import Reason
from ingestion.sources import Batch, Event, FileRead, Rejected, StagedFile, streams
from ingestion.tables import BronzeTable
from lakehouse.errors import InputRejected
from lakehouse.store import ObjectStore

#: Lines about the export that may stand before its header, as intake looks for it.
_HEADER_WITHIN: Final = 5
_BATCH_ROWS: Final = 20_000
#: Beyond this many, rejections of one reason in one file are counted in one line.
_LISTED: Final = 100
#: A quote that nobody closes would otherwise take the rest of the file for one value.
_LONGEST_VALUE: Final = 1024 * 1024
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: What Western programs write that do not write UTF-8 (https://encoding.spec.whatwg.org/#windows-1252).
_LEGACY: Final = "windows-1252"

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its texts by the layout's column names, and what decides how they are read.

    ``position`` is the number of the row, from 1 behind the header. Each method gives one column's value,
    None where the cell is empty, and raises :class:`InputRejected` where it is none of its type, or is
    empty and ``required``; the message names the column, never the value.
    """

    position: int
    texts: Mapping[str, str]
    layout: Layout
    locale: str | None
    time_zone: str | None

    def text(self, column: str, *, required: bool = False) -> str | None:
        found = self.texts[column].strip()
        if found:
            return found
        if required:
            raise _refused(Reason.MISSING_VALUE, column, "is empty")
        return None

    def integer(self, column: str, *, required: bool = False, bits: int = 64) -> int | None:
        number = self.decimal(column, required=required)
        if number is None:
            return None
        if number != int(number) or not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
            raise _refused(Reason.INVALID_VALUE, column, f"is no whole number of {bits} bits")
        return int(number)

    def decimal(self, column: str, *, required: bool = False) -> Decimal | None:
        """A number with the digits that were written, as the submitter's locale writes numbers."""
        found = self.text(column, required=required)
        if found is None:
            return None
        number = parsed_number(found, self.locale)
        if number is None:
            raise _refused(Reason.INVALID_VALUE, column, "is no number")
        return number

    def date(self, column: str, *, required: bool = False) -> date | None:
        found = self.text(column, required=required)
        if found is None:
            return None
        try:
            if self.layout.date_format is not None:
                return datetime.strptime(found, self.layout.date_format).date()
            return date.fromisoformat(found)
        except ValueError:
            raise _refused(Reason.INVALID_VALUE, column, "is no date") from None

    def instant(self, column: str, *, required: bool = False) -> datetime | None:
        """A time in UTC. One without an offset is a local time of the submitter's zone, which has to
        be registered; of an hour that comes twice it is the first."""
        found = self.text(column, required=required)
        if found is None:
            return None
        try:
            local = datetime.fromisoformat(found)
        except ValueError:
            raise _refused(Reason.INVALID_VALUE, column, "is no time") from None
        if local.tzinfo is None:
            if self.time_zone is None:
                raise _refused(
                    Reason.NO_TIME_ZONE,
                    column,
                    "has no offset, and nobody said where its clock ran",
                )
            local = local.replace(tzinfo=ZoneInfo(self.time_zone))
        return local.astimezone(UTC)


def read(
    store: ObjectStore,
    files: Sequence[StagedFile],
    table: BronzeTable,
    record: Callable[[Row], Record],
) -> Iterator[Event]:
    """Each row of the files as one row of ``table``: ``record`` gives its own columns, or raises
    :class:`InputRejected`."""
    rows: list[dict[str, object]] = []
    for file in files:
        counted = _Counted(file.path)
        for row in _rows(store, file):
            try:
                if isinstance(row, InputRejected):
                    raise row
                made = {"source_file": file.path, "source_position": row.position, **record(row)}
            except InputRejected as rejected:
                place = rejected.position or f"row {row.position}"
                yield from counted.reject(place, rejected)
                continue
            counted.accepted += 1
            rows.append(made)
            if len(rows) == _BATCH_ROWS:
                yield Batch(table.name, pa.RecordBatch.from_pylist(rows, table.schema))
                rows = []
        yield from counted.end()
    if rows:
        yield Batch(table.name, pa.RecordBatch.from_pylist(rows, table.schema))


class _Counted:
    """The account of one file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.accepted = 0
        self.quarantined = 0
        self._listed: dict[str, int] = {}
        self._unlisted: dict[str, int] = {}

    def reject(self, place: str, rejected: InputRejected) -> Iterator[Event]:
        self.quarantined += 1
        reason = str(rejected.reason)
        listed = self._listed.get(reason, 0)
        if listed < _LISTED:
            self._listed[reason] = listed + 1
            yield Rejected(self.path, place, Reason(rejected.reason), rejected.message)
        else:
            self._unlisted[reason] = self._unlisted.get(reason, 0) + 1

    def end(self) -> Iterator[Event]:
        for reason, count in self._unlisted.items():
            detail = f"{count:,} more rows of this reason."
            yield Rejected(self.path, None, Reason(reason), detail, records=count)
        arrived = self.accepted + self.quarantined
        yield FileRead(self.path, arrived, self.accepted, self.quarantined)


def _rows(store: ObjectStore, file: StagedFile) -> Iterator[Row | InputRejected]:
    """The rows of a file behind its header; what cannot be one as the reason for it, with its place."""
    layout = layouts.find(file.layout or "", file.layout_version or "")
    with store.open(file.key) as opened:
        reader = csv.reader(
            lines(streams.blocks(opened)), delimiter=layout.delimiter, skipinitialspace=True
        )
        columns: list[str] | None = None
        before = position = 0
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error:
                position += 1
                yield _unreadable(
                    Reason.WRONG_SHAPE, position, "is no row: its quotes do not match"
                )
                continue
            except InputRejected as rejected:
                yield _unreadable(
                    Reason(rejected.reason), position + 1, "and all behind it are missing"
                )
                break
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = layouts.columns_of(layout, cells)
                before += 1
                if columns is None and before == _HEADER_WITHIN:
                    break
                continue
            position += 1
            if len(cells) != len(columns):
                detail = f"has {len(cells)} values, the header {len(columns)} columns"
                yield _unreadable(Reason.WRONG_COLUMN_COUNT, position, detail)
            elif any("\ufffd" in cell for cell in cells):
                yield _unreadable(
                    Reason.BAD_ENCODING, position, "has characters that cannot be read"
                )
            else:
                texts = dict(zip(columns, cells, strict=True))
                yield Row(position, texts, layout, file.locale, file.time_zone)
    if columns is None:
        yield InputRejected(
            f"The file has no header of the layout {layout.title}.",
            reason=Reason.NO_LAYOUT,
            position="header",
        )


def lines(blocks: Iterator[bytes]) -> Iterator[str]:
    """The lines of a text, each with its end, in the encoding that its first bytes or its content say.

    Without a byte order mark it is UTF-8, or windows-1252 from the first byte on that is no UTF-8 where
    nothing before it was more than ASCII; else such a byte is U+FFFD.
    """
    start, blocks = _begun(blocks)
    encoding = next((name for mark, name in _BOMS if start.startswith(mark)), None)
    decode: Callable[[bytes, bool], str]
    if encoding is not None:
        marked = codecs.getincrementaldecoder(encoding)(errors="replace")
        decode = marked.decode
    else:
        decode = _Undeclared().decode
    rest = ""
    try:
        for block in blocks:
            rest += decode(block, False)
            *lines, rest = rest.split("\n")
            yield from (f"{line}\n" for line in lines)
    except InputRejected:
        yield from _last(rest + decode(b"", True))
        raise
    yield from _last(rest + decode(b"", True))


def _last(text: str) -> Iterator[str]:
    # A carriage return alone ends lines of programs of the eighties; csv reads those at its ends only.
    if text:
        yield from text.splitlines(keepends=True)


def _begun(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, and all of them again, without a byte order mark of UTF-8."""
    first = next(blocks, b"")

    def again() -> Iterator[bytes]:
        mark = next((mark for mark, _ in _BOMS if first.startswith(mark)), b"")
        yield first[len(mark) :]
        yield from blocks

    return first, again()


class _Undeclared:
    """Text whose encoding nobody declared."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._is_ascii = True
        self._fallback: codecs.IncrementalDecoder | None = None

    def decode(self, data: bytes, final: bool) -> str:
        if self._fallback is not None:
            return self._fallback.decode(data, final)
        pending = self._utf8.getstate()[0]
        try:
            text = self._utf8.decode(data, final)
        except UnicodeDecodeError:
            name = _LEGACY if self._is_ascii else "utf-8"
            self._fallback = codecs.getincrementaldecoder(name)(errors="replace")
            return self._fallback.decode(pending + data, final)
        self._is_ascii = self._is_ascii and text.isascii()
        return text


def parsed_number(text: str, locale: str | None) -> Decimal | None:
    """The number that ``text`` is in a locale (BCP 47), with all its digits; None where it is none.

    Without a locale, as programs write it: a point before the decimals, no separators between digits.
    """
    try:
        if locale is None:
            number = Decimal(text) if text.isascii() and "_" not in text else None
        else:
            from babel.numbers import get_group_symbol, parse_decimal

            known = _known_locale(locale)
            group = get_group_symbol(known)
            if group.isspace():  # any space stands for the one that Unicode names
                text = group.join(text.split())
            text = text.replace("\N{MINUS SIGN}", "-")
            number = parse_decimal(text, locale=known, strict=True)
    except (ValueError, InvalidOperation):
        return None
    return number if number is not None and number.is_finite() else None


@cache
def _known_locale(name: str) -> Any:
    from babel import Locale

    return Locale.parse(name.replace("-", "_"))


def _refused(reason: Reason, column: str, words: str) -> InputRejected:
    return InputRejected(f"{column} {words}.", reason=reason)


def _unreadable(reason: Reason, position: int, words: str) -> InputRejected:
    return InputRejected(f"The row {words}.", reason=reason, position=f"row {position}")


csv.field_size_limit(_LONGEST_VALUE)
