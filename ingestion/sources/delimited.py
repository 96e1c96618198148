"""Delimited text by a layout: rows with typed values, for the sources that read tables.

What is the same in all of them is here: compression, encodings, byte order marks, lines before the header,
quoted line breaks, rows of another width, numbers and times as a submitter writes them. A source says what
a record is made of (:class:`Row`); a row that cannot be one is rejected alone, with its place and column.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
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

#: Lines about the export that may stand before its header, and what may be between its columns, as intake
#: looks for it.
_HEADER_WITHIN: Final = 5
_DELIMITERS: Final = (",", ";", "\t", "|")
_BATCH_ROWS: Final = 20_000
#: Beyond this many, rejections of one reason in one file are counted in one line.
_LISTED: Final = 100
#: A quote that nobody closes would otherwise take the rest of the file for one value.
_LONGEST_VALUE: Final = 1024 * 1024
_LONGEST_ROW: Final = 1000
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: What Western programs write that do not write UTF-8 (https://encoding.spec.whatwg.org/#windows-1252).
_LEGACY: Final = "windows-1252"

#: A number of more digits is none: a computer would need a year to write it out.
_MOST_DIGITS: Final = 40
_STRPTIME: Final = {"d": "%d", "M": "%m", "y": "%Y"}

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its texts by the layout's column names, and what decides how they are read.

    ``position`` is the number of the row, from 1 behind the header, ``line`` the line of the file on which
    it begins. ``others`` are the texts of columns that the layout does not have. Each method gives one
    column's value, None where the cell is empty or the file has no such column, and raises
    :class:`InputRejected` where it is none of its type, or is empty and ``required``; the message names the
    column, never the value.
    """

    position: int
    line: int
    texts: Mapping[str, str]
    others: Mapping[str, str]
    layout: Layout
    locale: str | None
    time_zone: str | None

    def text(self, column: str, *, required: bool = False) -> str | None:
        found = self.texts.get(column, "").strip()
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
        day = parsed_date(found, self.layout.date_formats, self.locale)
        if day is None:
            raise _refused(Reason.INVALID_VALUE, column, "is no date")
        return day

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
    :class:`InputRejected`.

    Of a file of which more than its ``rejected_share_limit`` cannot be taken, nothing is taken.
    """
    rows: list[dict[str, object]] = []
    for file in files:
        counted = _Counted(file.path)
        if file.rejected_share_limit < 1 and (lost := _lost(store, file, record)):
            yield from lost
            continue
        for made in _records(store, file, record):
            if isinstance(made, InputRejected):
                yield from counted.reject(made)
                continue
            counted.accepted += 1
            rows.append(made)
            if len(rows) == _BATCH_ROWS:
                yield Batch(table.name, pa.RecordBatch.from_pylist(rows, table.schema))
                rows = []
        yield from counted.end()
    if rows:
        yield Batch(table.name, pa.RecordBatch.from_pylist(rows, table.schema))


def _records(
    store: ObjectStore, file: StagedFile, record: Callable[[Row], Record]
) -> Iterator[dict[str, object] | InputRejected]:
    """Each row of a file as a record, or why it is none, with its place."""
    for row in _rows(store, file):
        if isinstance(row, InputRejected):
            yield row
            continue
        try:
            yield {"source_file": file.path, "source_position": row.position, **record(row)}
        except InputRejected as rejected:
            rejected.position = rejected.position or f"line {row.line}"
            yield rejected


def _lost(
    store: ObjectStore, file: StagedFile, record: Callable[[Row], Record]
) -> list[Event] | None:
    """A file as a whole rejected, where too much of it cannot be taken. It is read once more for that."""
    arrived = quarantined = 0
    for made in _records(store, file, record):
        arrived += 1
        quarantined += isinstance(made, InputRejected)
    if quarantined <= arrived * file.rejected_share_limit:
        return None
    detail = f"{quarantined:,} of its {arrived:,} rows cannot be taken: none was."
    return [
        Rejected(file.path, None, Reason.TOO_MANY_REJECTED, detail, records=arrived),
        FileRead(file.path, arrived, 0, arrived),
    ]


class _Counted:
    """The account of one file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.accepted = 0
        self.quarantined = 0
        self._listed: dict[str, int] = {}
        self._unlisted: dict[str, int] = {}

    def reject(self, rejected: InputRejected) -> Iterator[Event]:
        self.quarantined += 1
        reason = str(rejected.reason)
        listed = self._listed.get(reason, 0)
        if listed < _LISTED:
            self._listed[reason] = listed + 1
            yield Rejected(self.path, rejected.position, Reason(rejected.reason), rejected.message)
        else:
            self._unlisted[reason] = self._unlisted.get(reason, 0) + 1

    def end(self) -> Iterator[Event]:
        for reason, count in self._unlisted.items():
            detail = f"{count:,} more rows of this reason."
            yield Rejected(self.path, None, Reason(reason), detail, records=count)
        arrived = self.accepted + self.quarantined
        yield FileRead(self.path, arrived, self.accepted, self.quarantined)


@dataclass(frozen=True, slots=True)
class _Header:
    """A file's columns: the layout's name of each, or the file's own, and what stands between them."""

    delimiter: str
    line: int
    names: Sequence[str]
    known: Sequence[bool]


def _rows(store: ObjectStore, file: StagedFile) -> Iterator[Row | InputRejected]:
    """The rows of a file behind its header; what cannot be one as the reason for it, with its place."""
    layout = layouts.find(file.layout or "", file.layout_version or "")
    with store.open(file.key) as opened:
        text = lines(streams.blocks(opened))
        try:
            header = _header(text, layout)
        except InputRejected as rejected:
            rejected.position = "header"
            yield rejected
            return
        width = len(header.names)
        for position, found in enumerate(_cells(text, header), start=1):
            if isinstance(found, InputRejected):
                yield found
                continue
            line, cells = found
            if len(cells) != width:
                detail = f"has {len(cells)} values, the header {width} columns"
                yield _unreadable(Reason.WRONG_COLUMN_COUNT, line, detail)
            elif any("\ufffd" in cell for cell in cells):
                yield _unreadable(Reason.BAD_ENCODING, line, "has characters that cannot be read")
            else:
                texts: dict[str, str] = {}
                others: dict[str, str] = {}
                for name, is_known, cell in zip(header.names, header.known, cells, strict=True):
                    (texts if is_known else others)[name] = cell
                yield Row(position, line, texts, others, layout, file.locale, file.time_zone)


def _cells(text: Iterator[str], header: _Header) -> Iterator[tuple[int, list[str]] | InputRejected]:
    """The line and the cells of each row that is not blank, or why it has none.

    A quote that nobody closes takes the lines behind it for its value: where these are rows by themselves,
    only the row that opened it is lost.
    """
    source = _Lines(text, header.line)
    while True:
        reader = csv.reader(source, delimiter=header.delimiter, skipinitialspace=True)
        line = source.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except InputRejected as rejected:
            yield _unreadable(Reason(rejected.reason), line, "and all behind it are missing")
            return
        except csv.Error:
            source.keep_first()
            yield _unreadable(Reason.WRONG_SHAPE, line, "is no row: its quotes do not match")
            continue
        if len(cells) != len(header.names) and source.took_a_row(header):
            source.keep_first()
            yield _unreadable(Reason.WRONG_SHAPE, line, "is no row: its quotes do not match")
        elif any(cell.strip() for cell in cells):
            yield line, cells


class _Lines:
    """Lines for a reader of rows, of which those that a row should not have taken can be given again."""

    def __init__(self, lines: Iterator[str], before: int) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self._taken: list[str] = []
        self._number = before

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self._taken) == _LONGEST_ROW:
            raise csv.Error
        line = self._again.popleft() if self._again else next(self._lines)
        self._taken.append(line)
        return line

    def begin(self) -> int:
        """A row begins: gives the number of its line."""
        self._number += len(self._taken)
        self._taken = []
        return self._number + 1

    def took_a_row(self, header: _Header) -> bool:
        """Whether the second line of the row is a row by itself."""
        if len(self._taken) == 1:
            return False
        reader = csv.reader(self._taken[1:2], delimiter=header.delimiter, skipinitialspace=True)
        return len(next(reader, [])) == len(header.names)

    def keep_first(self) -> None:
        """The row is its first line only."""
        self._again.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]


def _header(text: Iterator[str], layout: Layout) -> _Header:
    """The header, which is among the first lines that are not blank; what stands before it is skipped."""
    seen = 0
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        for delimiter in sorted(_DELIMITERS, key=lambda one: one != layout.delimiter):
            cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
            columns = layouts.columns_of(layout, cells)
            if columns is not None:
                names = [name or cell.strip() for name, cell in zip(columns, cells, strict=True)]
                return _Header(delimiter, number, names, [name is not None for name in columns])
        seen += 1
        if seen == _HEADER_WITHIN:
            break
    raise InputRejected(
        f"The file has no header of the layout {layout.title}.", reason=Reason.NO_LAYOUT
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


@lru_cache(maxsize=65_536)
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
    if number is None or not number.is_finite() or number.adjusted() > _MOST_DIGITS:
        return None
    return number


@lru_cache(maxsize=65_536)
def parsed_date(text: str, formats: tuple[str, ...], locale: str | None) -> date | None:
    """The day that ``text`` is: in one of the formats (strptime), else in ISO 8601, else as the locale
    writes dates with a year of four digits; None where it is none of these. The order of day and month
    is never guessed.
    """
    orders = (*formats, *([_written_date(locale)] if locale else ()))
    for order in orders:
        with contextlib.suppress(ValueError):
            return datetime.strptime(text, order).date()
    with contextlib.suppress(ValueError):
        return date.fromisoformat(text) if len(text) == len("2026-01-31") else None
    return None


@cache
def _written_date(locale: str) -> str:
    """How a locale (CLDR's short form) writes a date, with a year of four digits, as strptime reads it."""
    from babel.dates import get_date_format

    pattern = get_date_format("short", _known_locale(locale)).pattern
    pattern = re.sub(r"'[^']*'|[\u200e\u200f]", "", pattern)
    return re.sub(r"d+|M+|y+", lambda found: _STRPTIME[found[0][0]], pattern)


@cache
def _known_locale(name: str) -> Any:
    from babel import Locale

    return Locale.parse(name.replace("-", "_"))


def _refused(reason: Reason, column: str, words: str) -> InputRejected:
    return InputRejected(f"{column} {words}.", reason=reason)


def _unreadable(reason: Reason, line: int, words: str) -> InputRejected:
    return InputRejected(f"The row {words}.", reason=reason, position=f"line {line}")


csv.field_size_limit(_LONGEST_VALUE)
