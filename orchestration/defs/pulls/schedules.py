"""Nightscout sites are pulled into the inbox; the inbox's sensor takes it from there."""

from datetime import UTC, datetime

import dagster as dg

from ingestion.pulls import nightscout
from installation.platform import open_platform
from lakehouse.errors import PullError
from orchestration.resources import PlatformResource


@dg.op(description="Ask each site of NIGHTSCOUT_SITES for what is new; each pull becomes a drop.")
def pull_nightscout(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    opened = platform.open()
    failed: list[str] = []
    for site in nightscout.sites(opened.settings):
        try:
            report = nightscout.pull(
                site,
                opened.store,
                opened.engine,
                opened.settings,
                now=datetime.now(UTC),
                actor="dagster:pull",
            )
        except PullError as error:
            failed.append(site.name)
            context.log.warning("%s", error)
            continue
        context.log.info(
            "%s: %d documents, %d of them deletions.", site.name, report.documents, report.deletions
        )
    if failed:
        raise dg.Failure(f"{len(failed)} site(s) did not answer: {', '.join(failed)}.")


@dg.job(description="What is new at the Nightscout sites, into the inbox.")
def pull_job() -> None:
    pull_nightscout()


@dg.schedule(
    job=pull_job,
    cron_schedule="* * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every NIGHTSCOUT_MINUTES, where NIGHTSCOUT_SITES lists sites.",
)
def nightscout_schedule(
    context: dg.ScheduleEvaluationContext,
) -> dg.RunRequest | dg.SkipReason:
    settings = open_platform().settings
    if settings.nightscout_sites is None:
        return dg.SkipReason("NIGHTSCOUT_SITES lists no site.")
    minute = int(context.scheduled_execution_time.timestamp() // 60)
    if minute % settings.nightscout_minutes:
        return dg.SkipReason(f"Pulled every {settings.nightscout_minutes} minutes.")
    return dg.RunRequest(run_key=f"nightscout-{minute}")
