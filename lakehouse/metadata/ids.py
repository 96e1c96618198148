"""Ids that sort by the order in which they were given out, for submissions and builds."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

_FORMAT = "%Y%m%dT%H%M%S"
_TIME_LENGTH = len("20260131T101500123")


def next_id(latest: str | None, now: datetime) -> str:
    """An id such as ``20260131T101500123-a1b2c3`` that sorts after ``latest``.

    Time runs on by a millisecond where the clock stands still or has gone back, so that the order
    of ids is the order of registration whatever the clocks of several hosts say. The caller holds
    the lock under which ids are given out.
    """
    moment = now.astimezone(UTC)
    moment -= timedelta(microseconds=moment.microsecond % 1000)
    if latest is not None:
        moment = max(moment, _moment(latest) + timedelta(milliseconds=1))
    milliseconds = moment.microsecond // 1000
    return f"{moment.strftime(_FORMAT)}{milliseconds:03d}-{secrets.token_hex(3)}"


def _moment(identifier: str) -> datetime:
    return datetime.strptime(identifier[:_TIME_LENGTH] + "000", _FORMAT + "%f").replace(tzinfo=UTC)
