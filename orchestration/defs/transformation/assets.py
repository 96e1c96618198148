"""Bronze to Silver to Gold and marts: dbt models as assets, dbt tests as checks.

dbt is unpartitioned: however many submissions were landed, one build takes all of them.
"""

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
import duckdb
from dagster_dbt import DagsterDbtTranslator, build_dbt_asset_specs

from lakehouse import dbt_runner, lake
from lakehouse.errors import BuildError, QualityError
from lakehouse.metadata import builds
from lakehouse.platform import Platform
from lakehouse.progress import report
from orchestration.defs.quality.checks import check_specs, evaluate
from orchestration.metadata import corpus_statistics, encounter_card, table_metadata
from orchestration.resources import PlatformResource
from orchestration.vocabulary import (
    AFTER_LANDINGS,
    AFTER_UPSTREAM,
    LAKE_WRITER_POOL,
    OWNERS,
)

#: Run tag that asks for Silver to be built anew from Bronze.
FULL_REFRESH_TAG = "lakehouse/full_refresh"

Events = Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]


class Translator(DagsterDbtTranslator):
    """Asset keys are ``layer/table``, as everywhere else in the platform."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        schema = dbt_resource_props.get("config", {}).get("schema") or dbt_resource_props["schema"]
        return dg.AssetKey(
            [schema, dbt_resource_props.get("identifier") or dbt_resource_props["name"]]
        )

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return self.get_asset_key(dbt_resource_props).path[0]

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return OWNERS

    def get_automation_condition(
        self, dbt_resource_props: Mapping[str, Any]
    ) -> dg.AutomationCondition[Any]:
        in_silver = self.get_group_name(dbt_resource_props) == "silver"
        return AFTER_LANDINGS if in_silver else AFTER_UPSTREAM


MANIFEST = dbt_runner.manifest()
_TRANSLATOR = Translator()


def _specs(select: str) -> list[dg.AssetSpec]:
    specs = build_dbt_asset_specs(
        manifest=MANIFEST, dagster_dbt_translator=_TRANSLATOR, select=select
    )
    by_key = {spec.key: spec for spec in specs}
    # A step has to yield its assets in the order in which they build on each other.
    order = TopologicalSorter(
        {
            spec.key: [dep.asset_key for dep in spec.deps if dep.asset_key in by_key]
            for spec in specs
        }
    ).static_order()
    return [by_key[key].replace_attributes(kinds={"dbt", "duckdb", "ducklake"}) for key in order]


def _test_specs(assets: list[dg.AssetSpec]) -> dict[str, dg.AssetCheckSpec]:
    """unique_id of a dbt test → the asset check that shows it."""
    keys = {spec.key for spec in assets}
    found: dict[str, dg.AssetCheckSpec] = {}
    for unique_id, node in MANIFEST["nodes"].items():
        if node["resource_type"] != "test":
            continue
        # A singular test over several models belongs to the first one it names.
        attached = node.get("attached_node") or next(iter(node["depends_on"]["nodes"]), None)
        if attached is None or attached not in MANIFEST["nodes"]:
            continue
        key = _TRANSLATOR.get_asset_key(MANIFEST["nodes"][attached])
        if key in keys:
            found[unique_id] = dg.AssetCheckSpec(
                name=f"dbt_{node['name']}"[:250],
                asset=key,
                blocking=node["config"].get("severity", "error").lower() == "error",
                description=node.get("description") or "A dbt test.",
            )
    return found


SILVER_SELECT = "tag:staging tag:silver"
GOLD_SELECT = "tag:gold tag:marts"
SILVER_SPECS = _specs(SILVER_SELECT)
GOLD_SPECS = _specs(GOLD_SELECT)
SILVER_TESTS = _test_specs(SILVER_SPECS)
GOLD_TESTS = _test_specs(GOLD_SPECS)


@dg.multi_asset(
    name="silver",
    specs=SILVER_SPECS,
    check_specs=[*SILVER_TESTS.values(), *check_specs("bronze", "silver")],
    allow_arbitrary_check_specs=True,  # Bronze balances with what intake counted
    pool=LAKE_WRITER_POOL,
)
def silver(context: dg.AssetExecutionContext, platform: PlatformResource) -> Events:
    """Recompute in Silver what the pending submissions touch."""
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
    """Build Gold and the marts from Silver."""
    opened = platform.open()
    with lake.layer_lock(opened.settings, "gold", "marts"):
        done = _run_dbt(opened, "gold", GOLD_SELECT)
    yield from _events(opened, done, GOLD_SPECS, GOLD_TESTS)
    yield from evaluate(opened, context.run_id, "gold", "marts")


def _run_dbt(
    platform: Platform, stage: str, select: str, *, full_refresh: bool = False
) -> dbt_runner.DbtReport:
    """One dbt build; a failed model raises, a failed test does not (its check says so)."""

    def tell(node: dbt_runner.DbtNode) -> None:
        if node.resource_type == "model":
            report(stage, node.name, f"{node.status}, {node.seconds:.2f} s")

    done = dbt_runner.build(
        platform.settings, select=select, full_refresh=full_refresh, on_event=tell
    )
    broken = [node for node in done.nodes if node.status == "error"]
    if broken:
        raise BuildError(
            f"dbt: {len(broken)} node(s) failed, first {broken[0].name}: {broken[0].message}",
            hint="Each table is either as before or complete; mend the cause and run again.",
        )
    return done


def _incomplete(done: dbt_runner.DbtReport) -> list[dbt_runner.DbtNode]:
    """Models that dbt left out because a test above them failed."""
    return [
        node for node in done.nodes if node.status == "skipped" and node.resource_type == "model"
    ]


def _snapshot(platform: Platform) -> int:
    with lake.connect(platform.settings, read_only=True) as connection:
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
        _TRANSLATOR.get_asset_key(MANIFEST["nodes"][unique_id]): node.seconds
        for unique_id, node in nodes.items()
        if unique_id in MANIFEST["nodes"] and node.resource_type == "model"
    }
    with lake.connect(platform.settings, read_only=True) as connection:
        snapshot = lake.snapshot_id(connection)
        skipped = {node.name for node in _incomplete(done)}
        for spec in specs:
            schema, table = spec.key.path
            if table in skipped:
                continue
            yield dg.MaterializeResult(
                asset_key=spec.key,
                metadata={
                    **table_metadata(connection, schema, table),
                    "snapshot_id": snapshot,
                    "seconds": round(seconds.get(spec.key, 0.0), 3),
                    **_shown_of(connection, table),
                },
            )
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
    severity = str(MANIFEST["nodes"][unique_id]["config"].get("severity", "error")).lower()
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=node.status == "pass",
        severity=(
            dg.AssetCheckSeverity.ERROR if severity == "error" else dg.AssetCheckSeverity.WARN
        ),
        metadata={"failing_rows": node.failures or 0, "seconds": round(node.seconds, 3)},
    )
