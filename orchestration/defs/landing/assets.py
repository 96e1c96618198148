"""From a staged submission to Bronze: one partition a submission."""

from collections.abc import Iterator

import dagster as dg

from ingestion.landing import land
from ingestion.sources import bronze_tables
from orchestration.metadata import arrow_schema
from orchestration.resources import PlatformResource
from orchestration.vocabulary import LANDING_POOL, OWNERS, RETRY, SUBMISSIONS

_DESCRIPTIONS = {
    "fhir_resource": "FHIR R4 resources as they arrived: one row a resource, its JSON text kept whole.",
    "dicom_instance": "Headers of DICOM instances (never pixels): one row a file.",
}

SPECS = [
    dg.AssetSpec(
        key=["bronze", table],
        deps=[dg.AssetKey(["raw", "submission"])],
        group_name="bronze",
        owners=OWNERS,
        kinds={"dlt", "parquet", "ducklake"},
        skippable=True,
        description=_DESCRIPTIONS.get(table, f"Rows of {table} as they arrived."),
        metadata={"dagster/column_schema": arrow_schema(schema)},
    )
    for table, schema in sorted(bronze_tables().items())
]


@dg.multi_asset(
    name="land",
    specs=SPECS,
    partitions_def=SUBMISSIONS,
    pool=LANDING_POOL,
    retry_policy=RETRY,
)
def landing(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Land one submission with dlt and add its Parquet files to the lake in one transaction."""
    opened = platform.open()
    report = land(
        context.partition_key,
        store=opened.store,
        engine=opened.engine,
        settings=opened.settings,
        run_id=context.run_id,
        actor="dagster:landing",
    )
    for table, rows in sorted(report.rows.items()):
        if rows:
            yield dg.MaterializeResult(
                asset_key=["bronze", table],
                metadata={
                    "dagster/partition_row_count": rows,
                    "records_arrived": report.arrived,
                    "records_accepted": report.accepted,
                    "records_quarantined": sum(report.quarantined.values()),
                    "quarantined_by_reason": dict(report.quarantined),
                    "bytes": report.bytes,
                    "seconds": round(report.seconds, 3),
                },
            )
