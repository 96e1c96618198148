"""Runs the cases of the SQL on FHIR v2 suite, whatever file of its format they come from."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from sql_on_fhir import SqlOnFhirError, run_view

VENDORED = Path(__file__).parent / "sql_on_fhir"


@dataclass(frozen=True)
class Case:
    """One case: a view over the resources of its file, and what is expected."""

    file: str
    title: str
    resources: list[dict[str, Any]]
    test: dict[str, Any]


def cases(folder: Path = VENDORED) -> Iterator[Case]:
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text())
        for test in document["tests"]:
            yield Case(path.name, test["title"], document["resources"], test)


def comparable(value: Any) -> Any:
    """Rows as a multiset can be compared: numbers by value, keys in any order."""
    if isinstance(value, dict):
        return {key: comparable(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return [comparable(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _sorted(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(comparable(row)) for row in rows)


def why_failed(case: Case, con: duckdb.DuckDBPyConnection) -> str | None:
    """None where the case passes, else what is wrong."""
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
        file.write("\n".join(json.dumps(resource) for resource in case.resources))
        file.flush()
        try:
            relation = run_view(case.test["view"], [file.name], con=con)
        except SqlOnFhirError as error:
            return None if case.test.get("expectError") else f"{type(error).__name__}: {error}"
    columns = relation.columns
    rows = [dict(zip(columns, row, strict=True)) for row in relation.fetchall()]
    if case.test.get("expectError"):
        return f"an error was expected, these are rows: {rows}"
    if "expectCount" in case.test and len(rows) != case.test["expectCount"]:
        return f"{len(rows)} rows, not {case.test['expectCount']}"
    if "expect" in case.test and _sorted(rows) != _sorted(case.test["expect"]):
        return f"got {rows}, expected {case.test['expect']}"
    if "expectColumns" in case.test and columns != case.test["expectColumns"]:
        return f"columns {columns}, expected {case.test['expectColumns']}"
    return None
