"""Nightscout's documents: entries and treatments, as its API gives them (v1: bare lists; v3: ``result``).

A document is named by ``identifier``; one that was written through v1 has ``_id`` alone, and v3 shows that as its
identifier. ``isValid: false`` says that it was deleted, ``srvModified`` when (lib/api3/doc/tutorial.md there).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from ingestion.reasons import Reason
from ingestion.sources.glucose import clocks
from ingestion.sources.glucose.records import (
    Amounts,
    Event,
    EventKind,
    Reading,
    ReadingKind,
    Record,
    Refused,
    Version,
)
from ingestion.sources.glucose.values import (
    Beyond,
    Glucose,
    NotAValue,
    Unit,
    mg_dl,
    number,
    unit_of,
)

_ENTRIES: Final = {"sgv": ReadingKind.SENSOR, "mbg": ReadingKind.BLOOD}
#: Below this a Dexcom receiver's "glucose" is one of its error codes (1 sensor not active … 12 bad RF).
_ERROR_CODES_BELOW: Final = 13
_EARLIEST_MS: Final = 946_684_800_000  # 2000-01-01: seconds are mistaken for milliseconds below
_MOST: Final = 2000
#: What writes the readings of a Dexcom sensor names it so; its range ends at 400 mg/dL, a Libre's at 500.
_DEXCOM: Final = ("dexcom", "share", "g4", "g5", "g6", "g7")
_EVENTS: Final = {
    "temp basal": EventKind.BASAL,
    "combo bolus": EventKind.BOLUS,
    "correction bolus": EventKind.BOLUS,
    "snack bolus": EventKind.MEAL_BOLUS,
    "meal bolus": EventKind.MEAL_BOLUS,
    "bolus wizard": EventKind.MEAL_BOLUS,
    "bolus": EventKind.BOLUS,
    "smb": EventKind.BOLUS,
    "carb correction": EventKind.CARBS,
    "exercise": EventKind.EXERCISE,
    "note": EventKind.NOTE,
    "question": EventKind.NOTE,
    "announcement": EventKind.NOTE,
    "bg check": EventKind.OTHER,
}


def is_document(record: dict[str, Any]) -> bool:
    return _is_entry(record) or "eventType" in record or record.get("isValid") is False


def _is_entry(record: dict[str, Any]) -> bool:
    return "sgv" in record or "mbg" in record or record.get("type") in ("sgv", "mbg", "cal")


def read(number_: int, record: dict[str, Any], zone: ZoneInfo | None) -> Record | Refused:
    """One document."""
    place = f"record {number_}"
    is_deleted = record.get("isValid") is False
    key = next(
        (record[name] for name in ("identifier", "_id") if isinstance(record.get(name), str)), None
    )
    instant = _instant(record)
    if instant is None and not (is_deleted and key):
        return Refused(place, Reason.INVALID_VALUE, "The document has no date.")
    moment = _moment(record, instant, zone) if instant is not None else None
    is_entry = _is_entry(record)
    key = key or f"{record.get('type') if is_entry else record.get('eventType')}:{instant}"
    device = record.get("device") if isinstance(record.get("device"), str) else None
    # What API v1 alone has says nothing of its changes: then it is as of the pull.
    changed = _milliseconds(record.get("srvModified")) or _milliseconds(record.get("pulledAt"))
    version = Version(changed, is_deleted)
    if not is_entry:
        return _event(number_, key, record, moment, device, version)
    kind = (
        "mbg" if record.get("type") == "mbg" or ("mbg" in record and "sgv" not in record) else "sgv"
    )
    if record.get("type") == "cal":
        return Event(
            number_, key, EventKind.DEVICE, moment, "calibration", device=device, version=version
        )
    try:
        value = _glucose(record, kind, device)
    except NotAValue:
        if not is_deleted:
            detail = f"{kind} is missing, no glucose, or an error code of the sensor."
            return Refused(place, Reason.INVALID_VALUE, detail)
        value = None
    return Reading(number_, key, _ENTRIES[kind], moment, value, device, version)


def _event(
    number_: int,
    key: str,
    record: dict[str, Any],
    moment: clocks.Moment | None,
    device: str | None,
    version: Version,
) -> Record | Refused:
    name = record.get("eventType")
    if not isinstance(name, str) and not version.is_deleted:
        return Refused(f"record {number_}", Reason.WRONG_SHAPE, "Neither an entry nor a treatment.")
    try:
        amounts = _amounts(record)
    except NotAValue:
        detail = "insulin, carbs, duration or rate is no number."
        return Refused(f"record {number_}", Reason.INVALID_VALUE, detail)
    kind = _EVENTS.get(name.strip().casefold()) if isinstance(name, str) else EventKind.OTHER
    if kind is None:
        kind = _by_amounts(amounts)
    # Whoever makes an event type of their own may write a text there: only known ones are kept.
    known = name.strip() if isinstance(name, str) and name.strip().casefold() in _EVENTS else None
    has_note = bool(record.get("notes"))
    return Event(number_, key, kind, moment, known, amounts, has_note, device, version)


def _by_amounts(amounts: Amounts) -> EventKind:
    if amounts.insulin_units is not None:
        return EventKind.MEAL_BOLUS if amounts.carbohydrates_g is not None else EventKind.BOLUS
    return EventKind.CARBS if amounts.carbohydrates_g is not None else EventKind.OTHER


def _amounts(record: dict[str, Any]) -> Amounts:
    def of(name: str) -> float | None:
        value = _decimal(record.get(name))
        if value is not None and value < 0:
            raise NotAValue
        return None if value is None else float(value)

    rate = of("absolute") if record.get("absolute") is not None else of("rate")
    return Amounts(
        insulin_units=of("insulin"),
        carbohydrates_g=of("carbs"),
        duration_minutes=of("duration"),
        rate_units_per_hour=rate,
    )


def _glucose(record: dict[str, Any], name: str, device: str | None) -> Glucose:
    value = _decimal(record.get(name))
    if value is None or not 0 < value <= _MOST:
        raise NotAValue
    unit = unit_of(record["units"]) if isinstance(record.get("units"), str) else None
    if (
        unit is Unit.MMOL_L and value <= 40
    ):  # entries are in mg/dL unless a v3 writer says otherwise
        return Glucose(mg_dl(value, Unit.MMOL_L), str(value), Unit.MMOL_L)
    if name == "sgv" and value < _ERROR_CODES_BELOW:
        raise NotAValue
    beyond, shown = None, value
    if name == "sgv":
        highest = 400 if any(word in (device or "").casefold() for word in _DEXCOM) else 500
        if value < 40:
            beyond, shown = Beyond.LOW, Decimal(39)
        elif value > highest:
            beyond, shown = Beyond.HIGH, Decimal(highest + 1)
    return Glucose(shown, str(value), Unit.MG_DL, beyond)


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or value is None or value == "":
        return None
    if isinstance(value, int | float | str):
        return number(str(value))
    raise NotAValue


def _instant(record: dict[str, Any]) -> datetime | None:
    """``date`` in milliseconds (v3 takes seconds and ISO texts too), else ``created_at`` or ``dateString``."""
    for name in ("date", "mills", "created_at", "dateString", "sysTime", "timestamp"):
        value = record.get(name)
        if (found := _milliseconds(value)) is not None:
            return found
        if isinstance(value, str):
            try:
                parsed = datetime.fromisoformat(value)
            except ValueError:
                continue
            return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return None


def _milliseconds(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    moment = value if value >= _EARLIEST_MS else value * 1000
    if not _EARLIEST_MS <= moment < 4_102_444_800_000:
        return None
    return datetime.fromtimestamp(moment / 1000, UTC)


def _moment(record: dict[str, Any], instant: datetime, zone: ZoneInfo | None) -> clocks.Moment:
    """The uploader's offset; many write UTC and an offset of 0, then the submitter's zone where it is known."""
    offset = record.get("utcOffset")
    given = int(offset) if isinstance(offset, int | float) and abs(offset) <= 18 * 60 else 0
    if given == 0 and zone is not None:
        return clocks.in_zone(instant, zone)
    return clocks.at_offset(instant, given)
