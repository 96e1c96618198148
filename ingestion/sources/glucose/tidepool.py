"""Tidepool's records (https://tidepool.redocly.app/reference/data.v1): JSON, or their table of one row per record.

Glucose is stored in mmol/L whatever the device showed: 70 mg/dL is 3.88552.
"""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

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
    derived_subject,
)
from ingestion.sources.glucose.values import (
    Beyond,
    Glucose,
    NotAValue,
    Unit,
    glucose,
    mg_dl,
    number,
    unit_of,
)

_READINGS: Final = {"cbg": ReadingKind.SENSOR, "smbg": ReadingKind.BLOOD}
_EVENTS: Final = {
    "bolus": EventKind.BOLUS,
    "basal": EventKind.BASAL,
    "insulin": EventKind.INSULIN,
    "wizard": EventKind.MEAL_BOLUS,
    "food": EventKind.CARBS,
    "physicalActivity": EventKind.EXERCISE,
    "bloodKetone": EventKind.KETONE,
    "reportedState": EventKind.NOTE,
    "deviceEvent": EventKind.DEVICE,
    "alert": EventKind.ALERT,
}
_OUT_OF_RANGE: Final = "bg/out-of-range"
_MS_PER_MINUTE: Final = 60_000


def is_record(record: dict[str, Any]) -> bool:
    return "type" in record and (
        "uploadId" in record or "deviceTime" in record or "deviceId" in record
    )


def subject(record: dict[str, Any]) -> str | None:
    """A UUID for Tidepool's user, else for the device."""
    for name in ("userId", "_userId", "_groupId"):
        if isinstance(record.get(name), str) and record[name]:
            return derived_subject("tidepool", record[name])
    device = record.get("deviceId")
    return (
        derived_subject("tidepool device", device) if isinstance(device, str) and device else None
    )


def read(number_: int, record: dict[str, Any]) -> Record | Refused:
    """One record. ``uploadId`` and settings of pumps are events of the device."""
    place = f"record {number_}"
    kind = record.get("type")
    if not isinstance(kind, str):
        return Refused(place, Reason.WRONG_SHAPE, "The record has no type.")
    moment = _moment(record)
    if moment is None:
        return Refused(place, Reason.INVALID_VALUE, "time is no instant.")
    key = next((record[name] for name in ("id", "guid") if isinstance(record.get(name), str)), None)
    device = record.get("deviceId") if isinstance(record.get("deviceId"), str) else None
    key = key or f"{kind}:{device}:{moment.name}"
    version = Version(
        _instant(record.get("modifiedTime")), _instant(record.get("deletedTime")) is not None
    )
    if kind in _READINGS:
        try:
            value = _glucose(record)
        except NotAValue:
            detail = "value or units are missing, or are no glucose."
            return Refused(place, Reason.INVALID_VALUE, detail)
        return Reading(number_, key, _READINGS[kind], moment, value, device, version)
    try:
        amounts = _amounts(kind, record)
    except NotAValue:
        return Refused(place, Reason.INVALID_VALUE, "An amount is no number.")
    event = _EVENTS.get(kind, EventKind.DEVICE)
    name = " ".join(
        part
        for part in (kind, record.get("subType"), record.get("deliveryType"))
        if isinstance(part, str)
    )
    return Event(
        number_, key, event, moment, name, amounts, bool(record.get("notes")), device, version
    )


def _moment(record: dict[str, Any]) -> clocks.Moment | None:
    instant = _instant(record.get("time"))
    if instant is None:
        return None
    device_time = record.get("deviceTime")
    if isinstance(device_time, str) and (local := clocks.parse(device_time)) is not None:
        offset = round((local - instant.replace(tzinfo=None)).total_seconds() / 60)
        if abs(offset) <= 18 * 60:
            return clocks.Moment(local, instant, offset)
    offset_given = _decimal(record.get("timezoneOffset"))
    return clocks.at_offset(instant, int(offset_given) if offset_given is not None else 0)


def _instant(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or value is None or value == "":
        return None
    if isinstance(value, int | float | str):
        return number(str(value))
    raise NotAValue


def _glucose(record: dict[str, Any]) -> Glucose:
    value, unit = _decimal(record.get("value")), record.get("units")
    known = unit_of(unit) if isinstance(unit, str) else None
    if value is None or known is None:
        raise NotAValue
    found = glucose(str(value), known)
    beyond = _beyond(record.get("annotations"))
    if beyond is None:
        return found
    limit, which = beyond
    just_beyond = Decimal(39) if which is Beyond.LOW else Decimal(401)
    if limit is not None:
        low = which is Beyond.LOW
        in_mg = limit if limit > 30 else mg_dl(limit, Unit.MMOL_L)
        just_beyond = in_mg - 1 if low else in_mg + 1
    return Glucose(just_beyond, found.as_written, known, which)


def _beyond(annotations: Any) -> tuple[Decimal | None, Beyond] | None:
    """What an annotation says of a reading beyond the device's range: its limit, and on which side."""
    if isinstance(annotations, str):  # as tables of records write lists
        try:
            annotations = ast.literal_eval(annotations)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    if not isinstance(annotations, list):
        return None
    for one in annotations:
        if isinstance(one, dict) and one.get("code") == _OUT_OF_RANGE:
            side = one.get("value")
            if side in ("low", "high"):
                try:
                    return _decimal(one.get("threshold")), Beyond(side)
                except NotAValue:
                    return None, Beyond(side)
    return None


def _amounts(kind: str, record: dict[str, Any]) -> Amounts:
    def of(name: str) -> float | None:
        value = _decimal(record.get(name))
        if value is not None and value < 0:
            raise NotAValue
        return None if value is None else float(value)

    duration = of("duration") if kind in ("basal", "bolus", "deviceEvent") else None
    if kind == "bolus":
        parts = [part for part in (of("normal"), of("extended")) if part is not None]
        return Amounts(
            insulin_units=sum(parts) if parts else None, duration_minutes=_minutes(duration)
        )
    if kind == "basal":
        rate = of("rate")
        hours = duration / 3_600_000 if duration is not None else None
        dose = rate * hours if rate is not None and hours is not None else None
        return Amounts(
            insulin_units=dose, duration_minutes=_minutes(duration), rate_units_per_hour=rate
        )
    if kind == "wizard":
        return Amounts(carbohydrates_g=of("carbInput"))
    if kind == "food":
        return Amounts(carbohydrates_g=_nested(record, "nutrition", "carbohydrate", "net"))
    if kind == "insulin":
        return Amounts(insulin_units=_nested(record, "dose", "total"))
    if kind == "bloodKetone":
        return Amounts(ketone_mmol_l=of("value"))
    return Amounts(duration_minutes=_minutes(duration))


def _minutes(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / _MS_PER_MINUTE


def _nested(record: dict[str, Any], *names: str) -> float | None:
    value: Any = record
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    found = _decimal(value)
    return None if found is None else float(found)
