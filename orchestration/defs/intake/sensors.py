"""The inbox, watched: closed drops become submissions, submissions are landed, leftovers built."""

import dagster as dg

from ingestion.intake import pending_groups
from lakehouse.metadata import work
from orchestration.jobs import build_job, intake_job, landing_job
from orchestration.resources import PlatformResource
from orchestration.vocabulary import SUBMISSIONS

_ACTIVE = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(
    name="inbox",
    jobs=[intake_job, landing_job, build_job],
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Looks at the inbox with one listing. A closed drop starts intake; a staged submission "
        "starts its landing; what waits for Silver while nothing is landing starts one build."
    ),
)
def inbox_sensor(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> dg.SensorResult:
    opened = platform.open()
    requests: list[dg.RunRequest] = []
    waiting = work.pending(opened.engine)

    if not _active(context, intake_job.name) and pending_groups(
        opened.store, opened.engine, opened.settings
    ):
        requests.append(dg.RunRequest(job_name=intake_job.name))

    landing_now = _active_partitions(context)
    to_land = [name for name in waiting.staged if name not in landing_now]
    requests += [dg.RunRequest(job_name=landing_job.name, partition_key=name) for name in to_land]

    # Withdrawals and failed builds leave work that no landing announces.
    arriving = requests or landing_now
    if (waiting.pending or waiting.publish_behind) and not arriving and not _building(context):
        requests.append(dg.RunRequest(job_name=build_job.name))

    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[SUBMISSIONS.build_add_request(to_land)] if to_land else [],
        skip_reason=None if requests else "Nothing new in the inbox, nothing waits.",
    )


def _active(context: dg.SensorEvaluationContext, job_name: str) -> list[dg.DagsterRun]:
    return list(context.instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=_ACTIVE)))


def _active_partitions(context: dg.SensorEvaluationContext) -> set[str]:
    runs = _active(context, landing_job.name)
    return {run.tags["dagster/partition"] for run in runs if "dagster/partition" in run.tags}


def _building(context: dg.SensorEvaluationContext) -> bool:
    """Whether any run that writes Silver, Gold or marts is on its way, whoever started it."""
    active = context.instance.get_runs(dg.RunsFilter(statuses=_ACTIVE))
    return any(run.job_name not in (intake_job.name, landing_job.name) for run in active)
