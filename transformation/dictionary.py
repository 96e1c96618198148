"""The data dictionary: every table and column of all layers, from dbt's YAML.

dbt's YAML says what a column means (of Bronze, generated from what the sources declare), the first comment
line of a model what a row is. This module reads both and writes ``docs/data-dictionary.md``; nothing is written twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from transformation.views import DBT

DICTIONARY = DBT.parent / "docs" / "data-dictionary.md"
_LAYERS = (
    (
        "bronze",
        "Bronze",
        "What was landed, as it came, with its provenance; nothing is corrected here.",
    ),
    (
        "silver",
        "Silver",
        "Typed, one row per key, latest version wins. Dates are as the source wrote them.",
    ),
    ("gold", "Gold", "What Silver's tables say together."),
    ("marts", "Marts", "Without identifiers; published to Postgres, read by dashboards."),
)
_GRAIN = "-- Grain: "


@dataclass(frozen=True)
class Column:
    """A documented column; ``data_type`` is DuckDB's."""

    name: str
    data_type: str
    description: str


@dataclass(frozen=True)
class Table:
    """A documented table of one layer."""

    schema: str
    name: str
    grain: str
    description: str
    columns: tuple[Column, ...]
    meta: dict[str, Any]


def read_tables(project: Path = DBT) -> list[Table]:
    """The tables of all layers, ephemeral models left out, in the order of their names."""
    return [
        *_bronze_tables(project / "models" / "sources.yml"),
        *(
            table
            for schema, _, _ in _LAYERS
            for table in _tables_of(project / "models" / schema, schema)
        ),
    ]


def column_descriptions(schema: str, name: str, project: Path = DBT) -> dict[str, str]:
    """What each documented column of one table holds; nothing for tables that dbt does not make."""
    return {
        column.name: column.description
        for table in read_tables(project)
        if (table.schema, table.name) == (schema, name)
        for column in table.columns
    }


def dictionary(project: Path = DBT) -> str:
    """The data dictionary as Markdown."""
    lines = [
        "# Data dictionary",
        "",
        "Generated from `dbt/models` by `lakehouse generate`; do not edit.",
        "",
    ]
    tables = read_tables(project)
    for schema, title, about in _LAYERS:
        lines += [f"## {title}", "", about, ""]
        for table in (table for table in tables if table.schema == schema):
            lines += [
                f"### {schema}.{table.name}",
                "",
                table.description,
                "",
                f"Grain: {table.grain}",
                "",
                "| column | type | meaning |",
                "|---|---|---|",
            ]
            lines += [
                f"| {column.name} | `{column.data_type}` | {column.description.replace('|', chr(92) + '|')} |"
                for column in table.columns
            ]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def write_dictionary(*, check: bool = False) -> bool:
    """Write the dictionary; true where it differed. With ``check`` nothing is written."""
    text = dictionary()
    differs = not DICTIONARY.exists() or DICTIONARY.read_text(encoding="utf-8") != text
    if differs and not check:
        DICTIONARY.parent.mkdir(parents=True, exist_ok=True)
        DICTIONARY.write_text(text, encoding="utf-8")
    return differs


def _bronze_tables(path: Path) -> list[Table]:
    [source] = yaml.safe_load(path.read_text(encoding="utf-8"))["sources"]
    return [
        Table(
            schema=source["name"],
            name=table["name"],
            grain=_arrivals(table["config"]["meta"]),
            description=table["description"],
            columns=_columns(table),
            meta=table["config"]["meta"],
        )
        for table in source["tables"]
    ]


def _arrivals(meta: dict[str, Any]) -> str:
    """What a row of a Bronze table is, and which of several counts."""
    order = " and ".join([*(f"greatest {column}" for column in meta["order"]), "latest arrival"])
    return f"one row per arrival of a record ({', '.join(meta['key'])}); the {order} counts."


def _columns(documented: dict[str, Any]) -> tuple[Column, ...]:
    return tuple(
        Column(column["name"], column.get("data_type", ""), column.get("description", ""))
        for column in documented.get("columns", [])
    )


def _tables_of(folder: Path, schema: str) -> list[Table]:
    documented: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*.yml")):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            documented[model["name"]] = model
    tables = []
    for path in sorted(folder.rglob("*.sql"), key=lambda path: path.stem):
        sql = path.read_text(encoding="utf-8")
        if "materialized='ephemeral'" in sql:
            continue
        model = documented.get(path.stem, {})
        tables.append(
            Table(
                schema=schema,
                name=path.stem,
                grain=_grain(sql, model),
                description=model.get("description", ""),
                columns=_columns(model),
                meta=model.get("config", {}).get("meta", {}),
            )
        )
    return tables


def _grain(sql: str, model: dict[str, Any]) -> str:
    """The model's first comment line; a table that is only its view has none and says it itself."""
    first = sql.splitlines()[0]
    if first.startswith(_GRAIN):
        return first.removeprefix(_GRAIN)
    return str(model.get("description", "")).split(". ")[0].lower().rstrip(".") + "."
