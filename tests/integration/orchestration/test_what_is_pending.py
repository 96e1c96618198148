"""The sensor starts what the data says is missing, whatever event was lost before."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest
from sqlalchemy import Engine, insert, text
from sqlalchemy.orm import Session

from lakehouse.metadata import builds, models, submissions
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore
from orchestration.defs.intake.sensors import LONGEST_PATIENCE_SECONDS, inbox_sensor
from orchestration.resources import PlatformResource


@pytest.fixture
def platform(
    settings: Settings, engine: Engine, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> PlatformResource:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(settings.home))
    monkeypatch.setenv("POSTGRES_URL", str(settings.postgres_url))
    monkeypatch.setenv("DATABASE_PREFIX", settings.database_prefix)
    return PlatformResource()


def submission(engine: Engine, state: str) -> str:
    with Session(engine) as session, session.begin():
        submission_id = submissions.new_id(session, datetime.now(UTC))
        session.execute(
            insert(models.Submission).values(
                submission_id=submission_id,
                group_key=submission_id,
                submitter="clinic",
                file_type="fhir_bundle",
                drop_id=submission_id,
                state="STAGED",
                content_sha256=submission_id,
                file_count=1,
                byte_count=1,
                received_at=datetime.now(UTC),
            )
        )
        if state == "LANDED":
            submissions.transition(session, submission_id, "LANDED", actor="test", reason=None)
    return submission_id


def test_the_sensor_asks_for_a_build_until_gold_holds_everything_and_then_for_a_publish(
    instance: dg.DagsterInstance, platform: PlatformResource, engine: Engine
) -> None:
    def asked_for() -> list[str]:
        with dg.build_sensor_context(
            instance=instance, resources={"platform": platform}
        ) as context:
            result = inbox_sensor(context)
        assert isinstance(result, dg.SensorResult)
        return [str(request.job_name) for request in result.run_requests or []]

    assert asked_for() == []
    submission(engine, "LANDED")
    assert asked_for() == ["build"]

    # Silver was built, and the run killed before Gold; then Gold was, and killed before publishing.
    build_id = builds.start_build(engine, full_refresh=False, run_id=None, actor="t").build_id
    assert asked_for() == ["build"]
    builds.finish_build(engine, build_id, "succeeded", 1)
    assert asked_for() == ["build"]
    builds.record_gold(engine, build_id, 2, actor="t")
    assert asked_for() == ["publish"]

    with Session(engine) as session, session.begin():
        session.execute(
            insert(models.Publish).values(
                n=1,
                schema_name="marts_1",
                build_id=build_id,
                snapshot_id=2,
                state="current",
                row_counts={},
                published_at=text("now()"),
                actor="t",
            )
        )
    assert asked_for() == []

    # What waits for its build waits for what is being landed, but not for ever.
    submission(engine, "LANDED")
    submission(engine, "STAGED")
    assert asked_for() == ["landing"]
    with engine.begin() as connection:
        connection.execute(
            text("update integration_queue set enqueued_at = now() - make_interval(secs => :s)"),
            {"s": LONGEST_PATIENCE_SECONDS + 1},
        )
    assert asked_for() == ["landing", "build"]


def test_a_publisher_that_died_at_the_switch_is_put_right_by_the_sensor(
    instance: dg.DagsterInstance, platform: PlatformResource, engine: Engine
) -> None:
    with Session(engine) as session, session.begin():
        session.execute(
            insert(models.Publish).values(
                n=1,
                schema_name="marts_1",
                state="switching",
                row_counts={},
                published_at=text("now()"),
                actor="t",
            )
        )
    with dg.build_sensor_context(instance=instance, resources={"platform": platform}) as context:
        inbox_sensor(context)
    with engine.connect() as connection:
        # The views show nothing: it never was seen.
        assert connection.scalar(text("select state from publish")) == "failed"
