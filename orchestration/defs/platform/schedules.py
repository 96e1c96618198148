"""Schedules and sensors that keep the platform in shape and say when it is not."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from lakehouse.lake import maintenance
from lakehouse.metadata import anchors
from orchestration.defs.platform.assets import heartbeat, write_site
from orchestration.resources import PlatformResource
from orchestration.vocabulary import LAKE_WRITER_POOL, SENSOR_SECONDS


@dg.op(pool=LAKE_WRITER_POOL, description="Compact, expire, remove; under the writers' locks.")
def maintain_lake(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    done = maintenance.run(platform.open().settings)
    context.log.info(
        "%d files written without deleted rows, %d files merged, %d snapshots expired, %d files removed.",
        done.files_rewritten,
        done.files_merged,
        done.snapshots_expired,
        done.files_removed,
    )


@dg.op(description="Verify the audit trail and note its head in the object store.")
def anchor_audit_trail(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    opened = platform.open()
    found = anchors.anchor(opened.engine, opened.store)
    found.require_intact()
    context.log.info("%d audit events, intact.", found.events)


@dg.op(description="Delete Dagster runs older than RUNS_KEPT_DAYS.")
def purge_runs(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    oldest = datetime.now(UTC) - timedelta(days=platform.open().settings.runs_kept_days)
    records = context.instance.get_run_records(
        dg.RunsFilter(
            created_before=oldest,
            statuses=[
                dg.DagsterRunStatus.SUCCESS,
                dg.DagsterRunStatus.FAILURE,
                dg.DagsterRunStatus.CANCELED,
            ],
        ),
        limit=5_000,
    )
    for record in records:
        context.instance.delete_run(record.dagster_run.run_id)
    context.log.info("%d runs purged.", len(records))


@dg.op(description="Bring the hub's pages up to date: Data Docs and dbt docs.")
def write_pages(platform: PlatformResource) -> None:
    write_site(platform)


@dg.job(
    description="Nightly: compaction, clean-up, audit anchor, purge of old runs, the hub's pages."
)
def maintenance_job() -> None:
    maintain_lake()
    anchor_audit_trail()
    purge_runs()
    write_pages()


nightly = dg.ScheduleDefinition(
    name="nightly_maintenance",
    job=maintenance_job,
    cron_schedule="30 2 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
heartbeat_schedule = dg.ScheduleDefinition(
    name="hourly_heartbeat",
    target=dg.AssetSelection.assets(heartbeat),
    cron_schedule="0 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
automation = dg.AutomationConditionSensorDefinition(
    name="follow_upstream",
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts what the assets' automation conditions ask for.",
)
