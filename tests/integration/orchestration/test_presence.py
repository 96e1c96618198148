"""A command line's run is there as long as its process: then it fails, and is not started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus

from lakehouse.settings import Settings
from orchestration.processes import presence
from orchestration.processes.instance import open_instance
from orchestration.processes.launcher import CodeLocationRunLauncher
from orchestration.vocabulary import LAKE_WRITER_POOL

#: A process that holds its lock, prints its run's tag, and waits for its end.
OTHER_COMMAND_LINE = """
import json, sys
from orchestration.processes import presence
with presence.present(sys.argv[1]):
    print(json.dumps(presence.COMMAND_LINE_TAGS), flush=True)
    sys.stdin.read()
"""


@dg.job
def some_job() -> None:
    """A run's job; its steps are never executed here."""


@pytest.fixture
def other(instance: dg.DagsterInstance) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_COMMAND_LINE, os.environ["DAGSTER_POSTGRES_URL"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def started_run(instance: dg.DagsterInstance, process: subprocess.Popen[str]) -> dg.DagsterRun:
    """A run that the other command line is in the middle of, with a place in the writers' pool."""
    assert process.stdout is not None
    tags = json.loads(process.stdout.readline())
    run = instance.create_run_for_job(some_job, tags=tags)
    instance.handle_run_event(
        run.run_id,
        dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.RUN_START.value, job_name=run.job_name
        ),
    )
    instance.event_log_storage.claim_concurrency_slot(LAKE_WRITER_POOL, run.run_id, "silver")
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == dg.DagsterRunStatus.STARTED
    return found


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)


def health(run: dg.DagsterRun) -> WorkerStatus:
    return CodeLocationRunLauncher().check_run_worker_health(run).status


def test_the_daemon_leaves_a_command_lines_run_alone_until_its_process_dies(
    instance: dg.DagsterInstance, other: subprocess.Popen[str]
) -> None:
    run = started_run(instance, other)
    assert health(run) == WorkerStatus.RUNNING
    kill(other)
    assert health(run) == WorkerStatus.NOT_FOUND


def test_the_next_command_line_clears_away_what_a_killed_one_left(
    instance: dg.DagsterInstance, other: subprocess.Popen[str], settings: Settings
) -> None:
    run = started_run(instance, other)
    with open_instance(settings):
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED  # type: ignore[union-attr]
    kill(other)
    with open_instance(settings):
        pass
    failed = instance.get_run_by_id(run.run_id)
    assert failed is not None
    assert failed.status == dg.DagsterRunStatus.FAILURE
    pool = instance.event_log_storage.get_concurrency_info(LAKE_WRITER_POOL)
    assert pool.active_slot_count == 0


def test_a_failed_command_lines_run_is_not_started_again_by_the_daemon(
    instance: dg.DagsterInstance,
) -> None:
    by_hand = instance.create_run_for_job(some_job, tags=presence.COMMAND_LINE_TAGS)
    by_sensor = instance.create_run_for_job(some_job)
    for run in (by_hand, by_sensor):
        instance.report_run_failed(run, "its process ended")
    tags = {run.run_id: run.tags.get("dagster/will_retry") for run in instance.get_runs()}
    assert tags == {by_hand.run_id: "false", by_sensor.run_id: "true"}
