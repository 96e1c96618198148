"""Which submissions break a rule by their own rows, and what whole tables are judged by then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import Engine, text

import quality
from lakehouse.settings import Settings

BIRTH = "silver.patient birth_date_plausible"


@pytest.fixture
def patients(con: duckdb.DuckDBPyConnection, engine: Engine) -> Iterator[Any]:
    """Add patients of a submission, which is in Silver: some born in 2150, the others in 1950."""
    con.execute(
        "create table lake.silver.patient (patient_id varchar, birth_date varchar, gender varchar,"
        " deceased_at varchar, submission_id varchar)"
    )

    def add(submission: str, good: int, bad: int, submitter: str = "clinic") -> None:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "insert into submission (submission_id, group_key, submitter, file_type, drop_id,"
                    " state, content_sha256, file_count, byte_count, received_at, landed_at, in_silver)"
                    " values (:id, :id, :submitter, 'fhir', 'd', 'LANDED', :id, 1, 1, :at, :at, true)"
                ),
                {"id": submission, "submitter": submitter, "at": datetime.now(UTC)},
            )
        con.execute(
            f"insert into lake.silver.patient select '{submission}-' || i,"
            f" case when i < {bad} then '2150-01-01' else '1950' end, 'female', null, '{submission}'"
            f" from range({good + bad}) t(i)"
        )

    return add


def judge(
    settings: Settings, engine: Engine, con: duckdb.DuckDBPyConnection, *submissions: str
) -> dict[str, list[str]]:
    found = quality.judge_submissions(submissions, settings=settings, con=con, engine=engine)
    return {name: [breach.name for breach in breaches] for name, breaches in found.items()}


def birth_dates(
    settings: Settings, engine: Engine, con: duckdb.DuckDBPyConnection
) -> quality.CheckResult:
    results = quality.run(
        "silver", settings=settings, engine=engine, con=con, build_id=None, run_id=None
    )
    return next(one for one in results if one.rule == "birth_date_plausible")


def test_only_the_one_that_breaks_the_rule_is_told_with_its_numbers(
    patients: Any, settings: Settings, engine: Engine, con: duckdb.DuckDBPyConnection
) -> None:
    patients("good", good=300, bad=0)
    patients("within", good=199, bad=1)
    patients("bad", good=20, bad=20)

    found = quality.judge_submissions(
        ["good", "within", "bad"], settings=settings, con=con, engine=engine
    )

    assert list(found) == ["bad"]
    (breach,) = found["bad"]
    assert breach.name == BIRTH
    assert (breach.observed["unexpected"], breach.observed["checked"]) == (20, 40)
    assert breach.message.startswith("20 of 40 (50.00%) break the rule, up to 1.00% may")
    assert judge(settings, engine, con, "good") == {}, "only those asked for are judged"


def test_a_share_of_few_rows_holds_nobody_until_they_are_many_together(
    patients: Any, settings: Settings, engine: Engine, con: duckdb.DuckDBPyConnection
) -> None:
    patients("few", good=9, bad=20)
    assert judge(settings, engine, con, "few") == {}
    result = birth_dates(settings, engine, con)
    assert (result.passed, result.severity) == (False, "warning")

    patients("more", good=9, bad=20)
    patients("fine", good=9, bad=0)
    assert judge(settings, engine, con, "more", "fine") == {"more": [BIRTH]}


def test_a_key_without_value_or_twice_holds_those_that_brought_it(
    patients: Any, settings: Settings, engine: Engine, con: duckdb.DuckDBPyConnection
) -> None:
    patients("nameless", good=3, bad=0)
    patients("first", good=3, bad=0)
    patients("second", good=3, bad=0)
    con.execute("update lake.silver.patient set patient_id = null where patient_id = 'nameless-1'")
    con.execute(
        "update lake.silver.patient set patient_id = 'first-1' where patient_id = 'second-1'"
    )

    assert judge(settings, engine, con, "nameless", "second") == {
        "nameless": ["silver.patient not_null_patient_id"],
        "second": ["silver.patient unique_patient_id"],
    }


def test_what_was_released_from_a_rule_neither_breaks_it_again_nor_counts_in_the_whole(
    patients: Any, settings: Settings, engine: Engine, con: duckdb.DuckDBPyConnection
) -> None:
    patients("good", good=100, bad=0)
    patients("known", good=0, bad=40)
    assert not birth_dates(settings, engine, con).passed
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into submission_hold (submission_id, layer, table_name, rule, observed,"
                " expected, message, status) values ('known', 'silver', 'patient',"
                " 'birth_date_plausible', '{}', 'e', 'm', 'released')"
            )
        )

    assert judge(settings, engine, con, "known") == {}
    whole = birth_dates(settings, engine, con)
    assert whole.passed
    assert whole.observed["checked"] == 100


def test_a_submitter_with_limits_of_its_own_is_judged_by_them_alone(
    patients: Any,
    settings: Settings,
    engine: Engine,
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
) -> None:
    patients("good", good=100, bad=0)
    patients("shifted", good=0, bad=40, submitter="mimic")
    file = tmp_path / "quality.yml"
    file.write_text(
        "limits:\n  - submitter: mimic\n    rules:\n"
        '      silver.patient.birth_date_plausible: {latest: "2210"}\n',
        encoding="utf-8",
    )
    own = settings.model_copy(update={"quality_rules": file})

    assert judge(settings, engine, con, "shifted") == {"shifted": [BIRTH]}
    assert judge(own, engine, con, "shifted") == {}
    assert birth_dates(own, engine, con).passed


def test_rows_in_bronze_that_are_not_in_silver_do_not_count(
    patients: Any, settings: Settings, engine: Engine, con: duckdb.DuckDBPyConnection
) -> None:
    patients("live", good=1, bad=0)
    patients("gone", good=1, bad=0)
    con.execute(
        "create or replace table lake.bronze.fhir_resource as select 'Patient' as resource_type,"
        " null::varchar as resource_id, 'PUT' as request_method, 'gone' as submission_id"
    )

    def ids() -> bool:
        results = quality.run(
            "bronze", settings=settings, engine=engine, con=con, build_id=None, run_id=None
        )
        return next(one for one in results if one.rule == "not_null_resource_id").passed

    assert not ids()
    assert judge(settings, engine, con, "gone") == {
        "gone": ["bronze.fhir_resource not_null_resource_id"]
    }
    with engine.begin() as connection:
        connection.execute(
            text("update submission set in_silver = false where submission_id = 'gone'")
        )
    assert ids()


def test_a_layer_that_was_not_built_has_no_results(
    settings: Settings, engine: Engine, con: duckdb.DuckDBPyConnection
) -> None:
    for layer in ("silver", "gold", "marts"):
        assert (
            quality.run(
                layer, settings=settings, engine=engine, con=con, build_id=None, run_id=None
            )
            == []
        )
