"""Waiting for a daemon that is alive to do what is pending, instead of doing it a second time beside it.

A person who types `lakehouse run` while the service is up wants the work done and its result shown, not
two runs on the same drops. The locks would keep the tables right, but everything would be done twice.
"""

import time
from datetime import UTC, datetime

import dagster as dg

from ingestion.intake import anything_pending
from installation.platform import Platform
from lakehouse.metadata.status import status
from lakehouse.progress import report
from orchestration.processes import daemon
from orchestration.processes.instance import open_instance
from orchestration.processes.runner import PipelineRun
from orchestration.vocabulary import ACTIVE_STATUSES

_LOOK_SECONDS = 1.0
#: Nothing runs and nothing changed for so long: several ticks of the sensor, also on a busy machine.
IDLE_SECONDS = 45.0


def follow(platform: Platform, *, idle_seconds: float = IDLE_SECONDS) -> PipelineRun | None:
    """Wait until nothing is pending any more, telling progress.

    None where the caller should do the work itself: no daemon is alive, or for ``idle_seconds``
    nothing ran and nothing changed (its inbox sensor is off, or it waits before it tries a failed
    run again).
    """
    with open_instance(platform.settings) as instance:
        if not daemon.is_alive(instance):
            return None
        watch = _Watch(platform, instance)
        report("service", "is up", "and takes what is pending")
        moved = time.monotonic()
        while daemon.is_alive(instance) and time.monotonic() - moved < idle_seconds:
            active = watch.look()
            if active or watch.changed:
                moved = time.monotonic()
            elif not anything_pending(platform.store, platform.engine, platform.settings):
                return watch.done
            time.sleep(_LOOK_SECONDS)
        report("service", "does not take it", "trying here", failed=True)
        return None


class _Watch:
    """Tells what is new since the last look: states of submissions, and runs that ended."""

    def __init__(self, platform: Platform, instance: dg.DagsterInstance) -> None:
        self._platform = platform
        self._instance = instance
        self._since = datetime.now(UTC)
        self._states = self._read_states()
        self.changed = False
        self.done = PipelineRun()

    def look(self) -> bool:
        """Whether any run is on its way; :attr:`changed` says whether anything is new."""
        states, ended = self._tell_states(), self._tell_runs()
        self.changed = states or ended
        return bool(self._instance.get_runs(dg.RunsFilter(statuses=ACTIVE_STATUSES), limit=1))

    def _read_states(self) -> dict[str, str]:
        lines = status(self._platform.engine, newest=1_000).submissions
        return {line.submission_id: line.state for line in lines}

    def _tell_states(self) -> bool:
        states = self._read_states()
        new = sorted(name for name, state in states.items() if self._states.get(name) != state)
        for name in new:
            report(states[name].lower(), name)
            if states[name] == "LANDED":
                self.done.landed.append(name)
        self._states = states
        return bool(new)

    def _tell_runs(self) -> bool:
        records = self._instance.get_run_records(
            dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE],
                updated_after=self._since,
            ),
            limit=200,
        )
        new = [one for one in records if one.dagster_run.run_id not in self.done.run_ids]
        for record in sorted(new, key=lambda one: one.end_time or 0.0):
            run = record.dagster_run
            self.done.run_ids.append(run.run_id)
            seconds = (record.end_time or 0.0) - (record.start_time or record.end_time or 0.0)
            failed = run.status == dg.DagsterRunStatus.FAILURE
            word = f"{run.status.value.lower()}, {seconds:.1f} s"
            report("run", _subject(run), word, failed=failed)
        return bool(new)


def _subject(run: dg.DagsterRun) -> str:
    name = "assets" if run.job_name.startswith("__") else run.job_name
    return f"{name} {run.tags.get('dagster/partition', '')}".strip()
