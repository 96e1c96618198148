"""Rules of the quality suites as asset checks: each shows its numbers, errors block what follows.

The steps that make a layer's tables evaluate its rules too (an asset and its blocking check must
share a step where tables of one layer build on each other), so this module only translates.
"""

from collections.abc import Iterator

import dagster as dg

import quality
from lakehouse.metadata import builds
from lakehouse.platform import Platform
from orchestration.resources import PlatformResource
from quality.suites import LAYERS, Layer, Rule, rules

#: Tables that are checked but are no asset by themselves: the asset that shows their checks.
_SHOWN_ON = {("bronze", "submission_file"): dg.AssetKey(["raw", "submission"])}


def _asset_key(layer: str, table: str) -> dg.AssetKey:
    return _SHOWN_ON.get((layer, table), dg.AssetKey([layer, table]))


def check_specs(*layers: Layer) -> list[dg.AssetCheckSpec]:
    """One asset check for each rule of ``layers``."""
    return [_spec(layer, rule) for layer in layers for rule in rules(layer)]


def _spec(layer: Layer, rule: Rule) -> dg.AssetCheckSpec:
    source = f" ({rule.source})" if rule.source else ""
    return dg.AssetCheckSpec(
        name=rule.name,
        asset=_asset_key(layer, rule.table),
        # Bronze is judged with the build that takes it in; publishing refuses a failed error anyway.
        blocking=rule.severity == "error" and layer != "bronze",
        description=f"{rule.requirement}. {rule.why}{source}",
    )


def evaluate(platform: Platform, run_id: str, *layers: Layer) -> Iterator[dg.AssetCheckResult]:
    """Evaluate and store every rule of ``layers``; what Dagster shows of each."""
    build_id = builds.latest_id(platform.engine)
    for layer in layers:
        results = quality.run(
            layer,
            settings=platform.settings,
            engine=platform.engine,
            build_id=build_id,
            run_id=run_id,
        )
        yield from map(check_result, results)


def check_result(result: quality.CheckResult) -> dg.AssetCheckResult:
    """The verdict, the numbers, and what to do."""
    return dg.AssetCheckResult(
        asset_key=_asset_key(result.layer, result.table),
        check_name=result.rule,
        passed=result.passed,
        severity=(
            dg.AssetCheckSeverity.ERROR
            if result.severity == "error"
            else dg.AssetCheckSeverity.WARN
        ),
        description=result.message,
        metadata={"expected": result.expected, **result.observed},
    )


@dg.op(description="Evaluate every rule on the tables as they are now.")
def evaluate_all(
    context: dg.OpExecutionContext, platform: PlatformResource
) -> Iterator[dg.AssetCheckEvaluation | dg.Output[None]]:
    for result in evaluate(platform.open(), context.run_id, *LAYERS):
        yield dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey.from_coercible(result.asset_key or []),
            check_name=str(result.check_name),
            passed=result.passed,
            severity=result.severity,
            description=result.description,
            metadata=result.metadata,
        )
    yield dg.Output(None)


@dg.job(name="check", description="All quality suites on the tables as they are now.")
def check_job() -> None:
    evaluate_all()
