"""Dexcom Clarity's CSV: first rows about person, device and alerts, then one row per event.

Columns are found by position (:mod:`.headers`), event words by language; a word of an unknown language that nearly all
readings carry is taken for the sensor's. A glucose value may be the word for low or high.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from ingestion.reasons import Reason
from ingestion.sources.glucose import clocks
from ingestion.sources.glucose.headers import ClarityHeader
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
from ingestion.sources.glucose.tables_of_text import Cut, Row, Text
from ingestion.sources.glucose.values import NotAValue, amount, glucose
from ingestion.sources.glucose.words import meaning_of, means

_KINDS: Final = {
    "insulin": EventKind.INSULIN,
    "carbohydrates": EventKind.CARBS,
    "exercise": EventKind.EXERCISE,
    "note": EventKind.NOTE,
    "alert": EventKind.ALERT,
    "device": EventKind.DEVICE,
}
_DURATION: Final = re.compile(r"(\d{1,4}):(\d{2})(?::(\d{2}))?")
_NEARLY_ALL: Final = 0.8


def subject(text: Text, header: ClarityHeader) -> str | None:
    """A UUID for the person whom the first rows describe by first name, last name and date of birth."""
    named: list[str] = []
    for row in text.rows():
        if isinstance(row, Cut) or row.cells is None or len(row.cells) <= header.glucose:
            continue
        if row.cells[header.timestamp].strip():
            if _is_header(row, header):
                continue
            break
        if info := row.cells[header.patient_info].strip():
            named.append(info)
    return derived_subject("clarity", *named[:3]) if named else None


def records(
    text: Text, header: ClarityHeader, header_line: int, zone: ZoneInfo | None
) -> Iterator[Record | Refused]:
    """The events of the export. Rows before the first time describe it and are no events."""
    clock = clocks.WallClock(zone)
    sensor_words = meaning_of()["sensor"] | _sensor_word(text, header, header_line)
    last_key = ""
    repeated = 0
    begun = False
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
        if len(cells) < header.width:
            cells = (
                cells + [""] * (header.width - len(cells))
                if _may_be_short(cells, header)
                else cells
            )
        if len(cells) < header.width or any(cell.strip() for cell in cells[header.width :]):
            detail = f"{len(cells)} values in a table of {header.width} columns."
            yield Refused(place, Reason.WRONG_COLUMN_COUNT, detail)
            continue
        stamp = cells[header.timestamp].strip()
        if not stamp:
            if begun or _has_amount(cells, header):
                yield Refused(place, Reason.INVALID_VALUE, "The event has no time.")
            continue
        begun = True
        local = clocks.parse(stamp)
        if local is None:
            yield Refused(place, Reason.INVALID_VALUE, "The timestamp is no date and time.")
            continue
        word = cells[header.event_type].strip().casefold()
        moment = clock.moment(local, word)
        key = f"{_key_word(word, sensor_words)}:{moment.name}"
        repeated = repeated + 1 if key == last_key else 0
        last_key = key
        yield _record(
            row.line, f"{key}#{repeated}" if repeated else key, cells, header, moment, sensor_words
        )


def _record(
    line: int,
    key: str,
    cells: list[str],
    header: ClarityHeader,
    moment: clocks.Moment,
    sensor_words: frozenset[str],
) -> Record | Refused:
    place = f"line {line}"
    name = cells[header.event_type].strip()
    word = name.casefold()
    subtype = cells[header.event_subtype].strip()
    device = cells[header.source_device].strip() or None
    value = cells[header.glucose].strip()
    is_sensor = word in sensor_words
    try:
        if is_sensor or means("blood", word):
            if not value:
                return Refused(place, Reason.INVALID_VALUE, "The reading has no glucose value.")
            kind = ReadingKind.SENSOR if is_sensor else ReadingKind.BLOOD
            return Reading(line, key, kind, moment, glucose(value, header.unit), device)
        amounts = _amounts(cells, header)
    except NotAValue:
        return Refused(place, Reason.INVALID_VALUE, "A glucose value or an amount is no number.")
    kind_of_event = _kind_of(word)
    if kind_of_event is None:
        if value:
            return Refused(
                place,
                Reason.INVALID_VALUE,
                "A glucose value under an event word of no known language.",
            )
        kind_of_event = _by_amounts(amounts)
    if kind_of_event is EventKind.INSULIN:
        long_acting = any(part in subtype.casefold() for part in meaning_of()["long_acting"])
        kind_of_event = EventKind.LONG_ACTING if long_acting else EventKind.BOLUS
    is_text = kind_of_event in (EventKind.NOTE, EventKind.OTHER)
    return Event(
        position=line,
        key=key,
        kind=kind_of_event,
        moment=moment,
        name=None if is_text else " ".join(filter(None, (name, subtype))),
        amounts=amounts,
        has_note=is_text and bool(subtype),
        device=device,
    )


def _amounts(cells: list[str], header: ClarityHeader) -> Amounts:
    def cell(column: int | None) -> str:
        return cells[column] if column is not None else ""

    return Amounts(
        insulin_units=amount(cell(header.insulin)),
        carbohydrates_g=amount(cell(header.carbohydrates)),
        duration_minutes=_minutes(cell(header.duration)),
    )


def _by_amounts(amounts: Amounts) -> EventKind:
    if amounts.insulin_units is not None:
        return EventKind.INSULIN
    if amounts.carbohydrates_g is not None:
        return EventKind.CARBS
    return EventKind.EXERCISE if amounts.duration_minutes is not None else EventKind.OTHER


def _minutes(text: str) -> float | None:
    if not text.strip():
        return None
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise NotAValue
    return int(found[1]) * 60 + int(found[2]) + int(found[3] or 0) / 60


def _sensor_word(text: Text, header: ClarityHeader, header_line: int) -> frozenset[str]:
    """Where no row has a known word for the sensor: the word that nearly all glucose values with a time have."""
    words: Counter[str] = Counter()
    for row in text.rows():
        if isinstance(row, Cut) or row.cells is None or row.line <= header_line:
            continue
        if len(row.cells) > header.glucose and row.cells[header.timestamp].strip():
            word = row.cells[header.event_type].strip().casefold()
            if means("sensor", word):
                return frozenset()
            if row.cells[header.glucose].strip() and not row.cells[header.event_subtype].strip():
                words[word] += 1
    if not words:
        return frozenset()
    (word, count), *_ = words.most_common(1)
    known = _kind_of(word) is not None or means("blood", word)
    return (
        frozenset({word})
        if word and not known and count >= _NEARLY_ALL * words.total()
        else frozenset()
    )


@lru_cache(maxsize=256)
def _kind_of(word: str) -> EventKind | None:
    return next((kind for meaning, kind in _KINDS.items() if means(meaning, word)), None)


def _key_word(word: str, sensor_words: frozenset[str]) -> str:
    """The same key for the same event in exports of two languages."""
    if word in sensor_words:
        return ReadingKind.SENSOR
    if means("blood", word):
        return ReadingKind.BLOOD
    return _kind_of(word) or EventKind.OTHER


def _is_header(row: Row, header: ClarityHeader) -> bool:
    return bool(row.cells) and clocks.parse((row.cells or [""])[header.timestamp]) is None


def _has_amount(cells: list[str], header: ClarityHeader) -> bool:
    """Whether a row without a time is of an event, and no description of person, device or alerts."""
    word = cells[header.event_type].strip().casefold()
    return means("sensor", word) or means("blood", word)


def _may_be_short(cells: list[str], header: ClarityHeader) -> bool:
    """Spreadsheets leave out empty cells at a row's end."""
    return len(cells) > header.glucose
