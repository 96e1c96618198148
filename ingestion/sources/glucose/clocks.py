"""The clocks of devices: dates in the forms that exports write them, and instants of times without zone.

A device shows local time. The hour that is repeated when summer time ends is told apart by the order of
the records; without a known zone there is a local time and no instant.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

_DATE_TIME: Final = re.compile(
    r"\s*(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})\.?(?:T|,?\s+)(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?"
    r"\s*(?:([AaPp])\.?\s?[Mm]\.?)?\s*"
)
#: Territories that write the month before the day (CLDR: dateFormat short M/d/y).
_MONTH_FIRST: Final = frozenset(
    {"US", "PH", "PR", "GU", "VI", "AS", "MP", "UM", "FM", "MH", "PW", "BZ"}
)


class DateOrder(StrEnum):
    """Which part of a date with a two- or four-digit year at its end comes first."""

    DAY_FIRST = "day first"
    MONTH_FIRST = "month first"


def parse(text: str, order: DateOrder = DateOrder.DAY_FIRST) -> datetime | None:
    """A local date and time; a year at the start needs no ``order``. None where it is none."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    first, second, third, hour, minute, seconds, half = found.groups()
    if len(first) == 4:
        year, month, day = int(first), int(second), int(third)
    elif len(third) in (2, 4):
        year = int(third) + (2000 if len(third) == 2 else 0)
        month, day = int(second), int(first)
        if order is DateOrder.MONTH_FIRST:
            month, day = day, month
    else:
        return None
    hours = int(hour)
    if half is not None:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if half in "Pp" else 0)
    try:
        return datetime(year, month, day, hours, int(minute), int(seconds or 0))
    except ValueError:
        return None


def order_of_locale(locale: str | None) -> DateOrder | None:
    """How a locale (BCP 47) writes its dates; None without one that names a territory."""
    if not locale:
        return None
    territories = [part for part in re.split(r"[-_]", locale)[1:] if len(part) == 2]
    if not territories:
        return None
    first = territories[0].upper() in _MONTH_FIRST
    return DateOrder.MONTH_FIRST if first else DateOrder.DAY_FIRST


def date_order(texts: Iterable[str], locale: str | None) -> DateOrder | None:
    """The order that the dates of one file have; None where they leave it open.

    A number above 12 decides; then a clock of twelve hours, which is written with the month first; then the
    ``locale``; then the order in which records follow each other in days, not in months.
    """
    first_of: Counter[int] = Counter()
    second_of: Counter[int] = Counter()
    seen: list[tuple[int, int, str]] = []
    last: tuple[int, int, str] | None = None
    twelve_hours = False
    for text in texts:
        found = _DATE_TIME.fullmatch(text)
        if found is None or len(found[1]) == 4:
            continue
        date = (int(found[1]), int(found[2]), found[3])
        twelve_hours = twelve_hours or found[7] is not None
        first_of[date[0]] += 1
        second_of[date[1]] += 1
        if date != last and len(seen) < 10_000:
            seen.append(date)
        last = date
    if not first_of:
        return DateOrder.DAY_FIRST  # every date has its year first
    day_first, month_first = max(first_of) > 12, max(second_of) > 12
    if day_first != month_first:
        return DateOrder.DAY_FIRST if day_first else DateOrder.MONTH_FIRST
    if twelve_hours:
        return DateOrder.MONTH_FIRST
    return order_of_locale(locale) or _by_succession(seen)


def _by_succession(dates: list[tuple[int, int, str]]) -> DateOrder | None:
    """The order under which neighbours are less far apart; the other would go through the year in leaps."""
    spans = []
    for order in DateOrder:
        days = [
            day for a, b, year in dates if (day := parse(f"{a}-{b}-{year} 0:00", order)) is not None
        ]
        spans.append(sum(abs((b - a).days) for a, b in pairwise(days)))
    if spans[0] == spans[1]:
        return None
    return DateOrder.DAY_FIRST if spans[0] < spans[1] else DateOrder.MONTH_FIRST


@dataclass(frozen=True, slots=True)
class Moment:
    """A local time as the device showed it; the instant and the offset where they are known."""

    local: datetime
    instant: datetime | None = None
    offset_minutes: int | None = None
    #: Whether it is in the second passing of an hour that is repeated.
    repeated: bool = False

    @property
    def name(self) -> str:
        """The local time as one text, told apart from the same time an hour before."""
        return self.local.isoformat() + ("b" if self.repeated else "")


def at_offset(instant: datetime, minutes: int) -> Moment:
    """The moment of an instant whose offset the source gives."""
    local = (instant.astimezone(UTC) + timedelta(minutes=minutes)).replace(tzinfo=None)
    return Moment(local, instant.astimezone(UTC), minutes)


def in_zone(instant: datetime, zone: ZoneInfo) -> Moment:
    """The moment of an instant in a zone."""
    there = instant.astimezone(zone)
    offset = there.utcoffset() or timedelta()
    return Moment(
        there.replace(tzinfo=None), instant.astimezone(UTC), round(offset.total_seconds() / 60)
    )


@lru_cache(maxsize=4096)
def _offsets(zone: ZoneInfo, hour: datetime) -> tuple[timedelta, timedelta]:
    """The offsets of a quarter of an hour: of its first and of its second passing."""
    before, after = hour.replace(tzinfo=zone, fold=0), hour.replace(tzinfo=zone, fold=1)
    return before.utcoffset() or timedelta(), after.utcoffset() or timedelta()


@dataclass(slots=True)
class _Track:
    """Where a series of records is: its last local time, which way it goes, which passing of an hour."""

    last: datetime
    forwards: bool = True
    second: bool | None = None


@dataclass(slots=True)
class WallClock:
    """Instants of the local times of one file, whose records come in the order of each series."""

    zone: ZoneInfo | None
    _tracks: dict[object, _Track] = field(default_factory=dict)

    def moment(self, local: datetime, series: object = None) -> Moment:
        """The moment of a record's local time; ``series`` names the device and kind that it belongs to."""
        if self.zone is None:
            return Moment(local)
        first, second = _offsets(
            self.zone, local.replace(minute=local.minute // 15 * 15, second=0, microsecond=0)
        )
        # Only a repeated hour has its greater offset first; a skipped one is counted on from before it.
        offset, repeated = first, False
        if first <= second:
            self._follow(local, series)
        elif self._is_second(local, series):
            offset, repeated = second, True
        minutes = round(offset.total_seconds() / 60)
        return Moment(local, (local - offset).replace(tzinfo=UTC), minutes, repeated)

    def _follow(self, local: datetime, series: object) -> None:
        track = self._tracks.get(series)
        if track is None:
            self._tracks[series] = _Track(local)
            return
        if local != track.last:
            track.forwards = local > track.last
        track.last, track.second = local, None

    def _is_second(self, local: datetime, series: object) -> bool:
        track = self._tracks.setdefault(series, _Track(local))
        near = abs(local - track.last) <= timedelta(hours=3)
        if track.second is None or not near:
            if near and local != track.last:
                track.forwards = local > track.last
            track.second = not track.forwards
        elif local < track.last:
            track.second = track.second or track.forwards
        elif local > track.last and not track.forwards:
            track.second = False
        track.last = local
        return track.second
