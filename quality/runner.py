"""Checking one layer: count, have Great Expectations judge, keep the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from typing import Any

import duckdb
import psycopg
from sqlalchemy import Engine

from lakehouse import lake
from lakehouse.errors import QualityError
from lakehouse.progress import report
from lakehouse.settings import Settings
from quality import own_rules, worker
from quality.judging import set_apart
from quality.measure import absent, is_there, measure
from quality.results import CheckResult, Facts, judge, store
from quality.suites import Layer, Rule, Suite


def run(
    layer: Layer,
    *,
    settings: Settings,
    engine: Engine,
    con: duckdb.DuckDBPyConnection | None = None,
    build_id: str | None,
    run_id: str | None,
    schema: str = "marts",
    suites: Sequence[Suite] | None = None,
) -> list[CheckResult]:
    """Check a layer, store a ``check_result`` row per rule, and return the results.

    A layer of which no table is there has not been built: it has no results, and stores none.
    ``con`` is a lake connection to use. For layer ``published``, ``schema`` is the Postgres schema
    to look at. ``suites`` replaces the layer's own. Raises :class:`QualityError` when a suite is
    wrong or Great Expectations fails; a rule that is broken is a result, not an error.
    """
    own = own_rules.read(settings.quality_rules)
    chosen = own.suites(layer) if suites is None else suites
    if layer == "published":
        if suites is None and not _relations(settings, schema) & {one.table for one in chosen}:
            return []
        facts, verdicts = _look_at_published(settings, chosen, schema, build_id)
    else:
        with nullcontext(con) if con is not None else closing(lake.connect(settings)) as connection:
            if suites is None and not any(
                is_there(suite, con=connection, engine=engine) for suite in chosen
            ):
                return []
            worker.warm_up()  # it gets ready while the database counts
            apart = set_apart(engine, own, chosen)
            facts = {
                suite.table: measure(
                    suite, con=connection, engine=engine, apart=apart.get(suite.name)
                )
                for suite in chosen
            }
        verdicts = _judge_counts(settings, chosen, facts, build_id)
    now = datetime.now(UTC)
    results = [
        judge(
            rule,
            facts[suite.table][rule.name],
            verdicts[suite.table][rule.name],
            build_id=build_id,
            run_id=run_id,
            checked_at=now,
        )
        for suite in chosen
        for rule in suite.rules
    ]
    store(engine, results)
    _tell(layer, results)
    return results


def _judge_counts(
    settings: Settings,
    suites: Sequence[Suite],
    facts: Mapping[str, Mapping[str, Facts]],
    build_id: str | None,
) -> dict[str, dict[str, bool]]:
    """Great Expectations' verdicts; a table that is allowed to be absent is not shown to it."""
    present = [suite for suite in suites if not _is_absent(facts[suite.table])]
    counted = [
        (
            suite,
            {
                rule.name: _value(rule, facts[suite.table][rule.name])
                for rule in suite.rules
                if facts[suite.table][rule.name].problem is None
            },
        )
        for suite in present
    ]
    verdicts: dict[str, dict[str, bool]] = worker.ask(
        "validate", settings.home.resolve(), counted, build_id or "by hand"
    )
    for suite in suites:
        if suite not in present:
            verdicts[suite.table] = {rule.name: True for rule in suite.rules}
    return verdicts


def _is_absent(facts: Mapping[str, Facts]) -> bool:
    return bool(facts) and all(fact.skipped and fact.rows == 0 for fact in facts.values())


def _value(rule: Rule, fact: Facts) -> float:
    """The number to bound; a rule that does not apply now is met."""
    if fact.skipped is None:
        return fact.value
    return next((bound for bound in (rule.minimum, rule.maximum) if bound is not None), 0.0)


def _look_at_published(
    settings: Settings, suites: Sequence[Suite], schema: str, build_id: str | None
) -> tuple[dict[str, dict[str, Facts]], dict[str, dict[str, bool]]]:
    present = _relations(settings, schema)
    outcomes: dict[str, dict[str, dict[str, Any]]] = worker.ask(
        "validate_marts",
        settings.home.resolve(),
        [suite for suite in suites if suite.table in present],
        settings.database_url("marts"),
        schema,
        build_id or "by hand",
    )
    facts: dict[str, dict[str, Facts]] = {}
    verdicts: dict[str, dict[str, bool]] = {}
    for suite in suites:
        if suite.table in present:
            by_rule = outcomes[suite.table]
            facts[suite.table] = {r.name: _facts(r, by_rule[r.name]) for r in suite.rules}
            verdicts[suite.table] = {r.name: by_rule[r.name]["passed"] for r in suite.rules}
        else:
            fact = absent(suite)
            facts[suite.table] = {r.name: fact for r in suite.rules}
            verdicts[suite.table] = {r.name: fact.problem is None for r in suite.rules}
    return facts, verdicts


def _relations(settings: Settings, schema: str) -> frozenset[str]:
    """Tables and views of a schema of the marts database."""
    try:
        with psycopg.connect(settings.libpq_url("marts")) as connection:
            rows = connection.execute(
                "select table_name from information_schema.tables where table_schema = %s", [schema]
            ).fetchall()
    except psycopg.Error as error:
        raise QualityError(
            f"The marts database cannot be reached ({type(error).__name__}).",
            hint="Check that Postgres is up: `lakehouse status`.",
        ) from error
    return frozenset(row[0] for row in rows)


def _facts(rule: Rule, outcome: Mapping[str, Any]) -> Facts:
    if outcome["raised"]:
        return Facts(problem="The rule could not be evaluated; look at the mart's columns.")
    if rule.kind == "row_count":
        rows = int(outcome["observed_value"])
        return Facts(rows=rows, total=rows, value=rows)
    rows = int(outcome.get("element_count", 0))
    total = rows if rule.kind == "not_null" else rows - int(outcome.get("missing_count", 0))
    return Facts(rows=rows, total=total, unexpected=int(outcome.get("unexpected_count", 0)))


def _tell(layer: str, results: Sequence[CheckResult]) -> None:
    failed = [result for result in results if not result.passed]
    errors = sum(result.severity == "error" for result in failed)
    report(
        "check",
        layer,
        f"{len(results) - len(failed)} of {len(results)} passed"
        + (f", {errors} errors" if errors else "")
        + (f", {len(failed) - errors} warnings" if len(failed) > errors else ""),
        failed=errors > 0,
    )
