"""The contract of ``gold.encounter_summary``: JSON Schema, version, and the corpus manifest.

What is promised is written once, in ``dbt/models/gold/_gold.yml``: columns, DuckDB types, meaning and
the semantic version. From it this module writes ``docs/contract``. It refuses to write a schema whose
version does not say how much changed against the one that is there:

- major: a column or field went away, was renamed, or changed its type or its meaning;
- minor: a column or field was added;
- patch: only words changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import duckdb

from lakehouse.errors import ConfigurationError
from transformation.dictionary import Column, Table, read_tables
from transformation.views import DBT

CONTRACT = DBT.parent / "docs" / "contract"
TABLE = "encounter_summary"
SCHEMA_FILE = CONTRACT / f"{TABLE}.schema.json"
TEXT_FILE = CONTRACT / "contract.md"

Change = Literal["none", "patch", "minor", "major"]
_ORDER: tuple[Change, ...] = ("none", "patch", "minor", "major")

_SCALARS: dict[str, dict[str, Any]] = {
    "VARCHAR": {"type": "string"},
    "UUID": {"type": "string", "format": "uuid"},
    "DATE": {"type": "string", "format": "date"},
    "BOOLEAN": {"type": "boolean"},
    "INTEGER": {"type": "integer"},
    "BIGINT": {"type": "integer"},
    "DOUBLE": {"type": "number"},
}
#: Columns that are never null; lists are empty instead.
_REQUIRED = frozenset(
    {"encounter_summary_id", "contract_version", "encounter_id", "note_count", "silver_snapshot_id"}
)
_TOKEN = re.compile(r'"[^"]+"|\w+|[(),]|\[\]')


def table() -> Table:
    """The documented table that the contract is about."""
    return next(found for found in read_tables() if (found.schema, found.name) == ("gold", TABLE))


def version() -> str:
    """The contract's semantic version."""
    return str(table().meta["contract_version"])


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one row of the corpus, as ``to_json(row)`` writes it."""
    documented = table()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:health-lakehouse:{TABLE}:{version()}",
        "title": f"gold.{TABLE}",
        "version": version(),
        "description": documented.description,
        "type": "object",
        "required": [column.name for column in documented.columns],
        "properties": {column.name: _property(column) for column in documented.columns},
    }


def contract_text() -> str:
    """The contract for people, as Markdown."""
    documented = table()
    lines = [
        f"# Contract of gold.{TABLE}, version {version()}",
        "",
        "Generated from `dbt/models/gold/_gold.yml` by `lakehouse generate`; do not edit.",
        f"The same for machines: [{SCHEMA_FILE.name}]({SCHEMA_FILE.name}).",
        "",
        documented.description,
        "",
        "## Version",
        "",
        "- major: a column or field went away, was renamed, or changed its type or its meaning.",
        "- minor: a column or field was added. Readers must bear columns that they do not know.",
        "- patch: only words changed.",
        "",
        "The generator compares with the schema that is there and refuses a version that says less.",
        "A change of meaning it cannot see: whoever makes it raises the major version.",
        "",
        "## Columns",
        "",
        "| column | type | meaning |",
        "|---|---|---|",
    ]
    for column in documented.columns:
        kind = json_type(column.data_type)
        shown = (
            column.data_type
            if kind.get("type") not in ("array", "object")
            else ("list of struct" if kind["type"] == "array" else "struct")
        )
        lines.append(f"| {column.name} | {shown} | {column.description} |")
    for column in documented.columns:
        fields = list(_fields(column.data_type))
        if fields:
            lines += ["", f"### {column.name}", "", "| field | type |", "|---|---|"]
            lines += [f"| {name} | {data_type} |" for name, data_type in fields]
    return "\n".join(lines) + "\n"


def write_contract(*, check: bool = False) -> list[Path]:
    """Write schema and text; returns the files that differed. With ``check`` nothing is written.

    Raises :class:`ConfigurationError` where the version says less than what changed.
    """
    schema = json_schema()
    if SCHEMA_FILE.exists():
        refuse_small_version(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")), schema)
    wanted = {
        SCHEMA_FILE: json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        TEXT_FILE: contract_text(),
    }
    differing = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if not check:
        CONTRACT.mkdir(parents=True, exist_ok=True)
        for path in differing:
            path.write_text(wanted[path], encoding="utf-8")
    return differing


def refuse_small_version(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Raise where ``after`` changes more of ``before`` than the step of its version says."""
    needed = change_between(before, after)
    stated = _step(str(before["version"]), str(after["version"]))
    if _ORDER.index(stated) < _ORDER.index(needed):
        raise ConfigurationError(
            f"The contract changed ({needed}), but its version went from {before['version']} to "
            f"{after['version']}.",
            hint="Raise contract_version in dbt/models/gold/_gold.yml.",
        )


def change_between(before: dict[str, Any], after: dict[str, Any]) -> Change:
    """How much of a schema changed, as far as it can be seen."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    if any(name not in new or new[name] != kind for name, kind in old.items()):
        return "major"
    if new.keys() - old.keys():
        return "minor"
    without_version = {"version": None, "$id": None}
    return "none" if {**before, **without_version} == {**after, **without_version} else "patch"


def corpus_manifest(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """What the corpus of the connected lake holds: counts, coverage shares, averages."""
    cursor = connection.execute("select * from lake.gold.corpus_manifest")
    names = [column[0] for column in cursor.description or []]
    row = cursor.fetchone()
    if row is None:
        raise ConfigurationError("gold.corpus_manifest is empty.", hint="Run `lakehouse build`.")
    values = dict(zip(names, row, strict=True))
    rows = values["encounter_count"]
    return {
        "table": f"gold.{TABLE}",
        "schema": f"urn:health-lakehouse:{TABLE}:{values['contract_version']}",
        **{
            name: value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in values.items()
        },
        "coverage": {
            name.removeprefix("with_"): round(value / rows, 6) if rows else 0.0
            for name, value in values.items()
            if name.startswith("with_")
        },
    }


def write_corpus_manifest(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, Any]:
    """Write the corpus manifest as JSON and return it."""
    manifest = corpus_manifest(connection)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def json_type(data_type: str) -> dict[str, Any]:
    """JSON Schema of a DuckDB type, nullable where the type is a scalar or a field of a struct."""
    tokens = _TOKEN.findall(data_type)
    schema, rest = _parse(tokens)
    if rest:
        raise ConfigurationError(f"The type {data_type} cannot be read.")
    return schema


def _property(column: Column) -> dict[str, Any]:
    schema = json_type(column.data_type)
    if column.name not in _REQUIRED and schema["type"] != "array":
        schema = _nullable(schema)
    return {**schema, "description": column.description}


def _parse(tokens: list[str]) -> tuple[dict[str, Any], list[str]]:
    head, rest = tokens[0], tokens[1:]
    if head == "STRUCT":
        properties: dict[str, Any] = {}
        rest = rest[1:]
        while True:
            name, rest = rest[0].strip('"'), rest[1:]
            kind, rest = _parse(rest)
            properties[name] = _nullable(kind)
            closed, rest = rest[0] == ")", rest[1:]
            if closed:
                break
        schema: dict[str, Any] = {
            "type": "object",
            "required": list(properties),
            "properties": properties,
        }
    else:
        schema = dict(_SCALARS[head])
    while rest[:1] == ["[]"]:
        schema, rest = {"type": "array", "items": schema}, rest[1:]
    return schema, rest


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if schema["type"] == "array":
        return schema
    return {**schema, "type": [schema["type"], "null"]}


def _fields(data_type: str) -> Iterator[tuple[str, str]]:
    """Names and JSON types of the fields of a struct, or of a list of structs."""
    schema = json_type(data_type)
    schema = schema.get("items", schema)
    for name, kind in schema.get("properties", {}).items():
        yield name, " or ".join(kind["type"]) if isinstance(kind["type"], list) else kind["type"]


def _leaves(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """(path, type) of everything in a schema."""
    for name, kind in schema.get("properties", {}).items():
        here = f"{path}{name}"
        yield here, json.dumps([kind.get("type"), kind.get("format")])
        yield from _leaves(kind, f"{here}.")
        yield from _leaves(kind.get("items", {}), f"{here}[].")


def _step(before: str, after: str) -> Change:
    old = [int(part) for part in before.split(".")]
    new = [int(part) for part in after.split(".")]
    for place, name in enumerate(("major", "minor", "patch")):
        if new[place] != old[place]:
            if new < old:
                break
            return name  # type: ignore[return-value]
    return "none"
