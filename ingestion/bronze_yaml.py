"""dbt's ``sources.yml``, written from what the sources declare of their Bronze tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from ingestion.sources import bronze_tables
from ingestion.tables import BronzeTable, sql_type

SOURCES: Final = Path(__file__).resolve().parents[1] / "dbt" / "models" / "sources.yml"


def write_sources(*, check: bool = False, path: Path = SOURCES) -> list[Path]:
    """Write the file; gives it where it differed. With ``check`` nothing is written."""
    text = sources_yaml(bronze_tables().values())
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return []
    if not check:
        path.write_text(text, encoding="utf-8")
    return [path]


def sources_yaml(tables: Iterable[BronzeTable]) -> str:
    """dbt's YAML of these tables: descriptions, types, key and order of versions, samples."""
    lines = [
        "# Generated from ingestion/sources by `lakehouse generate`; do not edit.",
        "version: 2",
        "",
        "sources:",
        "  - name: bronze",
        "    database: lake",
        "    schema: bronze",
        "    description: What was landed, as it came; written by ingestion.landing.",
        "    tables:",
    ]
    for table in sorted(tables, key=lambda table: table.name):
        lines += [f"      {line}" for line in _lines(table)]
    return "\n".join(lines) + "\n"


def _lines(table: BronzeTable) -> Iterator[str]:
    yield f"- name: {table.name}"
    yield f"  description: {_quoted(table.description)}"
    meta = {
        "key": list(table.record_key),
        "order": list(table.order),
        **({"deleted": table.deleted} if table.deleted else {}),
    }
    yield "  config:"
    yield f"    meta: {_quoted(meta)}"
    yield "  columns:"
    for column in table.documented:
        yield f"    - name: {column.name}"
        yield f"      data_type: {_quoted(sql_type(column.type))}"
        yield f"      description: {_quoted(column.description)}"
        if column.sample:
            yield "      config: {meta: {sample: true}}"


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
