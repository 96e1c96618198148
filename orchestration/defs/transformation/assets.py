"""Bronze to Silver to Gold and marts: dbt models as assets, dbt tests as checks.

dbt is unpartitioned: however many submissions were landed, one build takes all of them.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import duckdb

import quality
from lakehouse import dbt_runner, lake
from lakehouse.errors import BuildError, QualityError
from lakehouse.metadata import builds
from lakehouse.platform import Platform
from lakehouse.progress import report
from orchestration.dbt_specs import asset_key, asset_specs, severity, test_specs
from orchestration.defs.quality.checks import check_specs, evaluate
from orchestration.metadata import corpus_statistics, encounter_card, table_metadata
from orchestration.resources import PlatformResource
from orchestration.vocabulary import LAKE_WRITER_POOL

#: Run tag that asks for Silver to be built anew from Bronze.
FULL_REFRESH_TAG = "lakehouse/full_refresh"

Events = Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]


MANIFEST = dbt_runner.manifest()
SILVER_SELECT = "tag:staging tag:silver"
GOLD_SELECT = "tag:gold tag:marts"
SILVER_SPECS = asset_specs(MANIFEST, "silver")
GOLD_SPECS = asset_specs(MANIFEST, "gold", "marts")
SILVER_TESTS = test_specs(MANIFEST, SILVER_SPECS)
GOLD_TESTS = test_specs(MANIFEST, GOLD_SPECS)


@dg.multi_asset(
    name="silver",
    specs=SILVER_SPECS,
    check_specs=[*SILVER_TESTS.values(), *check_specs("bronze", "silver")],
    allow_arbitrary_check_specs=True,  # Bronze balances with what intake counted
    pool=LAKE_WRITER_POOL,
)
def silver(context: dg.AssetExecutionContext, platform: PlatformResource) -> Events:
    """Recompute in Silver what the pending submissions touch."""
    quality.warm_up()  # Great Expectations gets ready beside dbt
    opened = platform.open()
    full_refresh = context.run.tags.get(FULL_REFRESH_TAG) == "true"
    with lake.layer_lock(opened.settings, "silver"):
        build = builds.start_build(
            opened.engine, full_refresh=full_refresh, run_id=context.run_id, actor="dagster:silver"
        )
        status = "failed"
        try:
            done = _run_dbt(opened, "silver", SILVER_SELECT, full_refresh=full_refresh)
            status = "failed" if _incomplete(done) else "succeeded"
        finally:
            builds.finish_build(
                opened.engine, build.build_id, status, _snapshot(opened), actor="dagster:silver"
            )
    context.log.info("Build %s took in %d submissions.", build.build_id, len(build.pending))
    yield from _events(opened, done, SILVER_SPECS, SILVER_TESTS)
    yield from evaluate(opened, context.run_id, "bronze", "silver")


@dg.multi_asset(
    name="gold",
    specs=GOLD_SPECS,
    check_specs=[*GOLD_TESTS.values(), *check_specs("gold", "marts")],
    pool=LAKE_WRITER_POOL,
)
def gold(context: dg.AssetExecutionContext, platform: PlatformResource) -> Events:
    """Build Gold and the marts from Silver, and note which build of Silver they hold."""
    opened = platform.open()
    with lake.layer_lock(opened.settings, "gold", "marts", reads=["silver"]):
        build_id = builds.whole_silver(opened.engine)
        done = _run_dbt(opened, "gold", GOLD_SELECT)
        snapshot = _snapshot(opened)
        yield from _events(opened, done, GOLD_SPECS, GOLD_TESTS)
        checks = list(evaluate(opened, context.run_id, "gold", "marts"))
        builds.record_gold(opened.engine, build_id, snapshot, actor="dagster:gold")
    yield from checks


def _run_dbt(
    platform: Platform, stage: str, select: str, *, full_refresh: bool = False
) -> dbt_runner.DbtReport:
    """One dbt build; a failed model raises, a failed test does not (its check says so)."""

    def tell(node: dbt_runner.DbtNode) -> None:
        if node.resource_type == "model":
            report(stage, node.name, small=True)

    report(stage, "starting", small=True)
    done = dbt_runner.build(
        platform.settings, select=select, full_refresh=full_refresh, on_event=tell
    )
    broken = [node for node in done.nodes if node.status == "error"]
    if broken:
        raise BuildError(
            f"dbt: {len(broken)} node(s) failed, first {broken[0].name}: {broken[0].message}",
            hint="Each table is either as before or complete; mend the cause and run again.",
        )
    models = [node.status for node in done.nodes if node.resource_type == "model"]
    tests = [node.status for node in done.nodes if node.resource_type == "test"]
    report(
        stage,
        f"{models.count('success')} tables",
        f"{tests.count('pass')} of {len(tests)} dbt tests passed",
        failed="fail" in tests,
    )
    return done


def _incomplete(done: dbt_runner.DbtReport) -> list[dbt_runner.DbtNode]:
    """Models that dbt left out because a test above them failed."""
    return [
        node for node in done.nodes if node.status == "skipped" and node.resource_type == "model"
    ]


def _snapshot(platform: Platform) -> int:
    with lake.connect(platform.settings) as connection:
        return lake.snapshot_id(connection)


def _events(
    platform: Platform,
    done: dbt_runner.DbtReport,
    specs: list[dg.AssetSpec],
    tests: dict[str, dg.AssetCheckSpec],
) -> Events:
    """What each model became and what each test said."""
    nodes = {node.unique_id: node for node in done.nodes}
    seconds = {
        asset_key(MANIFEST["nodes"][unique_id]): node.seconds
        for unique_id, node in nodes.items()
        if unique_id in MANIFEST["nodes"] and node.resource_type == "model"
    }
    skipped = {node.name for node in _incomplete(done)}
    with lake.connect(platform.settings) as connection, lake.one_snapshot(connection):
        snapshot = lake.snapshot_id(connection)
        made = [
            dg.MaterializeResult[None](
                asset_key=spec.key,
                metadata={
                    **table_metadata(connection, *spec.key.path),
                    "snapshot_id": snapshot,
                    "seconds": round(seconds.get(spec.key, 0.0), 3),
                    **_shown_of(connection, spec.key.path[1]),
                },
            )
            for spec in specs
            if spec.key.path[1] not in skipped
        ]
    yield from made
    for unique_id, check in tests.items():
        node = nodes.get(unique_id)
        if node is not None and node.status != "skipped":
            yield _test_result(unique_id, check, node)
    left_out = _incomplete(done)
    if left_out:
        failed = ", ".join(node.name for node in done.nodes if node.status == "fail")
        raise QualityError(
            f"{len(left_out)} model(s) were left out because dbt test(s) failed: {failed}.",
            hint="Withdraw or correct the drop that brought the rows, then run again.",
        )


def _shown_of(
    connection: duckdb.DuckDBPyConnection, table: str
) -> dict[str, dg.MetadataValue[Any]]:
    """What some assets show besides counts, schema and sample."""
    if table == "encounter_summary":
        return {"richest_encounter": encounter_card(connection)}
    if table == "corpus_manifest":
        return {"corpus": corpus_statistics(connection)}
    return {}


def _test_result(
    unique_id: str, check: dg.AssetCheckSpec, node: dbt_runner.DbtNode
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=node.status == "pass",
        severity=severity(MANIFEST["nodes"][unique_id]),
        metadata={"failing_rows": node.failures or 0, "seconds": round(node.seconds, 3)},
    )
