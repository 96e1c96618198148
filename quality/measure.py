"""Counting what rules ask for: one aggregate query a table, in the database that holds it.

Memory stays constant whatever the table's size, and nothing but counts leaves the database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from lakehouse.lake import LAKE
from quality.results import Facts
from quality.suites import Rule, Suite

#: Runs one query that gives one row of numbers.
Query = Callable[[str], Sequence[Any]]


class CannotCount(Exception):
    """The database refused a query; the reason names no value."""


def measure(suite: Suite, *, con: duckdb.DuckDBPyConnection, engine: Engine) -> dict[str, Facts]:
    """Facts for each rule of a suite on the lake or on the metadata database."""
    if suite.database == "metadata":
        query, columns, relation = (
            _postgres_query(engine),
            _postgres_columns(engine, suite),
            suite.table,
        )
    else:
        query, columns = _duckdb_query(con), _duckdb_columns(con, suite)
        relation = f"{LAKE}.{suite.layer}.{_quoted(suite.table)}"
    if not columns:
        fact = absent(suite)
        return {rule.name: fact for rule in suite.rules}
    return _measure(suite.rules, relation, columns, query)


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
    row = query(f"select {', '.join(selected)} from {relation} as checked")
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
    column = _quoted(rule.column or "")
    return f"count(*){_filter(rule.where)}", f"count(*){_filter(rule.where, f'{column} is null')}"


def _unique(rule: Rule, relation: str) -> tuple[str, str]:
    columns = ", ".join(_quoted(column) for column in rule.columns)
    present = " and ".join(f"{_quoted(column)} is not null" for column in rule.columns)
    scope = f"{present} and ({rule.where})" if rule.where else present
    # Grouping spills to disk where the keys do not fit in memory; count(distinct …) is slower.
    duplicates = (
        "(select coalesce(sum(n - 1), 0) from "
        f"(select count(*) as n from {relation} where {scope} group by {columns} having count(*) > 1)"
        " as repeated)"
    )
    return f"count(*){_filter(scope)}", duplicates


def _between(rule: Rule) -> tuple[str, str]:
    if rule.list is not None:
        outside = _outside("x", rule)
        inside_scope = _filter(rule.where)
        return (
            f"coalesce(sum(len({rule.list})){inside_scope}, 0)",
            f"coalesce(sum(len(list_filter({rule.list}, lambda x: {outside}))){inside_scope}, 0)",
        )
    column = _quoted(rule.column or "")
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


def _accepted(rule: Rule) -> tuple[str, str]:
    column = _quoted(rule.column or "")
    values = ", ".join(_literal(value) for value in rule.values)
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
    "accepted": _accepted,
    "share": _share,
    "ratio": _ratio,
    "same_count": _same_count,
}


def _duckdb_query(con: duckdb.DuckDBPyConnection) -> Query:
    def query(sql: str) -> Sequence[Any]:
        try:
            row = con.execute(sql).fetchone()
        except duckdb.Error as error:
            raise CannotCount(type(error).__name__) from None  # its text may quote a value
        if row is None:
            raise CannotCount("no row")
        return row

    return query


def _postgres_query(engine: Engine) -> Query:
    def query(sql: str) -> Sequence[Any]:
        try:
            with engine.connect() as connection:
                return tuple(connection.execute(text(sql.replace(":", "\\:"))).one())
        except DBAPIError as error:
            raise CannotCount(type(error.orig).__name__) from None

    return query


def _duckdb_columns(con: duckdb.DuckDBPyConnection, suite: Suite) -> frozenset[str]:
    # No bound parameters: DuckDB imports pandas (1.4 s) on the first one.
    rows = con.execute(
        f"select column_name from duckdb_columns() where database_name = {_literal(LAKE)}"
        f" and schema_name = {_literal(suite.layer)} and table_name = {_literal(suite.table)}"
    ).fetchall()
    return frozenset(str(row[0]) for row in rows)


def _postgres_columns(engine: Engine, suite: Suite) -> frozenset[str]:
    query = text(
        "select column_name from information_schema.columns"
        " where table_schema = 'public' and table_name = :table"
    )
    with engine.connect() as connection:
        return frozenset(connection.execute(query, {"table": suite.table}).scalars())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"
