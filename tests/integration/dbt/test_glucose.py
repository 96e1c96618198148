"""Glucose from Bronze to the metrics of the international consensus, at each of its limits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.dbt.bronze import Silver
from tests.integration.dbt.conftest import fresh_silver, parsed_once

__all__ = ["parsed_once"]

_MODELS = "+glucose_daily +glucose_profile +glucose_episodes treatment"
_START = datetime(2026, 3, 2)


def reading(
    subject: str,
    local: datetime,
    glucose: float,
    *,
    system: str = "dexcom_clarity",
    offset: int = 0,
    unit: str = "mg/dL",
    written: str | None = None,
    beyond: str | None = None,
    **more: object,
) -> dict[str, object]:
    """A row of Bronze as the source writes it."""
    return {
        "subject_id": subject,
        "system": system,
        "record_key": f"sensor:{local.isoformat()}:{offset}",
        "kind": "sensor",
        "measured_at": (local - timedelta(minutes=offset)).replace(tzinfo=UTC),
        "local_time": local,
        "utc_offset_minutes": offset,
        "glucose_mg_dl": Decimal(str(round(glucose, 5))),
        "value_as_written": written or str(glucose),
        "unit": unit,
        "out_of_range": beyond,
        "is_deleted": False,
    } | more


def series(
    subject: str, values: list[float], *, start: datetime = _START, **more: Any
) -> list[dict[str, object]]:
    """Readings every five minutes."""
    return [
        reading(subject, start + timedelta(minutes=5 * number), value, **more)
        for number, value in enumerate(values)
    ]


@pytest.fixture(scope="module")
def lake(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, parsed_once: Path
) -> Iterator[Silver]:
    """One drop with a subject for each question, and one build."""
    rows: list[dict[str, object]] = []
    low = [reading("words", _START + timedelta(minutes=5 * n), 39, beyond="low") for n in range(72)]
    high = [
        reading("words", _START + timedelta(minutes=5 * n), 401, beyond="high")
        for n in range(72, 96)
    ]
    rows += [*low, *high, *series("words", [100, 140] * 96, start=_START + timedelta(hours=8))]
    rows += series("limits", [53, 54, 69, 70, 140, 141, 180, 181, 250, 251])
    tenths = ["2.9", "3.0", "3.8", "3.9", "7.8", "7.9", "10.0", "10.1", "13.9", "14.0"]
    rows += [
        one | {"value_as_written": text, "unit": "mmol/L"}
        for one, text in zip(
            series("tenths", [float(text) * 18.0156 for text in tenths]), tenths, strict=True
        )
    ]
    # The day on which clocks go back in Berlin has 25 hours.
    instants = [datetime(2026, 10, 24, 22) + timedelta(minutes=5 * n) for n in range(300)]
    for instant in instants:
        offset = 120 if instant < datetime(2026, 10, 25, 1) else 60
        rows.append(reading("autumn", instant + timedelta(minutes=offset), 100, offset=offset))
    shared = series("twice", [100] * 10)
    passed_on = series(
        "twice", [101] * 12, start=_START + timedelta(seconds=40), system="nightscout"
    )
    rows += [*shared, *passed_on]
    # A system without a zone and one with instants: their local times are compared.
    rows += [one | {"measured_at": None} for one in series("unzoned", [100] * 6)]
    rows += series(
        "unzoned",
        [101] * 12,
        start=_START + timedelta(seconds=40),
        system="nightscout",
        offset=-300,
    )
    rows += series(
        "episodes",
        [100, 65, 65, 100, 100, 100, 100, 65, 65, 65, 100, 100, 65, 50, 50, 50, 100, 100, 100, 100],
    )
    with fresh_silver(postgres_url, tmp_path_factory.mktemp("lake"), parsed_once) as silver:
        silver.land(
            monitor_reading=rows,
            monitor_event=[
                {
                    "subject_id": "words",
                    "system": "dexcom_clarity",
                    "record_key": kind,
                    "kind": kind,
                    "local_time": _START,
                    "is_deleted": False,
                }
                for kind in ("bolus", "alert")
            ],
        )
        silver.build(select=_MODELS)
        yield silver


def day_of(lake: Silver, subject: str) -> dict[str, Any]:
    found = lake.connection.execute(
        "select * from lake.gold.glucose_day where subject_id = ?", [subject]
    )
    names = [column[0] for column in found.description or ()]
    (row,) = found.fetchall()
    return dict(zip(names, row, strict=True))


def test_readings_beyond_the_sensors_limits_count_in_their_class_and_in_no_mean(
    lake: Silver,
) -> None:
    day = day_of(lake, "words")

    assert (day["reading_count"], day["active_percent"], day["out_of_range_count"]) == (
        288,
        100,
        96,
    )
    assert (day["very_low_percent"], day["in_range_percent"], day["very_high_percent"]) == (
        25,
        66.67,
        8.33,
    )
    assert (day["mean_mg_dl"], day["gmi_percent"]) == (120, 6.18)
    assert day["cv_percent"] == pytest.approx(16.71, abs=0.01)


@pytest.mark.parametrize("subject", ["limits", "tenths"])
def test_limits_are_inclusive_as_the_consensus_has_them(lake: Silver, subject: str) -> None:
    found = lake.connection.execute(
        "select glucose_class from lake.silver.glucose_reading where subject_id = ? order by local_time",
        [subject],
    ).fetchall()

    assert [one for (one,) in found] == [
        "very_low",
        "low",
        "low",
        "tight_target",
        "tight_target",
        "target",
        "target",
        "high",
        "high",
        "very_high",
    ]
    day = day_of(lake, subject)
    assert (day["in_range_percent"], day["tight_range_percent"]) == (40, 20)
    assert (day["low_percent"], day["very_low_percent"]) == (20, 10)
    assert day["active_percent"] == 3.47  # ten of 288: of the calendar day, not of the time worn
    assert day["is_sufficient"] is False


def test_a_day_of_25_hours_expects_25_hours_of_readings(lake: Silver) -> None:
    day = day_of(lake, "autumn")

    assert (day["reading_count"], day["expected_count"], day["active_percent"]) == (300, 300, 100)


@pytest.mark.parametrize(("subject", "own", "passed_on"), [("twice", 10, 2), ("unzoned", 6, 6)])
def test_what_two_systems_have_is_there_once(
    lake: Silver, subject: str, own: int, passed_on: int
) -> None:
    found = lake.connection.execute(
        "select system, count(*) from lake.silver.glucose_reading where subject_id = ? group by 1 order by 1",
        [subject],
    ).fetchall()

    assert found == [("dexcom_clarity", own), ("nightscout", passed_on)]
    assert day_of(lake, subject)["interval_minutes"] == 5


def test_an_episode_is_fifteen_minutes_and_ends_with_fifteen(lake: Silver) -> None:
    found = lake.connection.execute(
        "select level, strftime(started_local, '%H:%M'), duration_minutes, reading_count, extreme_mg_dl"
        " from lake.gold.glucose_episode where subject_id = 'episodes' order by 1"
    ).fetchall()

    # Two low readings are no episode; ten minutes between two spells do not part them.
    assert found == [("low", "00:35", 45, 7, 50), ("very_low", "01:05", 15, 3, 50)]


def test_marts_name_nobody(lake: Silver) -> None:
    for table in ("glucose_daily", "glucose_profile", "glucose_episodes"):
        rows = lake.rows(f"marts.{table}")
        assert rows
        assert not [row for row in rows if row[0] in ("words", "limits", "autumn")]


def test_alarms_are_no_treatments(lake: Silver) -> None:
    assert [row[3] for row in lake.rows("silver.treatment")] == ["bolus"]


_ROWS = st.builds(
    lambda system, minute, day, glucose, modified, deleted: reading(
        "one",
        _START + timedelta(days=day, minutes=minute),
        glucose,
        system=system,
        record_key=f"k{minute}",
        modified_at=None if modified is None else datetime(2026, 4, modified, tzinfo=UTC),
        is_deleted=deleted,
    ),
    st.sampled_from(["dexcom_clarity", "nightscout"]),
    st.integers(0, 4),
    st.integers(0, 1),
    st.integers(60, 63),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([False, False, False, True]),
)
_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("land"), st.lists(_ROWS, min_size=1, max_size=4)),
        st.tuples(st.just("withdraw"), st.integers(0, 9)),
    ),
    min_size=1,
    max_size=3,
)


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(history=st.lists(st.tuples(_EVENTS, st.booleans()), min_size=2, max_size=4))
def test_any_history_of_drops_gives_the_stream_of_one_clean_build(
    lake: Silver, history: list[tuple[list[tuple[str, Any]], bool]]
) -> None:
    lake.reset()
    withdrawn: set[str] = set()
    for events, dies in history:
        for what, said in events:
            if what == "land":
                lake.land(monitor_reading=said)
            elif lake.submissions:
                name = lake.submissions[said % len(lake.submissions)]
                if name not in withdrawn:
                    withdrawn.add(name)
                    lake.withdraw(name)
        lake.build(select="+glucose_reading", dies=dies)
    lake.build(select="+glucose_reading")
    step_by_step = lake.rows("silver.glucose_reading")
    lake.build(select="+glucose_reading", full_refresh=True)
    assert step_by_step == lake.rows("silver.glucose_reading")
