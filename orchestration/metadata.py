"""What assets show in the Dagster UI: schemas, row counts and samples without identifiers."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa

#: Columns whose values may be shown: codes of terminologies, units, statuses and counts. Everything
#: else in a sample is left out, so a new column is hidden until somebody decides otherwise.
SHOWN_COLUMNS = frozenset(
    {
        *("code", "code_system", "display", "category", "unit", "status", "intent", "modality"),
        *("gender", "class_code", "type_code", "type_display", "clinical_status", "body_site_code"),
        *("body_site_display", "reason_code", "reason_display", "has_subjective", "has_objective"),
        *("has_assessment", "has_plan", "char_count", "word_count", "series_count"),
        *("instance_count", "rows", "columns", "dicom_extracted", "panel_name", "rhythm"),
        *("has_pathogenic_variant", "has_waveform", "heart_rate_bpm", "pr_interval_ms"),
        *("qrs_duration_ms", "deceased", "source_resource", "resource_type", "age_group"),
    }
)
_SAMPLE_ROWS = 5


def arrow_schema(schema: pa.Schema) -> dg.TableSchema:
    """``schema`` as Dagster shows it."""
    return dg.TableSchema(columns=[dg.TableColumn(field.name, str(field.type)) for field in schema])


def table_metadata(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str
) -> dict[str, dg.MetadataValue[Any]]:
    """Row count, column schema and a sample without identifiers of one lake table."""
    relation = f'lake."{schema}"."{table}"'
    described = connection.execute(f"describe {relation}").fetchall()
    count = connection.execute(f"select count(*) from {relation}").fetchone()
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "dagster/row_count": dg.MetadataValue.int(count[0] if count else 0),
        "dagster/column_schema": dg.MetadataValue.table_schema(
            dg.TableSchema(columns=[dg.TableColumn(row[0], row[1]) for row in described])
        ),
    }
    shown = [row[0] for row in described if row[0] in SHOWN_COLUMNS]
    if shown:
        names = ", ".join(f'"{name}"' for name in shown)
        rows = connection.execute(f"select {names} from {relation} limit {_SAMPLE_ROWS}").fetchall()
        metadata["sample"] = dg.MetadataValue.md(markdown_table(shown, rows))
    return metadata


_CARD = """
    select
        encounter_date,
        encounter_class,
        encounter_type_display,
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


def counts_table(counts: Mapping[str, int], name: str, value: str = "rows") -> str:
    """A Markdown table of counts, largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return markdown_table([name, value], ordered)


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
