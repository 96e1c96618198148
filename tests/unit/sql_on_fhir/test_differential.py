"""The compiled SQL and the interpreter give the same rows, on real and on random data."""

import json
import os
import random
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sql_on_fhir import SqlOnFhirError, compile_view
from sql_on_fhir.sources import resources_of
from tests.unit.sql_on_fhir.interpreter import ManyValuesError, read_json, rows_of
from tests.unit.sql_on_fhir.random_fhir import RandomFhir

TEST_DATA = Path(
    os.environ.get("LAKEHOUSE_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")
)
ROOT = Path(__file__).parents[3]
VIEWS = {
    path.stem: json.loads(path.read_text())
    for folder in (Path(__file__).parent / "views", ROOT / "dbt" / "views")
    for path in folder.glob("*.json")
}


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def comparable(value: Any) -> Any:
    if isinstance(value, list):
        return [comparable(inner) for inner in value]
    if isinstance(value, dict):
        return {key: comparable(inner) for key, inner in value.items()}
    if isinstance(value, str) and value[:1] == "{":
        # A complex column is JSON: text from DuckDB, a dict from the interpreter.
        with suppress(ValueError):
            return comparable(json.loads(value))
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    return round(float(value), 9) + 0.0


def sql_rows(
    con: duckdb.DuckDBPyConnection, view: dict[str, Any], texts: list[str]
) -> list[dict[str, Any]]:
    con.register("resources", pa.table({"resource": pa.array(texts, pa.string())}))
    cursor = con.execute(compile_view(view, source="resources").sql)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps({k: comparable(v) for k, v in row.items()}) for row in rows)


def assert_same(con: duckdb.DuckDBPyConnection, view: dict[str, Any], texts: list[str]) -> None:
    try:
        expected = [row for text in texts for row in rows_of(view, read_json(text))]
    except ManyValuesError:
        with pytest.raises(duckdb.InvalidInputException, match="several values"):
            sql_rows(con, view, texts)
        return
    assert in_order(sql_rows(con, view, texts)) == in_order(expected)


@cache
def archived(name: str) -> tuple[str, ...]:
    """Every resource of an archive of the test data; the test is skipped where it is absent."""
    path = TEST_DATA / name
    if not path.exists():
        pytest.skip(f"no test data: {path} is absent (LAKEHOUSE_TEST_DATA)")
    texts = []
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".json") else None
            if file is not None:
                document = file.read()
                if b'"resourceType"' in document:
                    texts += [r.decode() for r in resources_of(document, None)]
    return tuple(texts)


@pytest.mark.real_data
@pytest.mark.parametrize("name", sorted(VIEWS))
def test_us_core_examples(con: duckdb.DuckDBPyConnection, name: str) -> None:
    assert_same(con, VIEWS[name], list(archived("fhir_us_core_examples.tar.xz")))


@pytest.mark.real_data
@pytest.mark.parametrize("name", sorted(VIEWS))
def test_synthea_bundles(con: duckdb.DuckDBPyConnection, name: str) -> None:
    type_ = f'"{VIEWS[name]["resource"]}"'
    texts = [t for t in archived("fhir_synthea_100.tar.xz") if type_ in t]
    assert_same(con, VIEWS[name], texts[:: max(1, len(texts) // 300)])


@settings(max_examples=int(os.environ.get("RANDOM_VIEWS", "150")), deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_random_views_over_random_resources(con: duckdb.DuckDBPyConnection, seed: int) -> None:
    fhir = RandomFhir(random.Random(seed))
    view = fhir.view()
    try:
        compile_view(view, source="resources")
    except SqlOnFhirError as error:
        pytest.fail(f"{error}\n{json.dumps(view, indent=1)}")
    texts = [written(fhir.resource(view["resource"]), fhir.random) for _ in range(12)]
    assert_same(con, view, texts)


def written(resource: dict[str, Any], source: random.Random) -> str:
    """JSON text with one of the ways in which programs escape what they need not."""
    text = json.dumps(resource, ensure_ascii=source.random() < 0.5)
    return text.replace("/", "\\/") if source.random() < 0.3 else text
