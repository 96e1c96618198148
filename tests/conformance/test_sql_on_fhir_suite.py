"""The SQL on FHIR v2 conformance suite, every case."""

from collections.abc import Iterator

import duckdb
import pytest

from tests.conformance.suite import Case, cases, why_failed


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: f"{case.file}: {case.title}")
def test_case(case: Case, con: duckdb.DuckDBPyConnection) -> None:
    assert why_failed(case, con) is None


def test_the_suite_is_complete() -> None:
    found = list(cases())
    assert len(found) == 144
    assert sum(bool(case.test.get("expectError")) for case in found) == 11
