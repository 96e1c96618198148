"""From a staged submission to Bronze: one partition a submission."""

from collections.abc import Iterator

import dagster as dg

from ingestion.landing import land
from ingestion.sources import bronze_tables
from lakehouse import lake
from orchestration.metadata import column_schema, landed_sample
from orchestration.resources import PlatformResource
from orchestration.vocabulary import LANDING_POOL, OWNERS, RETRY, SUBMISSIONS

SPECS = [
    dg.AssetSpec(
        key=["bronze", name],
        deps=[dg.AssetKey(["raw", "submission"])],
        group_name="bronze",
        owners=OWNERS,
        kinds={"dlt", "parquet", "ducklake"},
        skippable=True,
        description=table.description,
        metadata={"dagster/column_schema": column_schema(table)},
    )
    for name, table in sorted(bronze_tables().items())
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
    landed = {table: rows for table, rows in sorted(report.rows.items()) if rows}
    with lake.connect(opened.settings) as connection:
        samples = {
            table: landed_sample(connection, bronze_tables()[table], context.partition_key)
            for table in landed
        }
    for table, rows in landed.items():
        yield dg.MaterializeResult(
            asset_key=["bronze", table],
            metadata={
                **samples[table],
                "dagster/partition_row_count": rows,
                "records_arrived": report.arrived,
                "records_accepted": report.accepted,
                "records_quarantined": sum(report.quarantined.values()),
                "quarantined_by_reason": dict(report.quarantined),
                "bytes": report.bytes,
                "seconds": round(report.seconds, 3),
            },
        )
