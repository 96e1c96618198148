"""Failures, held submissions, blocked publishes and stale marts, told to a webhook."""

from collections.abc import Mapping, Sequence

import dagster as dg

from lakehouse.metadata.status import errors_of_run, status
from lakehouse.metadata.submissions import Breach
from lakehouse.settings import Settings
from orchestration.notify import Event, Notification, notify
from orchestration.resources import PlatformResource

_SECONDS_AN_HOUR = 3600


@dg.run_failure_sensor(
    name="tell_failures",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Posts failed runs to WEBHOOK_URL; a publish that checks blocked is told as such.",
)
def tell_failures(context: dg.RunFailureSensorContext, platform: PlatformResource) -> None:
    opened = platform.open()
    run = context.dagster_run
    broken = errors_of_run(opened.engine, run.run_id)
    event: Event = "run_failed"
    if broken:
        event = "publish_blocked"
    elif run.job_name == "maintenance_job":
        event = "maintenance_failed"
    facts: dict[str, str | int | float | None] = {"job": run.job_name, "run_id": run.run_id}
    if broken:
        facts["rules"] = "; ".join(broken[:10])
    notify(opened.settings, Notification(event, _TITLES[event], facts))


_TITLES = {
    "run_failed": "A run failed",
    "publish_blocked": "Checks failed, so nothing was published",
    "maintenance_failed": "Maintenance failed",
}


def tell_held(settings: Settings, broken: Mapping[str, Sequence[Breach]]) -> None:
    """Post each submission that a build held, with the rules that it breaks."""
    for submission_id, breaches in broken.items():
        rules = "; ".join(f"{one.layer}.{one.table} {one.rule}" for one in breaches[:10])
        facts = {"submission": submission_id, "rules": rules}
        notify(
            settings,
            Notification("submission_held", "A submission is held; all others go on", facts),
        )


@dg.op(description="Warn when nothing was published for FRESHNESS_HOURS.")
def look_at_freshness(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    opened = platform.open()
    limit = opened.settings.freshness_hours
    published = next(
        (stage for stage in status(opened.engine).freshness if stage.stage == "published"), None
    )
    if published is None or published.age_seconds is None:
        context.log.info("Nothing was published yet.")
        return
    hours = published.age_seconds / _SECONDS_AN_HOUR
    context.log.info("The newest publish is %.1f hours old; the limit is %.1f.", hours, limit)
    if hours > limit:
        notify(
            opened.settings,
            Notification(
                "stale", "The marts are old", {"hours": round(hours, 1), "limit_hours": limit}
            ),
        )


@dg.job(description="Hourly: are the published marts recent enough?")
def freshness_job() -> None:
    look_at_freshness()


hourly_freshness = dg.ScheduleDefinition(
    name="hourly_freshness",
    job=freshness_job,
    cron_schedule="15 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
