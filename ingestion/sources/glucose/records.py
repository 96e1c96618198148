"""What the readers give: glucose readings, other events of a device or a diary, and what is not taken.

A subject is one person's series. It is the id that the drop names (a folder ``subject=<id>``); else a UUID made of
what the file says of the person or the device, so that the same person's next export joins the series.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from ingestion.reasons import Reason
from ingestion.sources import FileRead, Rejected
from ingestion.sources.glucose.clocks import Moment
from ingestion.sources.glucose.values import Glucose

#: Beyond this many, rejections of one reason in one file are counted in one line.
_LISTED_REJECTIONS: Final = 100
_SUBJECT_FOLDER: Final = re.compile(r"subject=([A-Za-z0-9][A-Za-z0-9._-]{0,63})")
_NAMESPACE: Final = uuid.UUID("b0b0f3a6-6d0b-5b6a-9d0e-0f4b2f7c3c11")


class System(StrEnum):
    """Where records come from."""

    CLARITY = "dexcom_clarity"
    LIBREVIEW = "libreview"
    TIDEPOOL = "tidepool"
    NIGHTSCOUT = "nightscout"


class ReadingKind(StrEnum):
    """How glucose was measured. Metrics are of ``sensor`` readings alone."""

    SENSOR = "sensor"
    SCAN = "scan"
    BLOOD = "blood"


class EventKind(StrEnum):
    """What else happened."""

    BOLUS = "bolus"
    BASAL = "basal"
    LONG_ACTING = "long_acting_insulin"
    INSULIN = "insulin"
    CARBS = "carbohydrates"
    MEAL_BOLUS = "meal_bolus"
    EXERCISE = "exercise"
    KETONE = "ketone"
    NOTE = "note"
    ALERT = "alert"
    DEVICE = "device"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Version:
    """Which version of a record of a service this is; files of exports have none."""

    modified_at: datetime | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading. ``glucose`` is None only where a version deletes it, ``moment`` too."""

    position: int
    key: str
    kind: ReadingKind
    moment: Moment | None
    glucose: Glucose | None
    device: str | None = None
    version: Version = Version()


@dataclass(frozen=True, slots=True)
class Amounts:
    """What an event was of: insulin in units, carbohydrates in g, ketones in mmol/L, time in minutes."""

    insulin_units: float | None = None
    carbohydrates_g: float | None = None
    ketone_mmol_l: float | None = None
    duration_minutes: float | None = None
    rate_units_per_hour: float | None = None

    def __bool__(self) -> bool:
        return self != _NO_AMOUNTS


_NO_AMOUNTS: Final = Amounts()


@dataclass(frozen=True, slots=True)
class Event:
    """Insulin, food, exercise, a note, an alarm: what is not a reading of glucose.

    ``name`` is the source's own word for it. Texts that people write are not kept: they name people.
    """

    position: int
    key: str
    kind: EventKind
    moment: Moment | None
    name: str | None = None
    amounts: Amounts = Amounts()
    has_note: bool = False
    device: str | None = None
    version: Version = Version()


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is not taken. ``detail`` names columns and rules, never a value."""

    place: str
    reason: Reason
    detail: str


Record = Reading | Event


@dataclass(slots=True)
class Account:
    """The counts of one file: what was taken of it, and what was not and why."""

    path: str
    accepted: int = 0
    quarantined: int = 0
    _listed: dict[Reason, int] = field(default_factory=dict)
    _unlisted: dict[Reason, int] = field(default_factory=dict)

    def reject(self, refused: Refused) -> Iterator[Rejected]:
        self.quarantined += 1
        listed = self._listed.get(refused.reason, 0)
        if listed < _LISTED_REJECTIONS:
            self._listed[refused.reason] = listed + 1
            yield Rejected(self.path, refused.place, refused.reason, refused.detail)
        else:
            self._unlisted[refused.reason] = self._unlisted.get(refused.reason, 0) + 1

    def end(self) -> Iterator[Rejected | FileRead]:
        for reason, count in self._unlisted.items():
            yield Rejected(
                self.path, None, reason, f"{count} more records of this file.", records=count
            )
        arrived = self.accepted + self.quarantined
        yield FileRead(self.path, arrived, self.accepted, self.quarantined)


def named_subject(path: str) -> str | None:
    """The id in a folder ``subject=<id>`` of the drop, the innermost one."""
    for folder in reversed(path.split("/")[:-1]):
        if found := _SUBJECT_FOLDER.fullmatch(folder):
            return found[1]
    return None


def derived_subject(*parts: str) -> str:
    """A UUID (RFC 9562, version 5) for a person or device that a file names."""
    return str(
        uuid.uuid5(_NAMESPACE, "\x1f".join(" ".join(part.split()).casefold() for part in parts))
    )


def as_number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
