"""Rules of the quality suites as asset checks: each shows its numbers, errors block publishing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

import quality
from lakehouse.metadata import builds
from orchestration.resources import PlatformResource
from quality.suites import Layer, Rule, rules

#: Checks of Bronze are evaluated after Silver took it in, so that they belong to the same build.
_AFTER_SILVER = [dg.AssetKey(["silver", "encounter"])]


def check_spec(layer: Layer, rule: Rule) -> dg.AssetCheckSpec:
    """How Dagster shows ``rule``."""
    return dg.AssetCheckSpec(
        name=rule.name,
        asset=[layer, rule.table],
        blocking=rule.severity == "error",
        description=f"{rule.requirement}. {rule.why}"
        + (f" ({rule.source})" if rule.source else ""),
        additional_deps=_AFTER_SILVER if layer == "bronze" else None,
    )


def check_result(result: quality.CheckResult) -> dg.AssetCheckResult:
    """What Dagster shows of one result: the verdict, the numbers, what to do."""
    return dg.AssetCheckResult(
        asset_key=[result.layer, result.table],
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


def layer_checks(name: str, layers: Sequence[Layer]) -> dg.AssetChecksDefinition:
    """One step that evaluates every rule of ``layers``."""
    specs = [check_spec(layer, rule) for layer in layers for rule in rules(layer)]

    @dg.multi_asset_check(
        name=name,
        specs=specs,
        description=f"Great Expectations suites of {' and '.join(layers)}.",
    )
    def checks(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.AssetCheckResult]:
        opened = platform.open()
        build_id = builds.latest_id(opened.engine)
        for layer in layers:
            results = quality.run(
                layer,
                settings=opened.settings,
                engine=opened.engine,
                build_id=build_id,
                run_id=context.run_id,
            )
            yield from map(check_result, results)

    return checks


silver_checks = layer_checks("silver_checks", ["bronze", "silver"])
gold_checks = layer_checks("gold_checks", ["gold", "marts"])
