"""From the lake's marts to Postgres, where dashboards read them."""

from collections.abc import Iterator

import dagster as dg

import quality
from lakehouse.metadata import builds
from orchestration.defs.quality.checks import check_result, check_specs
from orchestration.defs.transformation.assets import GOLD_SPECS
from orchestration.resources import PlatformResource
from orchestration.vocabulary import OWNERS, PUBLISH_POOL
from publishing import publish

MARTS = sorted(spec.key.path[1] for spec in GOLD_SPECS if spec.key.path[0] == "marts")

SPECS = [
    dg.AssetSpec(
        key=["published", mart],
        deps=[dg.AssetKey(["marts", mart])],
        group_name="published",
        owners=OWNERS,
        kinds={"postgres", "view"},
        description=f"View marts.{mart} in Postgres: what dashboards read, without identifiers.",
    )
    for mart in MARTS
]


@dg.multi_asset(
    name="published", specs=SPECS, check_specs=check_specs("published"), pool=PUBLISH_POOL
)
def published(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Build the next publication, check it, and re-point the views in one transaction."""
    opened = platform.open()
    made = builds.gold(opened.engine)
    found: list[quality.CheckResult] = []

    def inspect(schema: str) -> list[str]:
        found[:] = quality.run(
            "published",
            settings=opened.settings,
            engine=opened.engine,
            build_id=made.build_id if made is not None else None,
            run_id=context.run_id,
            schema=schema,
        )
        return quality.blocking(found)

    done = publish(
        opened.settings,
        opened.engine,
        build_id=made.build_id if made is not None else None,
        run_id=context.run_id,
        actor="dagster:publish",
        inspect=inspect,
    )
    context.log.info(done.message)
    if not done.changed:
        inspect("marts")
    for mart in MARTS:
        yield dg.MaterializeResult(
            asset_key=["published", mart],
            metadata={
                "dagster/row_count": done.row_counts.get(mart, 0),
                "publication": done.n,
                "schema": done.schema,
                "changed": done.changed,
                "snapshot_id": done.snapshot_id or 0,
            },
        )
    yield from map(check_result, found)
