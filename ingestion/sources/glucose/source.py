"""Exports of glucose monitors, told apart by their content and read into two Bronze tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

from ingestion.reasons import Reason
from ingestion.sources import Batch, Event, Rejected, StagedFile, streams
from ingestion.sources.glucose import (
    clarity,
    headers,
    json_records,
    libreview,
    nightscout,
    tables_of_text,
    tidepool,
)
from ingestion.sources.glucose.records import (
    Account,
    Reading,
    Record,
    Refused,
    System,
    derived_subject,
    named_subject,
)
from ingestion.sources.glucose.records import Event as GlucoseEvent
from ingestion.sources.glucose.tables import MONITOR_EVENT, MONITOR_READING
from ingestion.tables import BronzeTable
from lakehouse.store import ObjectStore

_BATCH_ROWS: Final = 20_000
#: As many decimals as the column has.
_DIGITS: Final = Decimal("0.00001")
_NO_ZONE: Final = "Its times have no zone and its submitter has none: they are kept as local times, without instants."
#: Whose record, of which system, and the record.
_Found = tuple[str, System, Record] | Refused
_Blocks = Callable[[], Iterator[bytes]]


class GlucoseSource:
    """Reads Dexcom Clarity, LibreView, Tidepool and Nightscout."""

    name = "glucose"
    file_types = frozenset({"cgm_export"})
    tables: tuple[BronzeTable, ...] = (MONITOR_READING, MONITOR_EVENT)

    def read(self, store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
        rows = _Rows()
        for file in files:
            account = Account(file.path)
            with store.open(file.key) as opened:
                for found in _records(file, partial(streams.blocks, opened)):
                    if isinstance(found, Refused):
                        yield from account.reject(found)
                    elif isinstance(found, Rejected):
                        yield found
                    else:
                        account.accepted += 1
                        rows.add(file.path, *found)
                        if rows.is_full:
                            yield from rows.batches()
            yield from account.end()
        yield from rows.batches()


def _records(file: StagedFile, blocks: _Blocks) -> Iterator[_Found | Rejected]:
    zone = _zone(file)
    start = next(blocks(), b"").lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        yield Refused("line 1", Reason.EMPTY_FILE, "The file has no content.")
    elif start[:1] in b"[{":
        yield from _of_json(file, blocks, zone)
    else:
        yield from _of_table(file, blocks, zone)


def _zone(file: StagedFile) -> ZoneInfo | None:
    try:
        return ZoneInfo(file.time_zone) if file.time_zone else None
    except (ZoneInfoNotFoundError, ValueError):
        return None


# Tables ---------------------------------------------------------------------------------------


def _of_table(
    file: StagedFile, blocks: _Blocks, zone: ZoneInfo | None
) -> Iterator[_Found | Rejected]:
    if (found := tables_of_text.opened(blocks, headers.clarity)) is not None:
        text, clarity_header, line, _ = found
        whose = named_subject(file.path) or clarity.subject(text, clarity_header) or _by_file(file)
        yield from _without_zone(file, zone)
        for one in clarity.records(text, clarity_header, line, zone):
            yield one if isinstance(one, Refused) else (whose, System.CLARITY, one)
    elif (libre := tables_of_text.opened(blocks, headers.libre)) is not None:
        text, header, line, _ = libre
        order = libreview.date_order(text, header, line, file.locale)
        if order is None:
            detail = (
                "Day and month cannot be told apart in its dates: register the submitter with a locale"
                " (`lakehouse submitter add NAME --locale de-DE`) and retake it."
            )
            yield Refused(f"line {line + 1}", Reason.INVALID_VALUE, detail)
            return
        whose = named_subject(file.path) or libreview.subject(text, header, line) or _by_file(file)
        yield from _without_zone(file, zone)
        for one in libreview.records(text, header, line, order, zone):
            yield one if isinstance(one, Refused) else (whose, System.LIBREVIEW, one)
    elif (rows := tables_of_text.opened(blocks, _tidepool_header)) is not None:
        text, names, line, _ = rows
        yield from _of_tidepool_table(file, text, names, line)
    else:
        detail = "A table that is none of Dexcom Clarity, LibreView or Tidepool."
        yield Refused("line 1", Reason.WRONG_SHAPE, detail)


def _without_zone(file: StagedFile, zone: ZoneInfo | None) -> Iterator[Rejected]:
    if zone is None:
        yield Rejected(file.path, None, Reason.NO_TIME_ZONE, _NO_ZONE, records=0)


def _tidepool_header(row: list[str]) -> list[str] | None:
    names = {name.strip() for name in row}
    return row if {"type", "time"} <= names and {"uploadId", "deviceId"} & names else None


def _of_tidepool_table(
    file: StagedFile, text: tables_of_text.Text, names: list[str], line: int
) -> Iterator[_Found]:
    export = _TidepoolFile(file)
    for row in text.rows():
        if row.line <= line:
            continue
        if isinstance(row, tables_of_text.Cut):
            yield Refused(f"line {row.line}", row.reason, "The file ends in the middle.")
        elif row.cells is None or len(row.cells) != len(names):
            detail = (
                row.problem or f"{len(row.cells or [])} values in a table of {len(names)} columns."
            )
            yield Refused(f"line {row.line}", Reason.WRONG_COLUMN_COUNT, detail)
        else:
            record = {name: cell for name, cell in zip(names, row.cells, strict=True) if cell}
            yield export.read(row.line, record)


def _by_file(file: StagedFile) -> str:
    """A person of a file that names neither person nor device: the file's place below its submitter."""
    submitter = file.key.split("/")[1] if file.key.count("/") > 1 else ""
    return derived_subject("file", submitter, file.path)


# JSON -----------------------------------------------------------------------------------------


def _of_json(
    file: StagedFile, blocks: _Blocks, zone: ZoneInfo | None
) -> Iterator[_Found | Rejected]:
    content, cut = streams.read_all(blocks())
    if cut is not None and not content:
        yield Refused("record 1", Reason(cut), "The file cannot be read.")
        return
    whose, export = named_subject(file.path), _TidepoolFile(file)
    for found in json_records.records(content):
        if isinstance(found, Refused):
            yield found
            continue
        number, record = found
        if tidepool.is_record(record):
            yield export.read(number, record)
        elif nightscout.is_document(record):
            document = nightscout.read(number, record, zone)
            if isinstance(document, Refused):
                yield document
            else:
                yield whose or _of_site(file), System.NIGHTSCOUT, document
        else:
            detail = "Neither a record of Tidepool nor a document of Nightscout."
            yield Refused(f"record {number}", Reason.WRONG_SHAPE, detail)
    if cut is not None:
        yield Refused("end", Reason(cut), "The file ends in the middle.")


@dataclass(slots=True)
class _TidepoolFile:
    """Records of one export: all are the same person's, whom the first that names a user or a device names."""

    file: StagedFile
    whose: str | None = None

    def read(self, number: int, record: dict[str, Any]) -> _Found:
        read = tidepool.read(number, record)
        if isinstance(read, Refused):
            return read
        self.whose = self.whose or named_subject(self.file.path) or tidepool.subject(record)
        return self.whose or _by_file(self.file), System.TIDEPOOL, read


def _of_site(file: StagedFile) -> str:
    """A Nightscout site is one person's; its documents do not name it, the submitter does."""
    submitter = file.key.split("/")[1] if file.key.count("/") > 1 else ""
    return derived_subject("nightscout", submitter)


# Rows -----------------------------------------------------------------------------------------


class _Rows:
    """Records gathered into batches of the two tables."""

    def __init__(self) -> None:
        self._of: dict[str, list[tuple[object, ...]]] = {
            table.name: [] for table in GlucoseSource.tables
        }

    @property
    def is_full(self) -> bool:
        return any(len(rows) >= _BATCH_ROWS for rows in self._of.values())

    def add(self, path: str, whose: str, system: System, record: Record) -> None:
        moment = record.moment
        common = (
            path,
            record.position,
            whose,
            str(system),
            record.key,
            str(record.kind),
            moment.instant if moment else None,
            moment.local if moment else None,
            moment.offset_minutes if moment else None,
            record.device,
        )
        version = (record.version.modified_at, record.version.is_deleted)
        if isinstance(record, Reading):
            value = record.glucose
            own = (
                value.mg_dl.quantize(_DIGITS) if value else None,
                value.as_written if value else None,
                str(value.unit) if value else None,
                str(value.beyond) if value and value.beyond else None,
            )
            self._of[MONITOR_READING.name].append((*common, *own, *version))
        elif isinstance(record, GlucoseEvent):
            amounts = record.amounts
            self._of[MONITOR_EVENT.name].append(
                (
                    *common,
                    record.name,
                    amounts.insulin_units,
                    amounts.carbohydrates_g,
                    amounts.ketone_mmol_l,
                    amounts.duration_minutes,
                    amounts.rate_units_per_hour,
                    record.has_note,
                    *version,
                )
            )

    def batches(self) -> Iterator[Batch]:
        for table in GlucoseSource.tables:
            if rows := self._of[table.name]:
                yield Batch(table.name, _batch(table, rows))
                self._of[table.name] = []


def _batch(table: BronzeTable, rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [
        pa.array(values, field.type) for values, field in zip(columns, table.schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)
