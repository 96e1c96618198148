"""Ids sort by the order in which they were given out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.metadata.ids import next_id

NOW = datetime(2026, 1, 31, 10, 15, 0, 123_456, tzinfo=UTC)


def test_an_id_says_its_time() -> None:
    assert next_id(None, NOW).startswith("20260131T101500123-")


def test_a_clock_that_stands_still_still_gives_rising_ids() -> None:
    first = next_id(None, NOW)
    second = next_id(first, NOW)

    assert second.startswith("20260131T101500124-")


@given(st.lists(st.integers(-10_000_000, 10_000_000), max_size=30))
def test_ids_rise_whatever_the_clocks_say(offsets: list[int]) -> None:
    ids: list[str] = []
    for offset in offsets:
        latest = ids[-1] if ids else None
        ids.append(next_id(latest, NOW + timedelta(milliseconds=offset)))

    assert ids == sorted(set(ids))
