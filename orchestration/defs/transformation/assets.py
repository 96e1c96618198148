"""Bronze to Silver to Gold and marts: dbt models as assets, dbt tests as checks.

dbt is unpartitioned: however many submissions were landed, one build takes all of them.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, cast

import dagster as dg
import duckdb

import quality
from ingestion import landing
from installation.platform import Platform
from lakehouse import lake
from lakehouse.errors import BuildError, QualityError
from lakehouse.metadata import builds
from lakehouse.metadata.status import held
from lakehouse.metadata.submissions import Breach
from lakehouse.progress import report
from orchestration.dbt_specs import (
    asset_key,
    asset_specs,
    sampled_columns,
    severity,
    test_specs,
)
from orchestration.defs.platform.notifications import tell_held
from orchestration.defs.quality.checks import (
    HELD_CHECK,
    check_specs,
    evaluate,
    held_result,
    refuse_blocked,
)
from orchestration.defs.transformation import singled_out
from orchestration.metadata import corpus_statistics, encounter_card, table_metadata
from orchestration.resources import PlatformResource
from orchestration.vocabulary import LAKE_WRITER_POOL
from quality.suites import Layer
from transformation import dbt_runner

#: Run tag that asks for Silver to be built anew from Bronze.
FULL_REFRESH_TAG = "lakehouse/full_refresh"

#: So many submissions a message names.
_NAMED = 5

Events = Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]


MANIFEST = dbt_runner.manifest()
SILVER_SELECT = "tag:staging tag:silver"
GOLD_SELECT = "tag:gold tag:marts"
SILVER_SPECS = asset_specs(MANIFEST, "silver")
GOLD_SPECS = asset_specs(MANIFEST, "gold", "marts")
SILVER_TESTS = test_specs(MANIFEST, SILVER_SPECS)
GOLD_TESTS = test_specs(MANIFEST, GOLD_SPECS)
_TABLES_OF_TESTS = {name: spec.asset_key.path[-1] for name, spec in SILVER_TESTS.items()}


@dg.multi_asset(
    name="silver",
    specs=SILVER_SPECS,
    check_specs=[*SILVER_TESTS.values(), *check_specs("bronze", "silver"), HELD_CHECK],
    allow_arbitrary_check_specs=True,  # Bronze balances with what intake counted
    pool=LAKE_WRITER_POOL,
)
def silver(context: dg.AssetExecutionContext, platform: PlatformResource) -> Events:
    """Recompute in Silver what the pending submissions touch; hold those that break a rule."""
    quality.warm_up()  # Great Expectations gets ready beside dbt
    opened = platform.open()
    full_refresh = context.run.tags.get(FULL_REFRESH_TAG) == "true"
    with lake.connect(opened.settings) as connection:
        landing.ensure_tables(opened.settings, connection)  # Bronze may be an older version's
    with lake.layer_lock(opened.settings, "silver"):
        build = builds.start_build(
            opened.engine, full_refresh=full_refresh, run_id=context.run_id, actor="dagster:silver"
        )
        status = "failed"
        try:
            done, broken = _without_those_that_break_rules(opened, build, context.run_id)
            status = "failed" if _incomplete(done) else "succeeded"
        finally:
            builds.finish_build(
                opened.engine, build.build_id, status, _snapshot(opened), actor="dagster:silver"
            )
    context.log.info("Build %s took in %d submissions.", build.build_id, len(build.pending))
    tell_held(opened.settings, broken)
    yield from _made(opened, done, SILVER_SPECS, SILVER_TESTS)
    yield held_result(held(opened.engine))
    yield from refuse_blocked(
        chain(
            _test_results(done, SILVER_TESTS), evaluate(opened, context.run_id, "bronze", "silver")
        )
    )


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
        _keep(opened, done, GOLD_TESTS, build_id, context.run_id)
        _refuse_errors(done, _new_in_gold(opened))
        snapshot = _snapshot(opened)
        yield from _made(opened, done, GOLD_SPECS, GOLD_TESTS)
        yield from refuse_blocked(_test_results(done, GOLD_TESTS))
        checks = list(evaluate(opened, context.run_id, "gold", "marts"))
        builds.record_gold(opened.engine, build_id, snapshot, actor="dagster:gold")
    yield from refuse_blocked(checks)


def _without_those_that_break_rules(
    platform: Platform, build: builds.Build, run_id: str
) -> tuple[dbt_runner.DbtReport, dict[str, list[Breach]]]:
    """Silver of the build's submissions, without those whose own rows break an error rule; and those.

    What they brought can hide what others did, so the others are judged again without them. Where no
    rule says whose rows make a dbt node fail, it is tried (:mod:`.singled_out`).
    """
    full_refresh = build.full_refresh
    broken: dict[str, list[Breach]] = {}
    while True:
        done = _run_dbt(platform, "silver", SILVER_SELECT, full_refresh=full_refresh)
        breaches = {} if _errors(done) else _judged(platform, build)
        failing = _errors(done) or [node for node in done.nodes if node.status == "fail"]
        if failing and not breaches:
            breaches = singled_out.breaches_of(failing, _TABLES_OF_TESTS, build, platform=platform)
        if not breaches:
            _keep(platform, done, SILVER_TESTS, build.build_id, run_id)
            _refuse_errors(done, "No new submission can be told as the cause.")
            return done, broken
        broken |= breaches
        builds.hold(platform.engine, build.build_id, breaches, actor="dagster:silver")
        for submission_id, rules in breaches.items():
            report("held", submission_id, "; ".join(one.told for one in rules), failed=True)
        # Whatever the first pass made is as it should be but for the keys of this build.
        full_refresh = build.full_refresh and bool(_errors(done) or _incomplete(done))


def _judged(platform: Platform, build: builds.Build) -> dict[str, list[Breach]]:
    """What the submissions that the build takes in for the first time break by their own rows."""
    with lake.connect(platform.settings) as connection:
        return quality.judge_submissions(
            builds.to_judge(platform.engine, build.build_id),
            settings=platform.settings,
            con=connection,
            engine=platform.engine,
        )


def _run_dbt(
    platform: Platform, stage: str, select: str, *, full_refresh: bool = False
) -> dbt_runner.DbtReport:
    """One dbt build, told as it goes on."""

    def tell(node: dbt_runner.DbtNode) -> None:
        if node.resource_type == "model":
            report(stage, node.name, small=True)

    report(stage, "starting", small=True)
    done = dbt_runner.build(
        platform.settings, select=select, full_refresh=full_refresh, on_event=tell
    )
    models = [node.status for node in done.nodes if node.resource_type == "model"]
    tests = [node.status for node in done.nodes if node.resource_type == "test"]
    report(
        stage,
        f"{models.count('success')} tables",
        f"{tests.count('pass')} of {len(tests)} dbt tests passed",
        failed="fail" in tests or bool(_errors(done)),
    )
    return done


def _errors(done: dbt_runner.DbtReport) -> list[dbt_runner.DbtNode]:
    """Models and tests that the database could not carry out."""
    return [node for node in done.nodes if node.status == "error"]


def _keep(
    platform: Platform,
    done: dbt_runner.DbtReport,
    tests: dict[str, dg.AssetCheckSpec],
    build_id: str,
    run_id: str,
) -> None:
    """Store what each dbt test said, and which models could not be carried out."""
    outcomes = (_outcome(node, tests.get(node.unique_id)) for node in done.nodes)
    quality.store_nodes(
        platform.engine,
        [outcome for outcome in outcomes if outcome is not None],
        build_id=build_id,
        run_id=run_id,
    )


def _outcome(
    node: dbt_runner.DbtNode, check: dg.AssetCheckSpec | None
) -> quality.NodeOutcome | None:
    """What a node says as a rule; None of a model that was built, and of what did not run."""
    failed = node.status == "error"
    described = MANIFEST["nodes"].get(node.unique_id)
    if described is None or node.status == "skipped" or (check is None and not failed):
        return None
    key = check.asset_key if check is not None else asset_key(described)
    is_error = check is None or severity(described) is dg.AssetCheckSeverity.ERROR
    return quality.NodeOutcome(
        layer=cast("Layer", key.path[0]),
        table=key.path[-1],
        rule=check.name if check is not None else f"dbt_model_{node.name}",
        severity="error" if is_error else "warning",
        passed=node.status == "pass",
        failures=node.failures or 0,
        requirement=str(check.description) if check is not None else "The model can be built.",
        problem=(node.message or "It ended in an error.") if failed else None,
    )


def _new_in_gold(platform: Platform) -> str:
    """What came since Gold was last whole: whose rows may be the cause."""
    new = builds.not_in_gold(platform.engine)
    if not new:
        return "No submission is new in Gold."
    named = ", ".join(new[:_NAMED]) + (
        f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
    )
    return f"New in Gold: {named}. `lakehouse withdraw` takes the cause out; everything else goes on then."


def _refuse_errors(done: dbt_runner.DbtReport, cause: str) -> None:
    """Raise :class:`BuildError` naming each model and test that ended in an error, and why."""
    broken = _errors(done)
    if broken:
        raise BuildError(
            f"dbt: {len(broken)} of {len(done.nodes)} node(s) failed:\n"
            + "\n".join(f"  - {node.resource_type} {node.name}: {node.message}" for node in broken),
            hint=f"{cause} Each table is either as before or complete; mend the cause and run again.",
        )


def _incomplete(done: dbt_runner.DbtReport) -> list[dbt_runner.DbtNode]:
    """Models that dbt left out because a test above them failed."""
    return [
        node for node in done.nodes if node.status == "skipped" and node.resource_type == "model"
    ]


def _snapshot(platform: Platform) -> int:
    with lake.connect(platform.settings) as connection:
        return lake.snapshot_id(connection)


def _made(
    platform: Platform,
    done: dbt_runner.DbtReport,
    specs: list[dg.AssetSpec],
    tests: dict[str, dg.AssetCheckSpec],
) -> Events:
    """What each model became. Raises :class:`QualityError` where a failed test left models out."""
    nodes = {node.unique_id: node for node in done.nodes}
    seconds = {
        asset_key(MANIFEST["nodes"][unique_id]): node.seconds
        for unique_id, node in nodes.items()
        if unique_id in MANIFEST["nodes"] and node.resource_type == "model"
    }
    skipped = {node.name for node in _incomplete(done)}
    sampled = sampled_columns(MANIFEST)
    with lake.connect(platform.settings) as connection, lake.one_snapshot(connection):
        snapshot = lake.snapshot_id(connection)
        made = [
            dg.MaterializeResult[None](
                asset_key=spec.key,
                metadata={
                    **table_metadata(connection, spec.key, sampled[spec.key]),
                    "snapshot_id": snapshot,
                    "seconds": round(seconds.get(spec.key, 0.0), 3),
                    **_shown_of(connection, spec.key.path[1]),
                },
            )
            for spec in specs
            if spec.key.path[1] not in skipped
        ]
    yield from made
    left_out = _incomplete(done)
    if left_out:
        yield from _test_results(done, tests)
        failed = ", ".join(
            f"{node.name} ({node.failures or 0:,} failing rows)"
            for node in done.nodes
            if node.status == "fail"
        )
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


def _test_results(
    done: dbt_runner.DbtReport, tests: dict[str, dg.AssetCheckSpec]
) -> Iterator[dg.AssetCheckResult]:
    """What each dbt test said; a test that did not run says nothing."""
    for node in done.nodes:
        check = tests.get(node.unique_id)
        if check is not None and node.status != "skipped":
            yield _test_result(node, check)


def _test_result(node: dbt_runner.DbtNode, check: dg.AssetCheckSpec) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=node.status == "pass",
        severity=severity(MANIFEST["nodes"][node.unique_id]),
        description=f"{node.failures or 0:,} failing rows.",
        metadata={"failing_rows": node.failures or 0, "seconds": round(node.seconds, 3)},
    )
