"""dbt's tests, and its models that fail, as rules: kept beside the results of the suites.

They are known when dbt ran, the suites' rules whenever somebody checks: ``ops.current_check`` shows the
newest evaluation of each, and tells them apart by their names, which begin with ``dbt_``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine

from quality.results import CheckResult, store
from quality.suites import Layer, Severity


@dataclass(frozen=True)
class NodeOutcome:
    """What one dbt node said: of a test the rows that it found, of a model why it failed."""

    layer: Layer
    table: str
    rule: str
    severity: Severity
    passed: bool
    failures: int
    requirement: str
    #: Why the node could not be carried out.
    problem: str | None = None


def store_nodes(
    engine: Engine, outcomes: Sequence[NodeOutcome], *, build_id: str | None, run_id: str | None
) -> None:
    """Append what one run of dbt said to ``check_result``, all or none."""
    now = datetime.now(UTC)
    store(
        engine,
        [
            CheckResult(
                build_id=build_id,
                run_id=run_id,
                layer=outcome.layer,
                table=outcome.table,
                rule=outcome.rule,
                column=None,
                severity=outcome.severity,
                passed=outcome.passed,
                observed={} if outcome.problem else {"unexpected": outcome.failures},
                expected=outcome.requirement,
                message=outcome.problem or _counted(outcome),
                checked_at=now,
            )
            for outcome in outcomes
        ],
    )


def _counted(outcome: NodeOutcome) -> str:
    counted = f"{outcome.failures:,} rows break the rule"
    return f"{counted}." if outcome.passed else f"{counted}; expected: {outcome.requirement}"
