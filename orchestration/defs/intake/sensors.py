"""What is pending, watched: drops become submissions, submissions are landed, then built and published.

The sensor asks the inbox and the data what waits (:mod:`lakehouse.metadata.work`), never events: one
that is lost, or comes while a run is on its way, loses nothing.
"""

import hashlib
import os
import time
from contextlib import suppress
from itertools import takewhile

import dagster as dg
from sqlalchemy import Engine

from ingestion.intake import pending_groups
from installation.platform import Platform
from lakehouse.errors import PublishError
from lakehouse.metadata import builds, work
from lakehouse.metadata.status import latest_checks
from orchestration.jobs import build_job, intake_job, landing_job, publish_job
from orchestration.processes import presence
from orchestration.resources import PlatformResource
from orchestration.vocabulary import ACTIVE_STATUSES, SENSOR_SECONDS, SUBMISSIONS
from publishing import reconcile

#: What a run was asked for, so that the same failing work is not asked for at every look.
WAITING_TAG = "lakehouse/waiting"
#: After a failure: a minute, then twice as long each time, at most an hour.
FIRST_WAIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 3600.0
#: Fifty landed drops cost one build: it waits until nothing is landing, but no longer than this.
LONGEST_PATIENCE_SECONDS = 300.0


@dg.sensor(
    name="inbox",
    jobs=[intake_job, landing_job, build_job, publish_job],
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Looks at the inbox with one listing, and at what the layers hold. A closed drop starts "
        "intake; a staged submission starts its landing. What Silver, Gold or the marts do not hold "
        "yet starts one build while nothing is landing, and after five minutes in any case. What "
        "failed is tried again after a minute, then after two, four, … at most an hour; a blocked "
        "publish when something has changed, else after an hour."
    ),
)
def inbox_sensor(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> dg.SensorResult:
    if presence.is_command_line_at_work(os.environ["DAGSTER_POSTGRES_URL"]):
        return dg.SensorResult(skip_reason="A command line is doing what is pending.")
    opened = platform.open()
    requests: list[dg.RunRequest] = []
    waiting = work.pending(opened.engine)

    if not _active(context, intake_job.name):
        drops = pending_groups(opened.store, opened.engine, opened.settings)
        requests += _request(context, intake_job.name, drops)

    landing_now = _active_partitions(context)
    to_land = [name for name in waiting.staged if name not in landing_now]
    for name in to_land:
        requests += _request(context, landing_job.name, [name], partition_key=name)

    arriving = bool(requests or landing_now) and not _is_impatient(opened.engine, now=time.time())
    if waiting and not arriving and not _building(context):
        requests += _build_or_publish(context, opened, waiting)

    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[SUBMISSIONS.build_add_request(to_land)] if to_land else [],
        skip_reason=None if requests else "Nothing new in the inbox, nothing waits.",
    )


def _build_or_publish(
    context: dg.SensorEvaluationContext, opened: Platform, waiting: work.Work
) -> list[dg.RunRequest]:
    """The one run that brings the marts up to date with what was landed."""
    if waiting.readers_unsure:
        # No run is on its way, so its publisher died, or a person's command is at it.
        with suppress(PublishError):
            reconcile(opened.settings, opened.engine, actor="dagster:inbox", wait_seconds=0)
        waiting = work.pending(opened.engine)
    blocked = not waiting.pending and was_just_blocked(opened.engine, now=time.time())
    if waiting.build and not blocked:
        return _request(context, build_job.name, [*sorted(waiting.pending), "publish"])
    if waiting.publish and not blocked:
        return _request(context, publish_job.name, ["publish"])
    return []


def _is_impatient(engine: Engine, *, now: float) -> bool:
    """Whether something has waited for its build so long that no landing is waited for."""
    since = builds.waiting_since(engine)
    return since is not None and now - since.timestamp() > LONGEST_PATIENCE_SECONDS


def _request(
    context: dg.SensorEvaluationContext,
    job_name: str,
    waiting: list[str],
    *,
    partition_key: str | None = None,
) -> list[dg.RunRequest]:
    """A request for what is ``waiting``; none where it has just failed, or where nothing waits."""
    if not waiting:
        return []
    tag = hashlib.sha256("\n".join(waiting).encode()).hexdigest()[:16]
    if _held_back(context, job_name, tag, now=time.time()):
        return []
    return [dg.RunRequest(job_name=job_name, partition_key=partition_key, tags={WAITING_TAG: tag})]


def _held_back(context: dg.SensorEvaluationContext, job_name: str, tag: str, *, now: float) -> bool:
    """Whether the last runs for the same work failed too short a time ago to try again."""
    records = context.instance.get_run_records(
        dg.RunsFilter(job_name=job_name, tags={WAITING_TAG: tag}), limit=8
    )
    failed = list(
        takewhile(lambda one: one.dagster_run.status == dg.DagsterRunStatus.FAILURE, records)
    )
    if not failed:
        return False
    ended = failed[0].end_time or now
    wait: float = min(FIRST_WAIT_SECONDS * 2 ** (len(failed) - 1), LONGEST_WAIT_SECONDS)
    return now - ended < wait


def was_just_blocked(engine: Engine, *, now: float) -> bool:
    """Whether checks blocked publishing within the last hour: the same tables give the same verdict,
    whoever started the build, so another try at once would only fail again."""
    newest = builds.newest_id(engine)
    blocked = [
        check.checked_at.timestamp()
        for check in latest_checks(engine)
        if not check.passed and check.severity == "error" and check.build_id == newest
    ]
    return bool(blocked) and now - max(blocked) < LONGEST_WAIT_SECONDS


def _active(context: dg.SensorEvaluationContext, job_name: str) -> list[dg.DagsterRun]:
    return list(
        context.instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=ACTIVE_STATUSES))
    )


def _active_partitions(context: dg.SensorEvaluationContext) -> set[str]:
    runs = _active(context, landing_job.name)
    return {run.tags["dagster/partition"] for run in runs if "dagster/partition" in run.tags}


def _building(context: dg.SensorEvaluationContext) -> bool:
    """Whether any run that writes Silver, Gold or marts is on its way, whoever started it."""
    active = context.instance.get_runs(dg.RunsFilter(statuses=ACTIVE_STATUSES))
    return any(run.job_name not in (intake_job.name, landing_job.name) for run in active)
