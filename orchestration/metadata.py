"""What assets show in the Dagster UI: schemas, row counts and samples without identifiers.

A sample shows the columns that the models' YAML (of Bronze, the source's declaration) allows by
``config: {meta: {sample: true}}``: codes, flags and counts. Displays and units may be a clinician's own
words, and stay hidden like every new column.
"""

from collections.abc import Collection, Sequence
from typing import Any

import dagster as dg
import duckdb

from ingestion.tables import BronzeTable, sql_type
from lakehouse.quoting import literal

_SAMPLE_ROWS = 5


def column_schema(table: BronzeTable) -> dg.TableSchema:
    """The columns of a Bronze table as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, sql_type(column.type), description=column.description)
            for column in table.documented
        ]
    )


def landed_sample(
    connection: duckdb.DuckDBPyConnection, table: BronzeTable, submission_id: str
) -> dict[str, dg.MetadataValue[Any]]:
    """A sample of the rows of one submission, of the columns that its source allows."""
    shown = [column.name for column in table.columns if column.sample]
    return _sample(
        connection,
        f'lake.bronze."{table.name}" where submission_id = {literal(submission_id)}',
        shown,
    )


def table_metadata(
    connection: duckdb.DuckDBPyConnection, asset: dg.AssetKey, sampled: Collection[str]
) -> dict[str, dg.MetadataValue[Any]]:
    """Row count, column schema and a sample of one lake table: of the columns ``sampled`` alone."""
    schema, table = asset.path
    relation = f'lake."{schema}"."{table}"'
    described = connection.execute(f"describe {relation}").fetchall()
    count = connection.execute(f"select count(*) from {relation}").fetchone()
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "dagster/row_count": dg.MetadataValue.int(count[0] if count else 0),
        "dagster/column_schema": dg.MetadataValue.table_schema(
            dg.TableSchema(columns=[dg.TableColumn(row[0], row[1]) for row in described])
        ),
    }
    shown = [row[0] for row in described if row[0] in sampled]
    return metadata | _sample(connection, relation, shown)


def _sample(
    connection: duckdb.DuckDBPyConnection, relation: str, shown: Sequence[str]
) -> dict[str, dg.MetadataValue[Any]]:
    if not shown:
        return {}
    names = ", ".join(f'"{name}"' for name in shown)
    rows = connection.execute(f"select {names} from {relation} limit {_SAMPLE_ROWS}").fetchall()
    return {"sample": dg.MetadataValue.md(markdown_table(shown, rows))}


_CARD = """
    select
        encounter_date,
        encounter_class,
        least(age_years, 90) as age,
        sex,
        len(conditions) as conditions,
        len(medications) as medications,
        len(vitals) as vitals,
        len(labs) as labs,
        len(procedures) as procedures,
        note is not null as note,
        len(imaging) as imaging,
        len(genomics) as genomics,
        len(ecgs) as ecgs
    from lake.gold.encounter_summary
    order by len(conditions) + len(vitals) + len(labs) + 5 * len(imaging) desc, 1
    limit 1
"""


def encounter_card(connection: duckdb.DuckDBPyConnection) -> dg.MetadataValue[Any]:
    """The richest encounter as a card: what it holds, without who it is or the exact day."""
    row = connection.execute(_CARD).fetchone()
    names = [column[0] for column in connection.description or []]
    if row is None:
        return dg.MetadataValue.md("There is no encounter yet.")
    shown = [
        (
            name.removeprefix("encounter_"),
            value.year if name == "encounter_date" and value else value,
        )
        for name, value in zip(names, row, strict=True)
    ]
    return dg.MetadataValue.md(markdown_table(("encounter", ""), shown))


def corpus_statistics(connection: duckdb.DuckDBPyConnection) -> dg.MetadataValue[Any]:
    """The corpus manifest as a table: counts, coverage and averages."""
    row = connection.execute("select * from lake.gold.corpus_manifest").fetchone()
    names = [column[0] for column in connection.description or []]
    return dg.MetadataValue.md(
        markdown_table(("statistic", "value"), list(zip(names, row or (), strict=False)))
    )


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table of ``rows``."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
