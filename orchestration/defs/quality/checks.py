"""Rules of the quality suites as asset checks: each shows its numbers, errors block publishing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg
import quality
from quality.suites import Rule, rules

from lakehouse.metadata import builds
from orchestration.resources import PlatformResource


def check_name(rule: Rule) -> str:
    """Name of a rule's check: unique below its table."""
    return f"{rule.name}__{rule.column}" if rule.column else rule.name


def _spec(layer: str, rule: Rule) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name=check_name(rule),
        asset=[layer, rule.table],
        blocking=rule.severity == "error",
        description=rule.description,
    )


def layer_checks(layer: str) -> dg.AssetChecksDefinition:
    """One step that evaluates every rule of ``layer``."""
    found: Sequence[Rule] = rules(layer)
    specs = [_spec(layer, rule) for rule in found]

    @dg.multi_asset_check(
        name=f"{layer}_checks",
        specs=specs,
        description=f"Great Expectations suites of {layer}.",
    )
    def checks(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.AssetCheckResult]:
        opened = platform.open()
        results = quality.run(
            layer,
            settings=opened.settings,
            engine=opened.engine,
            build_id=builds.latest_id(opened.engine),
            run_id=context.run_id,
        )
        for result in results:
            yield dg.AssetCheckResult(
                asset_key=[layer, result.table],
                check_name=check_name(result.rule),
                passed=result.passed,
                severity=(
                    dg.AssetCheckSeverity.ERROR
                    if result.severity == "error"
                    else dg.AssetCheckSeverity.WARN
                ),
                description=result.message,
                metadata={"expected": result.expected, **result.observed},
            )

    return checks


silver_checks = layer_checks("silver")
gold_checks = layer_checks("gold")
