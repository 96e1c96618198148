"""Work that failed is tried again at growing intervals, not at every look of the sensor."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import dagster as dg
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from lakehouse.settings import Settings
from lakehouse.store import ObjectStore
from orchestration.defs.intake import sensors
from orchestration.defs.intake.sensors import inbox_sensor, was_just_blocked
from orchestration.resources import PlatformResource


@pytest.fixture
def platform(
    settings: Settings, engine: Engine, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> PlatformResource:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(settings.home))
    monkeypatch.setenv("POSTGRES_URL", str(settings.postgres_url))
    monkeypatch.setenv("DATABASE_PREFIX", settings.database_prefix)
    monkeypatch.setenv("QUIESCENCE_MINUTES", "0")
    store.put("inbox/north/fhir/d1/a.json", b"{}")
    store.put("inbox/north/fhir/d1/_SUCCESS", b"")
    return PlatformResource()


def test_a_failed_intake_is_asked_for_again_after_a_minute_then_two(
    instance: dg.DagsterInstance, platform: PlatformResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> list[dg.RunRequest]:
        with dg.build_sensor_context(
            instance=instance, resources={"platform": platform}
        ) as context:
            result = inbox_sensor(context)
        assert isinstance(result, dg.SensorResult)
        return list(result.run_requests or [])

    def fails(request: dg.RunRequest) -> float:
        @dg.op
        def nothing() -> None:
            raise RuntimeError("as it was asked")

        @dg.job(name="intake")
        def job() -> None:
            nothing()

        run = job.execute_in_process(instance=instance, tags=request.tags, raise_on_error=False)
        record = instance.get_run_record_by_id(run.run_id)
        assert record is not None
        assert record.end_time is not None
        return record.end_time

    def set_clock(moment: float) -> None:
        monkeypatch.setattr(sensors, "time", SimpleNamespace(time=lambda: moment))

    for wait in (60, 120, 240):
        (request,) = look()
        assert request.job_name == "intake"
        ended = fails(request)
        set_clock(ended + wait - 1)
        assert look() == []
        set_clock(ended + wait + 1)
    assert len(look()) == 1


def test_a_blocked_publish_waits_for_a_change_or_an_hour(engine: Engine) -> None:
    now = datetime.now(UTC).timestamp()
    assert not was_just_blocked(engine, now=now)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "insert into check_result (layer, table_name, rule, severity, passed)"
                " values ('silver', 'patient', 'some_rule', 'error', false)"
            )
        )
    assert was_just_blocked(engine, now=now + 60)
    assert not was_just_blocked(engine, now=now + 3700)
