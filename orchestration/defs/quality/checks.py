"""Rules of the quality suites as asset checks: each shows its numbers, errors block what follows.

The steps that make a layer's tables evaluate its rules too (an asset and its blocking check must
share a step where tables of one layer build on each other), so this module only translates.
"""

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg

import quality
from installation.platform import Platform
from lakehouse.errors import QualityError
from lakehouse.metadata import builds
from lakehouse.metadata.status import HeldLine
from orchestration.resources import PlatformResource
from quality.suites import LAYERS, Layer, Rule, rules

#: Tables that are checked but are no asset by themselves: the asset that shows their checks.
_SHOWN_ON = {("bronze", "submission_file"): dg.AssetKey(["raw", "submission"])}


#: Shows who is held. It blocks nothing: everybody else goes on.
HELD_CHECK = dg.AssetCheckSpec(
    name="no_submission_is_held",
    asset=dg.AssetKey(["raw", "submission"]),
    description=(
        "A submission whose rows break an error rule is held alone, until it is corrected, released "
        "or withdrawn. The numbers are those of its own rows."
    ),
)


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
    """Evaluate and store every rule of ``layers``; what Dagster shows of each.

    Of a layer that has not been built there is nothing to show.
    """
    build_id = builds.succeeded_id(platform.engine)
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


def held_result(held: Sequence[HeldLine]) -> dg.AssetCheckResult:
    """Who is held now, by which rules, with their numbers."""
    submissions = {line.submission_id for line in held}
    return dg.AssetCheckResult(
        asset_key=HELD_CHECK.asset_key,
        check_name=HELD_CHECK.name,
        passed=not held,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(submissions)} submission(s) held; `lakehouse release` takes one in."
        if held
        else "None is held.",
        metadata={
            "held_submissions": len(submissions),
            **(
                {
                    "rules": dg.TableMetadataValue(
                        records=[
                            dg.TableRecord(
                                {
                                    "submission": line.submission_id,
                                    "from": line.submitter,
                                    "rule": f"{line.layer}.{line.table_name} {line.rule}",
                                    "numbers": line.message,
                                }
                            )
                            for line in held
                        ],
                        schema=dg.TableSchema(
                            [
                                dg.TableColumn(name)
                                for name in ("submission", "from", "rule", "numbers")
                            ]
                        ),
                    )
                }
                if held
                else {}
            ),
        },
    )


def refuse_blocked(results: Iterable[dg.AssetCheckResult]) -> Iterator[dg.AssetCheckResult]:
    """Pass the results on; then raise :class:`QualityError` naming each error with its numbers."""
    blocked = []
    for result in results:
        yield result
        if not result.passed and result.severity == dg.AssetCheckSeverity.ERROR:
            table = ".".join(result.asset_key.path) if result.asset_key else ""
            blocked.append(f"{table} {result.check_name}: {result.description}")
    if blocked:
        raise QualityError(
            f"{len(blocked)} rule(s) of whole tables fail, so nothing was published:\n"
            + "\n".join(f"  - {line}" for line in blocked),
            hint="No submission of this build breaks them by itself. `lakehouse check` shows all "
            "rules; withdraw what brought the rows, or correct the rule.",
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
