"""From the inbox to registered submissions."""

from datetime import UTC, datetime

import dagster as dg

from ingestion.intake import intake
from ingestion.intake.layouts import sync_layouts
from orchestration.resources import PlatformResource
from orchestration.vocabulary import OWNERS, RETRY, SUBMISSIONS

INBOX = dg.AssetSpec(
    key=["inbox", "drops"],
    group_name="raw",
    owners=OWNERS,
    kinds={"s3"},
    description=(
        "Files as they arrive below `inbox/<submitter>/<file_type>/<drop_id>/`, put there by the "
        "MinIO console, any S3 client or `lakehouse drop`."
    ),
)


@dg.asset(
    key=["raw", "layout_registry"],
    group_name="raw",
    owners=OWNERS,
    kinds={"python", "postgres"},
    description="The columns that each tabular layout has, by version, synced from data files to Postgres.",
)
def layout_registry(platform: PlatformResource) -> dg.MaterializeResult[None]:
    opened = platform.open()
    count = sync_layouts(opened.engine)
    return dg.MaterializeResult(metadata={"layouts": count})


@dg.asset(
    key=["raw", "submission"],
    deps=[INBOX, layout_registry],
    group_name="raw",
    owners=OWNERS,
    kinds={"python", "s3", "postgres"},
    retry_policy=RETRY,
    description=(
        "Closed drops, registered: each becomes an immutable submission with sha256, size, type "
        "and layout of every file, staged to `raw/`. The submission is the partition of everything "
        "up to Bronze."
    ),
)
def raw_submission(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> dg.MaterializeResult[None]:
    opened = platform.open()
    report = intake(
        opened.store,
        opened.engine,
        opened.settings,
        now=datetime.now(UTC),
        actor="dagster:intake",
    )
    context.instance.add_dynamic_partitions(
        str(SUBMISSIONS.name), [new.submission_id for new in report.registered]
    )
    return dg.MaterializeResult(
        metadata={
            "registered": len(report.registered),
            "superseding": sum(1 for new in report.registered if new.supersedes),
            "duplicates": len(report.duplicates),
            "needs_review": len(report.needs_review),
            "still_open": len(report.open_groups),
            "refused": len(report.refused),
            "files": sum(new.file_count for new in report.registered),
            "bytes": sum(new.byte_count for new in report.registered),
        }
    )
