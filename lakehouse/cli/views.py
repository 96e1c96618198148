"""``lakehouse views``: ViewDefinitions by themselves, without the platform."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.console import console, errors_console
from lakehouse.errors import ConfigurationError

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

    from sql_on_fhir import SqlOnFhirError
    from sql_on_fhir.run import run_view

    paths: list[Path | str] = [*(files or [])] or ["-"]
    try:
        relation = run_view(json.loads(view.read_text(encoding="utf-8")), paths)
        _write(relation, format_, output)
    except (SqlOnFhirError, json.JSONDecodeError, duckdb.Error) as error:
        errors_console.print(f"[bold red]{type(error).__name__}[/]: {error}", markup=True)
        raise typer.Exit(1) from None


@app.command("compile")
def compile_(
    view: Annotated[
        Path | None, typer.Argument(help="A ViewDefinition; default: all of dbt/views.")
    ] = None,
    source: Annotated[
        str, typer.Option(help="The relation that holds the resources.")
    ] = "fhir_resource",
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether dbt's staging models are current.")
    ] = False,
) -> None:
    """Print the SQL of one view; without a view, write dbt's staging models from dbt/views."""
    from lakehouse.views import compile_views
    from sql_on_fhir import SqlOnFhirError, compile_view

    try:
        if view is not None:
            text = view.read_text(encoding="utf-8")
            sys.stdout.write(compile_view(text, source=source).sql + "\n")
            return
        changed = compile_views(check=check)
    except SqlOnFhirError as error:
        errors_console.print(f"[bold red]{type(error).__name__}[/]: {error}")
        raise typer.Exit(1) from None
    for path in changed:
        console.print(f"   {'differs' if check else 'written'}: {path}")
    if check and changed:
        raise typer.Exit(1)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(exists=True, help="A folder of ViewDefinitions.")],
) -> None:
    """Say everything that is wrong with each view of a folder."""
    from sql_on_fhir import check_view

    files = sorted(folder.rglob("*.json")) if folder.is_dir() else [folder]
    bad = 0
    for file in files:
        try:
            problems = [str(problem) for problem in check_view(file.read_text(encoding="utf-8"))]
        except json.JSONDecodeError as error:
            problems = [f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}"]
        bad += bool(problems)
        console.print(f"{'[red]✗[/]' if problems else '[green]✓[/]'} {file}")
        for problem in problems:
            console.print(f"    {problem}", markup=False)
    console.print(f"{len(files)} view(s), {bad} with problems.")
    if bad:
        raise typer.Exit(1)


def _write(relation: object, format_: Format, output: Path | None) -> None:
    """The rows in the asked format."""
    import pyarrow as pa

    reader: pa.RecordBatchReader = relation.fetch_record_batch(10_000)  # type: ignore[attr-defined]
    if format_ is Format.PARQUET:
        import pyarrow.parquet as pq

        if output is None:
            raise ConfigurationError("Parquet needs a file.", hint="Add --output FILE.parquet.")
        with pq.ParquetWriter(output, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
        return
    stream = output.open("w", encoding="utf-8") if output else sys.stdout
    try:
        if format_ is Format.CSV:
            import csv

            rows = csv.writer(stream)
            rows.writerow(reader.schema.names)
            for batch in reader:
                rows.writerows(
                    [
                        json.dumps(v, default=str) if isinstance(v, (list, dict)) else v
                        for v in row.values()
                    ]
                    for row in batch.to_pylist()
                )
        elif format_ is Format.NDJSON:
            for batch in reader:
                for row in batch.to_pylist():
                    stream.write(json.dumps(row, default=str, ensure_ascii=False) + "\n")
        else:
            from lakehouse.cli.console import table

            listed = [tuple(row.values()) for batch in reader for row in batch.to_pylist()]
            console.print(table(None, reader.schema.names, listed))
    finally:
        if output:
            stream.close()
