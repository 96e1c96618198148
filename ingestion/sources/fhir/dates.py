"""Dates as FHIR writes them, and whether they exist."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

#: A day that exists, leap years included, so that casting it never fails.
_DAY: Final = (
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    r"|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
#: dateTime of R4 (https://hl7.org/fhir/R4/datatypes.html#dateTime), and what many systems write in
#: its place: without seconds, without an offset.
_DATE_TIME: Final = re.compile(
    rf"^(?:{_DAY}(?:T(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d+)?)?"
    r"(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)?)?|\d{4}(?:-(?:0[1-9]|1[0-2]))?)\Z"
)
NOT_A_DATE: Final = "Not a date that exists"

#: Dates seen so far: the resources of one encounter share theirs, so most are found here.
_seen: set[str | None] = {None}
_KEPT: Final = 100_000
#: Whether each of some values was seen.
all_seen: Final = _seen.issuperset


def is_date(value: str) -> bool:
    """Whether ``value`` is a date, partial date or date with time that exists."""
    return _DATE_TIME.search(value) is not None


def check_dates(name: str, values: Iterable[str | None]) -> None:
    """Raise ValueError for the first of the element's values that is no date."""
    if len(_seen) > _KEPT:
        _seen.clear()
        _seen.add(None)
    for value in values:
        if value is not None and not is_date(value):
            raise ValueError(f"{NOT_A_DATE}: {name}")
        _seen.add(value)
