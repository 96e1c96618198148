"""compile_view and check_view: what the package is used for, put together from its parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sql_on_fhir.duckdb import DuckDb
from sql_on_fhir.errors import FhirPathError, SqlOnFhirError, ViewDefinitionError
from sql_on_fhir.parsing.tree import View
from sql_on_fhir.parsing.view import collect
from sql_on_fhir.planning.plan import plan, problems_of
from sql_on_fhir.sql.statement import Source


@dataclass(frozen=True)
class Column:
    """One output column: its FHIR type, and the DuckDB type of one value.

    A `collection` column is a LIST of `sql_type`.
    """

    name: str
    fhir_type: str
    sql_type: str
    collection: bool
    description: str | None = None


@dataclass(frozen=True)
class CompiledView:
    """A view as one SELECT, without a semicolon; the same view gives the same text."""

    name: str
    resource: str
    columns: tuple[Column, ...]
    sql: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a view: where it is, and, for a path, at which character (from 0)."""

    severity: str
    message: str
    where: str = ""
    path: str | None = None
    position: int | None = None


def compile_view(
    view: Mapping[str, Any] | str | bytes | View,
    *,
    source: str,
    resource_column: str = "resource",
    passthrough: Sequence[str] = (),
    assume_type: bool = False,
) -> CompiledView:
    """One DuckDB SELECT that gives the rows of a ViewDefinition.

    `source` is put after FROM as it is: a relation, a subquery in parentheses, or a template
    placeholder. Its `resource_column` holds each resource as JSON text. `passthrough` names
    further columns of the source that every row carries after the view's own. With
    `assume_type` the source holds no other resource type, and the statement does not check.

    Raises ViewDefinitionError or FhirPathError, the first that `check_view` would report.
    """
    planned = plan(view)
    columns = tuple(
        Column(
            cell.definition.name,
            cell.type,
            DuckDb.column_type(cell).upper(),
            cell.definition.collection,
            cell.definition.description,
        )
        for cell in planned.cells
    )
    taken = {column.name.lower() for column in columns}
    for name in passthrough:
        if name.lower() in taken:
            raise ViewDefinitionError(
                f"the column {name!r} is also carried through from the source", view=planned.view
            )
    read = Source(source, resource_column, tuple(passthrough), assume_type)
    return CompiledView(
        planned.view,
        planned.resource_type,
        columns,
        DuckDb(planned).statement(read),
        tuple(planned.warnings),
    )


def check_view(view: Mapping[str, Any] | str | bytes) -> list[Problem]:
    """Everything wrong with a view: errors first, then warnings. Empty where all is well."""
    tree, errors = collect(view)
    warnings: list[str] = []
    if tree is not None:
        planned, warnings = problems_of(tree)
        errors = [*errors, *planned]
    if not errors:
        try:
            compile_view(view, source="resources")
        except SqlOnFhirError as error:
            errors = [error]
    problems = [_problem(error) for error in errors]
    return [*problems, *(Problem("warning", warning) for warning in warnings)]


def _problem(error: SqlOnFhirError) -> Problem:
    if isinstance(error, FhirPathError):
        return Problem("error", error.reason, error.where, error.path, error.position)
    where = error.where if isinstance(error, ViewDefinitionError) else ""
    return Problem("error", getattr(error, "reason", str(error)), where)
