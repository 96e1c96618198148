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
