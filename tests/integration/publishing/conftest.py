"""A lake with marts whose rows name their generation, and builds that passed their checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import psycopg
import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

import publishing
from lakehouse import lake
from lakehouse.metadata import builds, models, submissions
from lakehouse.settings import Settings


@pytest.fixture
def con(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = lake.connect(settings)
    yield connection
    connection.close()


@pytest.fixture
def marts(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """Connection to the database that dashboards read, as its owner."""
    with psycopg.connect(settings.libpq_url("marts"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def write_marts(con: duckdb.DuckDBPyConnection) -> Callable[..., None]:
    """Write two marts whose rows all say ``generation``; ``more`` adds columns to the first."""

    def write(generation: int, *, more: str = "", rows: int = 5_000) -> None:
        con.execute(
            "create or replace table lake.marts.encounters as "
            f"select i as encounter_key, {generation} as generation, i % 10 as k{more} "
            f"from range({rows}) t(i)"
        )
        con.execute(
            "create or replace table lake.marts.patients as "
            f"select i as patient_key, {generation} as generation from range({rows}) t(i)"
        )

    return write


@pytest.fixture
def landed(engine: Engine) -> Callable[[], str]:
    """One more submission that waits for Silver; the next build takes it in."""

    def land() -> str:
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
            submissions.transition(session, submission_id, "LANDED", actor="test", reason=None)
        return submission_id

    return land


@pytest.fixture
def new_build(engine: Engine, con: duckdb.DuckDBPyConnection) -> Callable[..., str]:
    """A build whose Gold is what the lake holds now, with one check of each severity."""

    def make(
        *, error_passed: bool = True, warning_passed: bool = True, checked: bool = True
    ) -> str:
        build = builds.start_build(engine, full_refresh=True, run_id=None, actor="test")
        builds.finish_build(engine, build.build_id, "succeeded", 1)
        builds.record_gold(engine, build.build_id, lake.snapshot_id(con), actor="test")
        if not checked:
            return build.build_id
        with Session(engine) as session, session.begin():
            session.execute(
                insert(models.CheckResult),
                [
                    {
                        "build_id": build.build_id,
                        "layer": "gold",
                        "table_name": "encounter_summary",
                        "rule": f"rule_{severity}",
                        "severity": severity,
                        "passed": passed,
                        "message": f"the {severity} rule says what to do",
                    }
                    for severity, passed in (("error", error_passed), ("warning", warning_passed))
                ],
            )
        return build.build_id

    return make


@pytest.fixture
def publish(
    settings: Settings,
    engine: Engine,
    con: duckdb.DuckDBPyConnection,
    new_build: Callable[..., str],
) -> Callable[..., publishing.PublishReport]:
    """Publish the marts as they are now, with a build of its own unless one is given."""

    def run(build_id: str | None = None, **options: Any) -> publishing.PublishReport:
        return publishing.publish(
            settings,
            engine,
            build_id=build_id or new_build(),
            run_id="run-1",
            actor="test",
            con=con,
            **options,
        )

    return run
