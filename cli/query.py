"""Commands that read: ``sql`` and ``walkthrough``."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from cli.console import AsJson, console, errors_console, print_json, table
from lakehouse.errors import LakeError

_PANEL = "Look"
_TERMINAL_ROWS = 100


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel=_PANEL)(sql)
    app.command(rich_help_panel=_PANEL)(tables)
    app.command(rich_help_panel=_PANEL)(describe)
    app.command(rich_help_panel=_PANEL)(walkthrough)


def sql(
    query: Annotated[str, typer.Argument(help="A query in DuckDB's SQL; `-` reads it from stdin.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of rows.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    at: Annotated[
        int | None, typer.Option(help="Read the lake as it was at this snapshot id.")
    ] = None,
) -> None:
    """Query the lake (bronze, silver, gold, marts), read-only.

    Example: lakehouse sql "select type_display, count(*) from silver.encounter group by all"
    """
    import duckdb

    from installation.platform import open_platform
    from lakehouse import lake

    text = sys.stdin.read() if query == "-" else query
    if not text.strip(" \t\r\n;"):
        raise typer.BadParameter("There is no query in it.")
    platform = open_platform()
    with lake.connect(platform.settings, read_only=True, snapshot=at) as connection:
        try:
            relation = connection.execute(text)
        except duckdb.Error as error:
            raise LakeError(f"The query failed: {error}") from None
        columns = [column[0] for column in relation.description or []]
        if as_csv:
            import csv

            writer = csv.writer(sys.stdout)
            writer.writerow(columns)
            while rows := relation.fetchmany(10_000):
                writer.writerows([_csv_cell(value) for value in row] for row in rows)
        elif as_json:
            _write_json(relation, columns)
        else:
            rows = relation.fetchmany(_TERMINAL_ROWS + 1)
            console.print(table(None, columns, rows[:_TERMINAL_ROWS]))
            if len(rows) > _TERMINAL_ROWS:
                errors_console.print(
                    f"[dim]the first {_TERMINAL_ROWS} rows; --json or --csv print all[/]"
                )


def _csv_cell(value: object) -> object:
    """The value as CSV has it: lists and structs are JSON, as other programs can read them."""
    if isinstance(value, (list, dict, tuple)):
        return json.dumps(value, default=str, ensure_ascii=False)
    return value


def _write_json(relation: object, columns: list[str]) -> None:
    """A JSON list, streamed: one row a line."""
    separator = "["
    while rows := relation.fetchmany(10_000):  # type: ignore[attr-defined]
        for row in rows:
            line = json.dumps(dict(zip(columns, row, strict=True)), default=str, ensure_ascii=False)
            sys.stdout.write(f"{separator}{line}")
            separator = ",\n "
    sys.stdout.write("[]\n" if separator == "[" else "]\n")


def tables(as_json: AsJson = False) -> None:
    """Every table of the lake with its rows."""
    from cli.summary import row_counts
    from installation.platform import open_platform

    counts = row_counts(open_platform())
    if as_json:
        print_json(counts)
    elif counts:
        console.print(table(None, ("table", "rows"), list(counts.items())))
    else:
        console.print("The lake has no tables yet: `lakehouse run` makes them.")


def describe(
    name: Annotated[str, typer.Argument(metavar="TABLE", help="As silver.condition.")],
    as_json: AsJson = False,
) -> None:
    """The columns of one table: type, and what each holds."""
    from installation.platform import open_platform
    from lakehouse import lake
    from lakehouse.errors import UnknownName
    from transformation.dictionary import column_descriptions

    schema, _, short = name.rpartition(".")
    with lake.connect(open_platform().settings, read_only=True) as connection:
        columns = connection.execute(
            "select column_name, data_type, table_schema from information_schema.columns "
            f"where table_catalog = '{lake.LAKE}' and table_name = ? and ? in ('', table_schema) "
            "order by table_schema, ordinal_position",
            [short, schema],
        ).fetchall()
    schemas = {row[2] for row in columns}
    if len(schemas) != 1:
        words = f"is in {' and '.join(sorted(schemas))}" if schemas else "is no table of the lake"
        raise UnknownName(f"{name} {words}.", hint="`lakehouse tables` lists them.")
    said = column_descriptions(schemas.pop(), short)
    rows = [(column, kind, said.get(column, "")) for column, kind, _ in columns]
    if as_json:
        print_json([dict(zip(("column", "type", "description"), row, strict=True)) for row in rows])
    else:
        console.print(table(None, ("column", "type", "description"), rows))


def walkthrough(
    patient: Annotated[
        str | None,
        typer.Option(help="A patient_id; default: the patient with the richest record."),
    ] = None,
) -> None:
    """One patient from raw file to mart, in the terminal: what each layer makes of the data."""
    from cli.walkthrough import walk
    from installation.platform import open_platform

    walk(open_platform(), patient)
