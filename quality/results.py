"""The outcome of one rule: numbers, verdict and what to do. Stored as one ``check_result`` row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from lakehouse.metadata import models
from quality.suites import Layer, Rule, Severity


@dataclass(frozen=True)
class Facts:
    """What was counted for one rule; ``total`` rows in scope, ``unexpected`` of them break it.

    ``value`` is the number that the rule bounds: a count of rows, or the share that breaks it.
    ``problem`` says why nothing could be counted; ``apart`` counts submissions whose rows were not.
    """

    rows: int = 0
    total: float = 0
    unexpected: float = 0
    value: float = 0
    skipped: str | None = None
    problem: str | None = None
    apart: int = 0

    @property
    def share(self) -> float:
        return self.unexpected / self.total if self.total else 0.0


@dataclass(frozen=True)
class CheckResult:
    """One rule evaluated once. ``observed`` holds counts and shares, never values of patients."""

    build_id: str | None
    run_id: str | None
    layer: Layer
    table: str
    rule: str
    column: str | None
    severity: Severity
    passed: bool
    observed: Mapping[str, float | int | str]
    expected: str
    message: str
    checked_at: datetime

    @property
    def blocks(self) -> bool:
        return not self.passed and self.severity == "error"


def blocking(results: Iterable[CheckResult]) -> list[str]:
    """Why these results stop a publish: one line per failed error; empty when nothing does."""
    return [
        f"{result.layer}.{result.table} {result.rule}: {result.message}"
        for result in results
        if result.blocks
    ]


def severity_of(rule: Rule, facts: Facts) -> Severity:
    """How bad it is that the rule is broken: a share of a few rows is no error."""
    if rule.severity == "error" and rule.is_share and 0 < facts.total < rule.minimum_rows:
        return "warning"
    return rule.severity


def observed_of(rule: Rule, facts: Facts) -> dict[str, float | int | str]:
    """The numbers of a result."""
    observed: dict[str, float | int | str] = {"rows": facts.rows}
    if rule.kind == "same_count":
        observed |= {"other_rows": _number(facts.total), "difference": _number(facts.unexpected)}
    elif rule.kind != "row_count":
        observed |= {
            "checked": _number(facts.total),
            "unexpected": _number(facts.unexpected),
            "share": round(facts.share, 6),
        }
    if facts.skipped:
        observed["skipped"] = facts.skipped
    if facts.apart:
        observed["submissions_apart"] = facts.apart
    return observed


def judge(
    rule: Rule,
    facts: Facts,
    passed: bool,
    *,
    build_id: str | None,
    run_id: str | None,
    checked_at: datetime,
) -> CheckResult:
    """The result of ``rule`` from what was counted and Great Expectations' verdict on it."""
    return CheckResult(
        build_id=build_id,
        run_id=run_id,
        layer=rule.layer,
        table=rule.table,
        rule=rule.name,
        column=rule.column or (", ".join(rule.columns) or None),
        severity=severity_of(rule, facts),
        passed=passed,
        observed=observed_of(rule, facts),
        expected=rule.requirement,
        message=_message(rule, facts, passed),
        checked_at=checked_at,
    )


def store(engine: Engine, results: Sequence[CheckResult]) -> None:
    """Append the results to ``check_result``, all or none."""
    if not results:
        return
    with Session(engine) as session, session.begin():
        session.execute(
            insert(models.CheckResult),
            [
                {
                    "build_id": result.build_id,
                    "run_id": result.run_id,
                    "layer": result.layer,
                    "table_name": result.table,
                    "rule": result.rule,
                    "column_name": result.column,
                    "severity": result.severity,
                    "passed": result.passed,
                    "observed": dict(result.observed),
                    "expected": result.expected,
                    "message": result.message,
                    "checked_at": result.checked_at,
                }
                for result in results
            ],
        )


def _number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else round(float(value), 6)


def _message(rule: Rule, facts: Facts, passed: bool) -> str:
    if facts.problem:
        return facts.problem
    if facts.skipped:
        return f"Skipped: {facts.skipped}."
    counted = counted_in_words(rule, facts)
    if passed:
        return f"{counted}."
    if severity_of(rule, facts) != rule.severity:
        counted += f" (a warning, as there are fewer than {rule.minimum_rows})"
    advice = f" {rule.advice}" if rule.advice else f" {_ADVICE[rule.kind].format(rule=rule)}"
    return f"{counted}; expected: {rule.requirement}.{advice}"


def counted_in_words(rule: Rule, facts: Facts) -> str:
    """What was counted, without a full stop."""
    if rule.kind == "row_count":
        return f"{facts.rows:,} rows"
    if rule.kind == "same_count":
        return f"{facts.rows:,} rows against {facts.total:,.0f} in {rule.other}"
    counted = f"{facts.unexpected:,.0f} of {facts.total:,.0f} ({facts.share:.2%}) break the rule"
    if rule.allowed_share:
        counted += f", up to {rule.allowed_share:.2%} may"
    return counted


_ADVICE = {
    "row_count": "Look whether the last drops were complete and whether the build failed midway.",
    "not_null": "Find the submissions of these rows and their `submission_id`, and send them again "
    "with the value, or withdraw them.",
    "unique": "A key must not occur twice: run `lakehouse build --full-refresh`, and report it if "
    "it stays.",
    "between": "Look at the unit and the source of these rows; correct and send them again, or "
    "withdraw the submission.",
    "dates": "Correct these dates and send them again, or give the submitter limits of its own "
    "(QUALITY_RULES).",
    "accepted": "Map the new values where they belong, or correct and send them again.",
    "share": "Look at what the last submissions brought (`lakehouse status`).",
    "ratio": "Look at what the last submissions brought (`lakehouse status`).",
    "same_count": "Run the build again; if it stays, run `lakehouse build --full-refresh`.",
}
