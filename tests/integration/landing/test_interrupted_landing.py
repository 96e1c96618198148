"""A landing that is killed anywhere leaves nothing that landing it again does not put right."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from ingestion import landing as module
from lakehouse import metadata
from lakehouse.metadata import submissions
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore, open_store

if TYPE_CHECKING:
    from tests.integration.landing.conftest import Land, Stage

DROP = {
    "a.json": json.dumps(
        {
            "resourceType": "Bundle",
            "entry": [{"resource": {"resourceType": "Patient", "id": f"p{n}"}} for n in range(20)]
            + [None],
        }
    ).encode(),
    "b.ndjson": b'{"resourceType":"Patient","id":"q1"}\n',
}


def land_and_die(settings: Settings, submission_id: str, step: str, when: str) -> None:
    """One process: lands, and kills itself before or after a step."""
    real: Callable[..., Any] = getattr(module, step)

    def deadly(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, step, deadly)
    module.land(
        submission_id,
        store=open_store(settings),
        engine=metadata.engine(settings),
        settings=settings,
        run_id="killed",
        actor="test",
    )


def killed(settings: Settings, submission_id: str, step: str, when: str) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=land_and_die, args=(settings, submission_id, step, when))
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL


def parquet_files(store: ObjectStore) -> set[str]:
    return {info.key for info in store.list("lake/bronze/") if info.key.endswith(".parquet")}


@pytest.mark.parametrize(
    ("step", "when", "first_landing"),
    [
        ("_load", "before", True),
        ("_keys_of_load", "before", True),
        ("_register", "after", True),
        ("_keys_of_load", "before", False),
        ("_register", "after", False),
    ],
    ids=[
        "Parquet written",
        "files loaded",
        "rows committed",
        "files loaded again",
        "rows committed again",
    ],
)
def test_a_killed_landing_is_put_right_by_the_next(
    stage: Stage,
    landing: Land,
    settings: Settings,
    store: ObjectStore,
    engine: Engine,
    con: duckdb.DuckDBPyConnection,
    step: str,
    when: str,
    first_landing: bool,
) -> None:
    submission = stage(DROP)
    if not first_landing:
        landing(submission)
    killed(settings, submission, step, when)
    report = landing(submission)
    assert (report.state, report.accepted, dict(report.quarantined)) == (
        "LANDED",
        21,
        {"null_entry": 1},
    )
    assert con.execute(
        "select count(*), count(distinct (source_file, source_position)), "
        "count(distinct ingested_at) from lake.bronze.fhir_resource"
    ).fetchone() == (21, 21, 1)
    with Session(engine) as session:
        assert submissions.get(session, submission).state == "LANDED"
    # What older snapshots read is still there; what no snapshot ever knew is not.
    [(known,)] = con.execute(
        "select count(*) from __ducklake_metadata_lake.ducklake_data_file"
    ).fetchall()
    assert len(parquet_files(store)) == known
    assert not any((settings.home / "work" / "landing").iterdir())


def test_two_landings_of_one_submission_take_turns(
    stage: Stage, settings: Settings, con: duckdb.DuckDBPyConnection
) -> None:
    submission = stage(DROP)
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=land_plainly, args=(settings, submission)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=180)
    assert [process.exitcode for process in processes] == [0, 0]
    assert con.execute("select count(*) from lake.bronze.fhir_resource").fetchone() == (21,)


def land_plainly(settings: Settings, submission_id: str) -> None:
    module.land(
        submission_id,
        store=open_store(settings),
        engine=metadata.engine(settings),
        settings=settings,
        run_id="twice",
        actor="test",
    )
