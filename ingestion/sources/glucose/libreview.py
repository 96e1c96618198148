"""LibreView's CSV (and the tab-separated text of the FreeStyle Libre desktop program).

A line about the export, a header, one row per reading or entry; ``record type`` says which: 0 history, 1 scan,
2 test strip, 3 ketone, 4 insulin, 5 food, 6 anything else. Columns are found by position (:mod:`.headers`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from ingestion.reasons import Reason
from ingestion.sources.glucose import clocks
from ingestion.sources.glucose.headers import LibreHeader
from ingestion.sources.glucose.records import (
    Amounts,
    Event,
    EventKind,
    Reading,
    ReadingKind,
    Record,
    Refused,
    derived_subject,
)
from ingestion.sources.glucose.tables_of_text import Cut, Text
from ingestion.sources.glucose.values import NotAValue, Unit, amount, glucose, number

#: A Libre sensor reads 40 to 500 mg/dL and writes HI above.
_HIGHEST: Final = 500
_READINGS: Final = {"0": ReadingKind.SENSOR, "1": ReadingKind.SCAN, "2": ReadingKind.BLOOD}
_TYPES: Final = frozenset("0123456")


def subject(text: Text, header: LibreHeader, header_line: int) -> str | None:
    """A UUID for the device with the first serial number; the line above the header names who made the export,
    who need not be the patient."""
    if header.serial is None:
        return None
    for row in text.rows():
        if isinstance(row, Cut) or row.line <= header_line or row.cells is None:
            continue
        if len(row.cells) > header.serial and (serial := row.cells[header.serial].strip()):
            return derived_subject("libre", serial)
    return None


def date_order(
    text: Text, header: LibreHeader, header_line: int, locale: str | None
) -> clocks.DateOrder | None:
    """The order of day and month that the file's dates have; None where nothing tells."""

    def texts() -> Iterator[str]:
        for row in text.rows():
            if isinstance(row, Cut) or row.cells is None or row.line <= header_line:
                continue
            if len(row.cells) > header.timestamp:
                yield row.cells[header.timestamp]

    return clocks.date_order(texts(), locale)


def records(
    text: Text,
    header: LibreHeader,
    header_line: int,
    order: clocks.DateOrder,
    zone: ZoneInfo | None,
) -> Iterator[Record | Refused]:
    """The readings and entries of the export, row by row."""
    clock = clocks.WallClock(zone)
    last_of: dict[tuple[str, str], tuple[str, int]] = {}
    for row in text.rows():
        if row.line <= header_line:
            continue
        place = f"line {row.line}"
        if isinstance(row, Cut):
            yield Refused(place, row.reason, "The file ends in the middle.")
            return
        cells = row.cells
        if cells is None:
            yield Refused(place, Reason.WRONG_SHAPE, row.problem)
            continue
        if header.scan < len(cells) < header.width:
            cells = cells + [""] * (header.width - len(cells))
        if len(cells) < header.width or any(cell.strip() for cell in cells[header.width :]):
            detail = f"{len(cells)} values in a table of {header.width} columns."
            yield Refused(place, Reason.WRONG_COLUMN_COUNT, detail)
            continue
        local = clocks.parse(cells[header.timestamp], order)
        if local is None:
            yield Refused(place, Reason.INVALID_VALUE, "The device's time is no date and time.")
            continue
        kind = cells[header.record_type].strip()
        if kind not in _TYPES:
            yield Refused(place, Reason.INVALID_VALUE, "The record type is none of 0 to 6.")
            continue
        serial = cells[header.serial].strip() if header.serial is not None else ""
        moment = clock.moment(local, (serial, kind))
        key = f"{serial}:{kind}:{moment.name}"
        before, times = last_of.get((serial, kind), ("", 0))
        times = times + 1 if key == before else 0
        last_of[serial, kind] = (key, times)
        if times:
            key = f"{key}#{times}"
        try:
            yield _record(row.line, key, kind, cells, header, moment)
        except NotAValue:
            yield Refused(place, Reason.INVALID_VALUE, "A glucose value or an amount is no number.")


def _record(
    line: int, key: str, kind: str, cells: list[str], header: LibreHeader, moment: clocks.Moment
) -> Record | Refused:
    device = cells[header.device].strip() or None if header.device is not None else None
    if (reading := _READINGS.get(kind)) is not None:
        column = {"0": header.historic, "1": header.scan, "2": header.strip}[kind]
        unit: Unit = header.strip_unit if kind == "2" else header.unit
        value = cells[column].strip()
        if not value:
            detail = "The reading has no glucose value in the column of its record type."
            return Refused(f"line {line}", Reason.INVALID_VALUE, detail)
        return Reading(line, key, reading, moment, glucose(value, unit, highest=_HIGHEST), device)
    amounts = _amounts(cells, header)
    has_note = any(
        cells[column].strip()
        for column in (header.notes, header.rapid_text, header.food_text, header.long_text)
    )
    return Event(
        line,
        key,
        _kind(kind, cells, header),
        moment,
        name=None,
        amounts=amounts,
        has_note=has_note,
        device=device,
    )


def _amounts(cells: list[str], header: LibreHeader) -> Amounts:
    def of(*columns: int | None) -> float | None:
        found = [amount(cells[column]) for column in columns if column is not None]
        given = [one for one in found if one is not None]
        return sum(given) if given else None

    ketone = cells[header.ketone].strip()
    rapid = of(header.rapid_units)
    # The meal's and the correction's share make up the rapid-acting dose where both are given.
    shares = of(header.meal_units, header.correction_units)
    long_acting = of(header.long_units)
    dose = rapid if rapid is not None else shares
    return Amounts(
        insulin_units=dose if dose is not None else long_acting,
        carbohydrates_g=of(header.carbohydrates),
        ketone_mmol_l=_ketone(ketone) if ketone else None,
    )


def _ketone(text: str) -> float:
    value = number(text.upper().replace("HI", "8.1").replace("LO", "0"))
    if value < 0:
        raise NotAValue
    return float(value)


def _kind(kind: str, cells: list[str], header: LibreHeader) -> EventKind:
    if kind == "3":
        return EventKind.KETONE
    if kind == "4":
        is_long = bool(cells[header.long_units].strip() or cells[header.long_text].strip())
        is_rapid = bool(cells[header.rapid_units].strip() or cells[header.rapid_text].strip())
        return EventKind.LONG_ACTING if is_long and not is_rapid else EventKind.BOLUS
    if kind == "5":
        return EventKind.CARBS
    return EventKind.NOTE if cells[header.notes].strip() else EventKind.OTHER
