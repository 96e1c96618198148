"""Counting what rules ask for: one aggregate query a table, in the database that holds it.

Memory stays constant whatever the table's size, and nothing but counts leaves the database. A table is
counted as a whole, or for each of some submissions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import duckdb
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from lakehouse.lake import LAKE
from lakehouse.quoting import identifier, literal
from quality.results import Facts
from quality.suites import Rule, Suite

#: Runs a query that gives rows of numbers, and the submission's id first where it asks for it.
Query = Callable[[str], Sequence[Sequence[Any]]]


#: Names the submission of a row, in every table of Bronze and Silver that has rows of submissions.
_SUBMISSION = "submission_id"


class CannotCount(Exception):
    """The database refused a query; the reason names no value."""


def measure(
    suite: Suite,
    *,
    con: duckdb.DuckDBPyConnection,
    engine: Engine,
    apart: Mapping[str, Iterable[str]] | None = None,
) -> dict[str, Facts]:
    """Facts for each rule of a suite on the lake or on the metadata database.

    ``apart`` names, for some rules, submissions whose rows are not counted.
    """
    relation, columns, query = _place(suite, con, engine)
    if not columns:
        fact = absent(suite)
        return {rule.name: fact for rule in suite.rules}
    counted = tuple(_without(rule, (apart or {}).get(rule.name, ())) for rule in suite.rules)
    return _measure(counted, relation, columns, query)


def measure_submissions(
    suite: Suite,
    submissions: Iterable[str],
    *,
    con: duckdb.DuckDBPyConnection,
    engine: Engine,
) -> dict[str, dict[str, Facts]]:
    """Facts for each rule of a suite on the rows of each of these submissions that has any.

    A rule that cannot be evaluated is left out: the whole table's evaluation tells of it.
    """
    relation, columns, query = _place(suite, con, engine)
    rules = [rule for rule in suite.rules if set(rule.needed_columns) <= columns]
    if _SUBMISSION not in columns or not rules:
        return {}
    names = list(submissions)
    try:
        return _count_submissions(rules, relation, names, query)
    except CannotCount:
        found: dict[str, dict[str, Facts]] = {}
        for rule in rules:
            with suppress(CannotCount):
                for name, facts in _count_submissions([rule], relation, names, query).items():
                    found.setdefault(name, {}).update(facts)
        return found


def is_there(suite: Suite, *, con: duckdb.DuckDBPyConnection, engine: Engine) -> bool:
    """Whether the suite's table exists."""
    return bool(_place(suite, con, engine)[1])


def _place(
    suite: Suite, con: duckdb.DuckDBPyConnection, engine: Engine
) -> tuple[str, frozenset[str], Query]:
    """The table's name in SQL, its columns (none where it is missing), and how to ask for it."""
    if suite.database == "metadata":
        return suite.table, _postgres_columns(engine, suite), _postgres_query(engine)
    relation = f"{LAKE}.{suite.layer}.{identifier(suite.table)}"
    return relation, _duckdb_columns(con, suite), _duckdb_query(con)


def _without(rule: Rule, submissions: Iterable[str]) -> Rule:
    """The rule with the rows of these submissions out of its scope."""
    names = ", ".join(literal(name) for name in submissions)
    if not names:
        return rule
    others = f"{_SUBMISSION} not in ({names})"
    return replace(rule, where=f"({rule.where}) and {others}" if rule.where else others)


def absent(suite: Suite) -> Facts:
    """Facts of every rule of a suite whose table is not there."""
    what = f"{suite.name} is not there"
    if suite.optional:
        return Facts(skipped=what)
    return Facts(problem=f"{what}; run the build, and see that its model succeeded.")


def _measure(
    rules: Sequence[Rule], relation: str, columns: frozenset[str], query: Query
) -> dict[str, Facts]:
    facts: dict[str, Facts] = {}
    countable = []
    for rule in rules:
        missing = [name for name in rule.needed_columns if name not in columns]
        if missing:
            facts[rule.name] = Facts(
                problem=f"The column {', '.join(missing)} is not there; correct the model or the rule."
            )
        else:
            countable.append(rule)
    try:
        facts |= _count(countable, relation, query)
    except CannotCount:
        # One rule spoils the common query: find out which, and count the others.
        for rule in countable:
            try:
                facts |= _count([rule], relation, query)
            except CannotCount as error:
                facts[rule.name] = Facts(
                    problem=f"The rule could not be evaluated ({error}); correct its SQL."
                )
    return facts


def _count(rules: Sequence[Rule], relation: str, query: Query) -> dict[str, Facts]:
    if not rules:
        return {}
    selected = ["count(*)"]
    for rule in rules:
        selected.append(f"({rule.when})" if rule.when else "true")
        selected.extend(_aggregates(rule, relation))
    rows = query(f"select {', '.join(selected)} from {relation} as checked")
    return _facts(rules, rows[0])


def _count_submissions(
    rules: Sequence[Rule], relation: str, submissions: Sequence[str], query: Query
) -> dict[str, dict[str, Facts]]:
    """Facts of each submission, in one query; a rule over pairs of rows counts it as a party."""
    names = ", ".join(literal(name) for name in submissions)
    selected = [_SUBMISSION, "count(*)"]
    for rule in rules:
        duplicates = _repeated(rule, relation) if rule.kind == "unique" else None
        selected += ["true", *(duplicates or _aggregates(rule, relation))]
    rows = query(
        f"select {', '.join(selected)} from {relation} as checked"
        f" where {_SUBMISSION} in ({names}) group by {_SUBMISSION}"
    )
    return {str(row[0]): _facts(rules, row[1:]) for row in rows}


def _facts(rules: Sequence[Rule], row: Sequence[Any]) -> dict[str, Facts]:
    """Facts from a count of rows and, for each rule, whether it applies, its scope and breaches."""
    rows = int(row[0])
    facts = {}
    for position, rule in enumerate(rules):
        applies, total, unexpected = row[1 + 3 * position : 4 + 3 * position]
        if not applies:
            facts[rule.name] = Facts(rows=rows, skipped=f"only when {rule.when}")
            continue
        fact = Facts(rows=rows, total=float(total or 0), unexpected=float(unexpected or 0))
        facts[rule.name] = Facts(
            rows=int(fact.total) if rule.kind == "row_count" else rows,
            total=fact.total,
            unexpected=fact.unexpected,
            value=_value(rule, fact),
        )
    return facts


def _value(rule: Rule, fact: Facts) -> float:
    if rule.kind == "row_count":
        return fact.total
    return fact.share if rule.allowed_share else fact.unexpected


def _aggregates(rule: Rule, relation: str) -> tuple[str, str]:
    """Two SQL aggregates: how many are in scope, and how many of them break the rule."""
    if rule.kind == "unique":
        return _unique(rule, relation)
    return _BY_KIND[rule.kind](rule)


def _filter(*conditions: str | None) -> str:
    given = [f"({condition})" for condition in conditions if condition]
    return f" filter (where {' and '.join(given)})" if given else ""


def _row_count(rule: Rule) -> tuple[str, str]:
    return f"count(*){_filter(rule.where)}", "0"


def _not_null(rule: Rule) -> tuple[str, str]:
    column = identifier(rule.column or "")
    return f"count(*){_filter(rule.where)}", f"count(*){_filter(rule.where, f'{column} is null')}"


def _unique(rule: Rule, relation: str) -> tuple[str, str]:
    columns, scope = _key(rule)
    # Grouping spills to disk where the keys do not fit in memory; count(distinct …) is slower.
    duplicates = (
        "(select coalesce(sum(n - 1), 0) from "
        f"(select count(*) as n from {relation} where {scope} group by {columns} having count(*) > 1)"
        " as repeated)"
    )
    return f"count(*){_filter(scope)}", duplicates


def _repeated(rule: Rule, relation: str) -> tuple[str, str]:
    """The rows of a submission whose key also another row of the table has."""
    columns, scope = _key(rule)
    repeated = (
        f"({columns}) in (select ({columns}) from {relation} where {scope}"
        f" group by {columns} having count(*) > 1)"
    )
    return f"count(*){_filter(scope)}", f"count(*){_filter(scope, repeated)}"


def _key(rule: Rule) -> tuple[str, str]:
    """The columns of a key, and the condition that it is whole and in scope."""
    present = " and ".join(f"{identifier(column)} is not null" for column in rule.columns)
    scope = f"{present} and ({rule.where})" if rule.where else present
    return ", ".join(identifier(column) for column in rule.columns), scope


def _between(rule: Rule) -> tuple[str, str]:
    if rule.list is not None:
        outside = _outside("x", rule)
        inside_scope = _filter(rule.where)
        return (
            f"coalesce(sum(len({rule.list})){inside_scope}, 0)",
            f"coalesce(sum(len(list_filter({rule.list}, lambda x: {outside}))){inside_scope}, 0)",
        )
    column = identifier(rule.column or "")
    present = f"{column} is not null"
    return (
        f"count(*){_filter(rule.where, present)}",
        f"count(*){_filter(rule.where, present, _outside(column, rule))}",
    )


def _outside(value: str, rule: Rule) -> str:
    parts = []
    if rule.minimum is not None:
        parts.append(f"{value} < {rule.minimum!r}")
    if rule.maximum is not None:
        parts.append(f"{value} > {rule.maximum!r}")
    return " or ".join(parts)


def _dates(rule: Rule) -> tuple[str, str]:
    column = identifier(rule.column or "")
    outside = " or ".join(
        _compared(column, sign, bound)
        for sign, bound in (("<", rule.earliest), (">", rule.latest))
        if bound is not None
    )
    present = f"{column} is not null"
    return (
        f"count(*){_filter(rule.where, present)}",
        f"count(*){_filter(rule.where, present, outside)}",
    )


def _compared(column: str, sign: str, bound: str) -> str:
    """Partial dates are compared as far as both are written."""
    text = "left(current_date::varchar, 10)" if bound == "today" else literal(bound)
    length = f"least(len({column}), len({text}))"
    return f"left({column}, {length}) {sign} left({text}, {length})"


def _accepted(rule: Rule) -> tuple[str, str]:
    column = identifier(rule.column or "")
    values = ", ".join(literal(value) for value in rule.values)
    present = f"{column} is not null"
    return (
        f"count(*){_filter(rule.where, present)}",
        f"count(*){_filter(rule.where, present, f'{column} not in ({values})')}",
    )


def _share(rule: Rule) -> tuple[str, str]:
    met = f"coalesce(({rule.condition}), false)"
    broken = f"not {met}" if rule.at_least is not None else met
    return f"count(*){_filter(rule.where)}", f"count(*){_filter(rule.where, broken)}"


def _ratio(rule: Rule) -> tuple[str, str]:
    scope = _filter(rule.where)
    return f"{rule.denominator}{scope}", f"{rule.numerator}{scope}"


def _same_count(rule: Rule) -> tuple[str, str]:
    scope = f" where {rule.other_where}" if rule.other_where else ""
    other = f"(select count(*) from {LAKE}.{rule.other}{scope})"
    return other, f"abs(count(*){_filter(rule.where)} - {other})"


_BY_KIND: Mapping[str, Callable[[Rule], tuple[str, str]]] = {
    "row_count": _row_count,
    "not_null": _not_null,
    "between": _between,
    "dates": _dates,
    "accepted": _accepted,
    "share": _share,
    "ratio": _ratio,
    "same_count": _same_count,
}


def _duckdb_query(con: duckdb.DuckDBPyConnection) -> Query:
    def query(sql: str) -> Sequence[Sequence[Any]]:
        try:
            return con.execute(sql).fetchall()
        except duckdb.Error as error:
            raise CannotCount(type(error).__name__) from None  # its text may quote a value

    return query


def _postgres_query(engine: Engine) -> Query:
    def query(sql: str) -> Sequence[Sequence[Any]]:
        try:
            with engine.connect() as connection:
                rows = connection.execute(text(sql.replace(":", "\\:")))
                return [tuple(row) for row in rows]
        except DBAPIError as error:
            raise CannotCount(type(error.orig).__name__) from None

    return query


def _duckdb_columns(con: duckdb.DuckDBPyConnection, suite: Suite) -> frozenset[str]:
    # No bound parameters: DuckDB imports pandas (1.4 s) on the first one.
    rows = con.execute(
        f"select column_name from duckdb_columns() where database_name = {literal(LAKE)}"
        f" and schema_name = {literal(suite.layer)} and table_name = {literal(suite.table)}"
    ).fetchall()
    return frozenset(str(row[0]) for row in rows)


def _postgres_columns(engine: Engine, suite: Suite) -> frozenset[str]:
    query = text(
        "select column_name from information_schema.columns"
        " where table_schema = 'public' and table_name = :table"
    )
    with engine.connect() as connection:
        return frozenset(connection.execute(query, {"table": suite.table}).scalars())
