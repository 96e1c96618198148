"""Checks that Great Expectations makes itself on published marts, and what Data Docs show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from sqlalchemy import Engine

import quality
from lakehouse.errors import QualityError
from lakehouse.settings import Settings
from quality.suites import VALIDATIONS_KEPT, Suite

Check = Callable[..., dict[str, quality.CheckResult]]
MakeSuite = Callable[..., Suite]

#: Planted where checks fail; none of it may be found in anything that quality leaves behind.
NAME, NUMBER, NOTE = "Wilhelmine Quaxfeld", 987654321.5, "complains of zygomatic tingling"


@pytest.fixture
def marts(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(settings.libpq_url("marts"), autocommit=True) as connection:
        connection.execute("create schema marts_7")
        connection.execute(
            "create table marts_7.patients as"
            " select i as key, 50 + i as heart_rate, 'female' as sex from generate_series(1, 100) i"
        )
        yield connection


PUBLISHED = """
    rules:
      - {kind: row_count, minimum: 100, maximum: 100, severity: error, why: w}
      - {kind: not_null, column: sex, severity: error, tolerance: 0.01, why: w}
      - {kind: unique, columns: [key], severity: error, why: w}
      - {kind: unique, name: together, columns: [key, sex], severity: error, why: w}
      - {kind: between, column: heart_rate, minimum: 30, maximum: 250, severity: warning, why: w}
      - {kind: accepted, column: sex, values: [female, male], severity: error, why: w}
"""


def test_published_marts_are_checked_in_postgres(
    marts: psycopg.Connection[Any], suite: MakeSuite, check: Check
) -> None:
    results = check(suite("published.patients", PUBLISHED), schema="marts_7")
    assert [name for name, result in results.items() if not result.passed] == []

    marts.execute("update marts_7.patients set key = 1 where key < 3")
    marts.execute("update marts_7.patients set sex = 'f' where key = 4")
    marts.execute("update marts_7.patients set heart_rate = 999, sex = null where key = 5")
    results = check(suite("published.patients", PUBLISHED), schema="marts_7")

    assert {name: result.passed for name, result in results.items()} == {
        "row_count": True,
        "not_null_sex": True,
        "unique_key": False,
        "together": False,
        "between_heart_rate": False,
        "accepted_sex": False,
    }
    assert results["between_heart_rate"].observed == {
        "rows": 100,
        "checked": 100,
        "unexpected": 1,
        "share": 0.01,
    }
    assert results["accepted_sex"].observed["checked"] == 99


def test_a_mart_that_was_not_published_is_named(
    marts: psycopg.Connection[Any], suite: MakeSuite, check: Check, settings: Settings
) -> None:
    results = check(suite("published.claims", PUBLISHED), schema="marts_7")
    assert not any(result.passed for result in results.values())
    assert "published.claims is not there" in results["row_count"].message
    assert quality.build_data_docs(settings).exists()


def test_checking_leaves_no_lock_on_the_publication(
    marts: psycopg.Connection[Any], suite: MakeSuite, check: Check
) -> None:
    check(suite("published.patients", PUBLISHED), schema="marts_7")
    marts.execute("set lock_timeout = '20s'")
    marts.execute("drop schema marts_7 cascade")


def test_a_rule_that_great_expectations_cannot_have_is_named(
    marts: psycopg.Connection[Any], suite: MakeSuite, check: Check
) -> None:
    wrong = suite(
        "published.patients",
        "rules: [{kind: share, name: s, condition: a, at_least: 1, severity: error, why: w}]",
    )
    with pytest.raises(QualityError, match=r"published\.patients s: share"):
        check(wrong, schema="marts_7")


def files_of(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and path.name != "gx.lock"]


def test_nothing_that_quality_leaves_behind_holds_a_value_of_a_patient(
    marts: psycopg.Connection[Any],
    con: duckdb.DuckDBPyConnection,
    suite: MakeSuite,
    check: Check,
    settings: Settings,
    engine: Engine,
) -> None:
    marts.execute("alter table marts_7.patients add name text, add note text")
    marts.execute(
        "update marts_7.patients set sex = %s, name = %s, note = %s, key = 5 where key < 60",
        [NAME, NAME, NOTE],
    )
    marts.execute("alter table marts_7.patients alter heart_rate type float8")
    marts.execute("update marts_7.patients set heart_rate = %s where key = 5", [NUMBER])
    con.execute(
        "create table lake.silver.patient as select ? as patient_id, ? as value, ? as note"
        " from range(3)",
        [NAME, NUMBER, NOTE],
    )
    lake_suite = suite(
        "silver.patient",
        """
        rules:
          - {kind: unique, columns: [patient_id], severity: error, why: w}
          - {kind: accepted, column: note, values: [a], severity: error, why: w}
          - {kind: between, column: value, minimum: 30, maximum: 250, severity: error, why: w}
          - {kind: between, name: odd, column: note, minimum: 1, severity: error, why: w}
          - {kind: share, name: cast, condition: "note::int > 1", at_least: 1, severity: error, why: w}
        """,
    )

    results = [*check(lake_suite).values()]
    results += check(suite("published.patients", PUBLISHED), schema="marts_7").values()
    quality.build_data_docs(settings)

    assert sum(not result.passed for result in results) >= 8
    texts = [repr(results)] + [
        path.read_text(encoding="utf-8", errors="replace")
        for folder in ("gx", "site/data-docs")
        for path in files_of(settings.home / folder)
    ]
    with engine.connect() as connection:
        texts.append(
            repr(
                connection.exec_driver_sql("select row_to_json(r)::text from check_result r").all()
            )
        )
    assert len(texts) > 10
    for planted in (NAME, "Wilhelmine", "987654321", "zygomatic"):
        assert not any(planted in text for text in texts)


def test_neither_the_password_nor_the_connection_is_stored(
    marts: psycopg.Connection[Any], suite: MakeSuite, check: Check, settings: Settings
) -> None:
    check(suite("published.patients", PUBLISHED), schema="marts_7")
    quality.build_data_docs(settings)
    secret = settings.database_url("marts")
    for path in files_of(settings.home / "gx") + files_of(settings.home / "site"):
        assert secret not in path.read_text(encoding="utf-8", errors="replace")


def test_data_docs_show_each_table_and_old_validations_are_pruned(
    con: duckdb.DuckDBPyConnection, suite: MakeSuite, check: Check, settings: Settings
) -> None:
    con.execute("create table lake.silver.patient as select 1 as patient_id")
    rule = (
        "rules: [{kind: not_null, column: patient_id, severity: error, why: A patient has an id,"
        " source: FHIR R4}]"
    )
    first = suite("silver.patient", rule)
    for _ in range(VALIDATIONS_KEPT + 2):
        check(first)
    index = quality.build_data_docs(settings)

    assert index == settings.home / "site" / "data-docs" / "index.html"
    pages = list((index.parent / "validations").rglob("*.html"))
    assert len(pages) == VALIDATIONS_KEPT
    shown = pages[0].read_text(encoding="utf-8")
    assert "patient_id has a value" in shown
    rules = (index.parent / "expectations/silver/patient.html").read_text(encoding="utf-8")
    assert "A patient has an id" in rules
    first_page = index.read_text(encoding="utf-8")
    assert "✓ all met" in first_page
    assert all(page.relative_to(index.parent).as_posix() in first_page for page in pages)
    before = {page: page.stat().st_mtime_ns for page in pages}
    check(first)
    quality.build_data_docs(settings)
    pages = list((index.parent / "validations").rglob("*.html"))
    assert len(pages) == VALIDATIONS_KEPT
    # Only the new validation was rendered.
    assert sum(before.get(page) == page.stat().st_mtime_ns for page in pages) == len(pages) - 1


def test_data_docs_load_nothing_from_the_web(
    con: duckdb.DuckDBPyConnection, suite: MakeSuite, check: Check, settings: Settings
) -> None:
    con.execute("create table lake.silver.patient as select null::int as patient_id")
    check(
        suite(
            "silver.patient",
            "rules: [{kind: not_null, column: patient_id, severity: error, why: w}]",
        )
    )
    index = quality.build_data_docs(settings)
    pages = list(index.parent.rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        assert not re.findall(r"<(?:script|link|img|iframe)\b", text)
    assert "✗ 1 error" in index.read_text(encoding="utf-8")
