"""``lakehouse views``: ViewDefinitions by themselves, without the platform."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from cli.console import console, errors_console, table
from lakehouse.errors import ConfigurationError

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

    from sql_on_fhir import Problem

_BATCH_ROWS = 10_000

app = typer.Typer(help="Run, compile and check SQL-on-FHIR ViewDefinitions.", no_args_is_help=True)


class Format(StrEnum):
    """What `views run` prints."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"
    TABLE = "table"


@app.command()
def run(
    view: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A ViewDefinition.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Bundles, NDJSON (.gz, .zst too), single resources; none or - is stdin."
        ),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file; default: standard output.")
    ] = None,
) -> None:
    """Run one view over files and print its rows."""
    import duckdb

    from sql_on_fhir import SqlOnFhirError, compile_view
    from sql_on_fhir.run import run_view

    for file in files or []:
        if str(file) != "-" and not file.is_file():
            raise ConfigurationError("There is no such file.", hint=f"Check the path: {file}")
    paths: list[Path | str] = ["-" if str(file) == "-" else file for file in files or [Path("-")]]
    try:
        text = view.read_text(encoding="utf-8")
        _warn(compile_view(text, source="resources").warnings)
        _write(run_view(text, paths), format_, output)
    except (SqlOnFhirError, duckdb.Error) as error:
        errors_console.print(f"[bold red]{type(error).__name__}[/]: {escape(str(error))}")
        raise typer.Exit(1) from None


@app.command("compile")
def compile_(
    view: Annotated[
        Path | None, typer.Argument(help="A ViewDefinition; default: all of dbt/views.")
    ] = None,
    source: Annotated[
        str, typer.Option(help="The relation that holds the resources.")
    ] = "fhir_resource",
    staging: Annotated[
        bool, typer.Option("--staging", help="Print the staging model that dbt is given for it.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether what is generated is current.")
    ] = False,
) -> None:
    """Print the SQL of one view; without a view, write what is generated from dbt/views."""
    from sql_on_fhir import SqlOnFhirError, compile_view

    try:
        if view is not None:
            if staging:
                from transformation.views import staging_model, view_of

                sys.stdout.write(staging_model(view_of(view)))
                return
            text = view.read_text(encoding="utf-8")
            compiled = compile_view(text, source=source)
            _warn(compiled.warnings)
            sys.stdout.write(compiled.sql + "\n")
            return
        from transformation.views import compile_views

        changed = compile_views(check=check)
    except SqlOnFhirError as error:
        errors_console.print(f"[bold red]{type(error).__name__}[/]: {escape(str(error))}")
        raise typer.Exit(1) from None
    for path in changed:
        console.print(f"   {'differs' if check else 'written'}: {path}")
    if check and changed:
        raise typer.Exit(1)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(exists=True, help="A folder of ViewDefinitions.")],
) -> None:
    """Say everything that is wrong with each view of a folder; warnings alone do not fail."""
    from sql_on_fhir import check_view

    files = sorted(folder.rglob("*.json")) if folder.is_dir() else [folder]
    bad = 0
    for file in files:
        problems = check_view(file.read_text(encoding="utf-8"))
        is_bad = any(problem.severity == "error" for problem in problems)
        bad += is_bad
        console.print(f"{'[red]✗[/]' if is_bad else '[green]✓[/]'} {escape(str(file))}")
        for problem in problems:
            console.print(f"    {_described(problem)}", markup=False)
    console.print(f"{len(files)} view(s), {bad} with errors.")
    if bad:
        raise typer.Exit(1)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        errors_console.print(f"warning: {warning}", markup=False)


def _described(problem: Problem) -> str:
    """One line: severity, place in the view, message, place in the path."""
    place = f"{problem.where}: " if problem.where else ""
    path = ""
    if problem.path is not None and problem.position is not None:
        path = f", in the path {problem.path!r} at character {problem.position + 1}"
    return f"{problem.severity}: {place}{problem.message}{path}"


def _write(relation: DuckDBPyRelation, format_: Format, output: Path | None) -> None:
    """The rows in the asked format."""
    if format_ is Format.PARQUET:
        if output is None:
            raise ConfigurationError("Parquet needs a file.", hint="Add --output FILE.parquet.")
        relation.write_parquet(str(output), compression="zstd")
        return
    if format_ is Format.TABLE and output is None:
        console.print(table(None, relation.columns, list(_rows(relation))))
        return
    with output.open("w", encoding="utf-8") if output else nullcontext(sys.stdout) as stream:
        if format_ is Format.NDJSON:
            for row in _rows(relation):
                line = dict(zip(relation.columns, row, strict=True))
                stream.write(json.dumps(line, default=_as_json, ensure_ascii=False) + "\n")
        else:
            writer = csv.writer(stream)
            writer.writerow(relation.columns)
            for row in _rows(relation):
                writer.writerow([_as_cell(value) for value in row])


def _rows(relation: DuckDBPyRelation) -> Iterator[tuple[Any, ...]]:
    """The rows, a batch at a time; JSON columns as the values they stand for."""
    nested = [str(type_) == "JSON" for type_ in relation.types]
    while batch := relation.fetchmany(_BATCH_ROWS):
        for row in batch:
            yield tuple(
                json.loads(value) if is_json and value is not None else value
                for value, is_json in zip(row, nested, strict=True)
            )


def _as_json(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


def _as_cell(value: object) -> object:
    if isinstance(value, list | dict):
        return json.dumps(value, default=_as_json, ensure_ascii=False)
    return value
