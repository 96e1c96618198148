"""Eight real processes land different submissions into one lake while dbt builds it."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pytest
from sqlalchemy import Engine

from ingestion.landing import land
from lakehouse import lake, metadata
from lakehouse.metadata import builds, submissions
from lakehouse.settings import Settings
from lakehouse.store import open_store
from transformation import dbt_runner

if TYPE_CHECKING:
    from tests.integration.landing.conftest import Stage

PROCESSES = 8
ROUNDS = 2
PATIENTS = 25
_TIME_OUT = 300.0


@dataclass(frozen=True)
class Outcome:
    """What one process did: how often, and the error that stopped it."""

    name: str
    done: int
    error: str | None


def land_all(settings: Settings, ids: list[str], start: object, results: object) -> None:
    """One process: lands its submissions one after the other."""
    start.wait()  # type: ignore[attr-defined]
    done, error = 0, None
    engine = metadata.engine(settings)
    try:
        for submission_id in ids:
            land(
                submission_id,
                store=open_store(settings),
                engine=engine,
                settings=settings,
                run_id="parallel",
                actor="test",
            )
            done += 1
    except Exception as failure:  # noqa: BLE001 - the parent asserts on it
        error = f"{type(failure).__name__}: {failure}"
    engine.dispose()
    results.put(Outcome("landing", done, error))  # type: ignore[attr-defined]


def build_until(settings: Settings, start: object, stop: object, results: object) -> None:
    """One process: builds Silver with dbt, again and again, at least once after the landings."""
    start.wait()  # type: ignore[attr-defined]
    done, error = 0, None
    engine = metadata.engine(settings)
    try:
        last = False
        while not last:
            last = stop.is_set()  # type: ignore[attr-defined]
            build_once(settings, engine)
            done += 1
    except Exception as failure:  # noqa: BLE001 - the parent asserts on it
        error = f"{type(failure).__name__}: {failure}"
    engine.dispose()
    results.put(Outcome("dbt", done, error))  # type: ignore[attr-defined]


def build_once(settings: Settings, engine: Engine) -> None:
    with lake.layer_lock(settings, "silver"):
        build = builds.start_build(engine, full_refresh=False, run_id="parallel", actor="test")
        report = dbt_runner.build(settings, select="path:models/silver", with_tests=False)
        status = "failed" if report.failed else "succeeded"
        connection = lake.connect(settings)
        try:
            snapshot = lake.snapshot_id(connection)
        finally:
            connection.close()
        builds.finish_build(engine, build.build_id, status, snapshot)
    assert not report.failed, [(node.name, node.message) for node in report.failed]


def drop(number: int) -> dict[str, bytes]:
    entries = []
    for patient in range(PATIENTS):
        id_ = f"p-{number}-{patient}"
        entries.append({"resource": {"resourceType": "Patient", "id": id_}})
        entries.append(
            {
                "resource": {
                    "resourceType": "Encounter",
                    "id": f"e-{number}-{patient}",
                    "status": "finished",
                    "class": {"code": "AMB"},
                    "subject": {"reference": f"Patient/{id_}"},
                }
            }
        )
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return {"bundle.json": json.dumps(bundle).encode()}


@pytest.mark.slow
def test_parallel_landings_lose_nothing_double_nothing_and_do_not_hang(
    stage: Stage, settings: Settings, engine: Engine, con: duckdb.DuckDBPyConnection
) -> None:
    ids = [stage(drop(number)) for number in range(PROCESSES * ROUNDS)]
    context = multiprocessing.get_context("spawn")
    start, stop, results = context.Event(), context.Event(), context.Queue()
    landers = [
        context.Process(target=land_all, args=(settings, ids[number::PROCESSES], start, results))
        for number in range(PROCESSES)
    ]
    builder = context.Process(target=build_until, args=(settings, start, stop, results))
    for process in [*landers, builder]:
        process.start()
    start.set()
    try:
        outcomes = [results.get(timeout=_TIME_OUT) for _ in landers]
        stop.set()
        outcomes.append(results.get(timeout=_TIME_OUT))
    finally:
        stop.set()
        for process in [*landers, builder]:
            process.join(timeout=30)
            if process.is_alive():
                process.kill()
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    assert sum(outcome.done for outcome in outcomes if outcome.name == "landing") == len(ids)

    expected = len(ids) * PATIENTS
    found = con.execute(
        "select resource_type, count(*), count(distinct resource_id), count(distinct submission_id) "
        "from lake.bronze.fhir_resource group by 1 order by 1"
    ).fetchall()
    assert found == [
        ("Encounter", expected, expected, len(ids)),
        ("Patient", expected, expected, len(ids)),
    ]
    # dbt's tables are in the lake, seen by a connection that had no part in the build.
    for table, key in (("patient", "patient_id"), ("encounter", "encounter_id")):
        assert con.execute(
            f"select count(*), count(distinct {key}) from lake.silver.{table}"
        ).fetchone() == (expected, expected)
    assert {submissions_state(engine, one) for one in ids} == {"INTEGRATED"}


def submissions_state(engine: Engine, submission_id: str) -> str:
    from sqlalchemy.orm import Session

    with Session(engine) as session:
        return submissions.get(session, submission_id).state
