"""Landing end to end: staged files become Bronze rows, once, whatever happens in between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import duckdb
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from lakehouse.metadata import models, submissions

if TYPE_CHECKING:
    from tests.integration.landing.conftest import Land, Stage


def bundle(*resources: dict[str, object], type_: str = "collection") -> bytes:
    entries = [{"resource": resource} for resource in resources]
    return json.dumps({"resourceType": "Bundle", "type": type_, "entry": entries}).encode()


def patient(id_: str, **more: object) -> dict[str, object]:
    return {"resourceType": "Patient", "id": id_, **more}


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[object, ...]]:
    return con.execute(sql).fetchall()


def test_a_submission_becomes_rows_with_their_provenance(
    stage: Stage, landing: Land, con: duckdb.DuckDBPyConnection
) -> None:
    submission = stage(
        {
            "a/bundle.json": bundle(patient("p1"), {"resourceType": "Encounter", "id": "e1"}),
            "b.ndjson": b'{"resourceType":"Patient","id":"p2"}\n\n{"resourceType":"Patient","id":"p3"}\n',
        }
    )
    report = landing(submission)
    assert (report.state, report.rows) == ("LANDED", {"fhir_resource": 4})
    assert (report.arrived, report.accepted, report.quarantined) == (4, 4, {})
    assert rows(
        con,
        "select source_file, source_position, resource_type, resource_id from bronze.fhir_resource "
        "order by all",
    ) == [
        ("a/bundle.json", 0, "Patient", "p1"),
        ("a/bundle.json", 1, "Encounter", "e1"),
        ("b.ndjson", 1, "Patient", "p2"),
        ("b.ndjson", 3, "Patient", "p3"),
    ]
    [(submission_ids, moments)] = rows(
        con,
        "select list(distinct submission_id), count(distinct ingested_at) from bronze.fhir_resource",
    )
    assert (submission_ids, moments) == ([submission], 1)


def test_a_table_of_an_older_version_gets_the_columns_that_came_since(
    stage: Stage, landing: Land, con: duckdb.DuckDBPyConnection
) -> None:
    landing(stage({"a.json": bundle(patient("p1"))}))
    for column in ("sequence", "condition", "is_subset"):
        con.execute(f"alter table lake.bronze.fhir_resource drop column {column}")
    landing(stage({"b.json": bundle(patient("p2"), patient("p3"))}))
    assert rows(
        con,
        "select resource_id, is_subset from bronze.fhir_resource order by resource_id",
    ) == [("p1", None), ("p2", False), ("p3", False)]


def test_the_commit_names_who_ran_it_and_for_what(
    stage: Stage, landing: Land, con: duckdb.DuckDBPyConnection
) -> None:
    submission = stage({"p.json": bundle(patient("p1"))})
    landing(submission)
    [(author, message, extra)] = rows(
        con,
        "select author, commit_message, commit_extra_info from ducklake_snapshots('lake') "
        "order by snapshot_id desc limit 1",
    )
    assert author == "test"
    assert submission in str(message)
    assert json.loads(str(extra))["run_id"] == "run-1"


def test_landing_again_changes_no_row(
    stage: Stage, landing: Land, con: duckdb.DuckDBPyConnection, engine: Engine
) -> None:
    submission = stage({"p.json": bundle(patient("p1"), patient("p2"))})
    landing(submission)
    before = rows(con, "select * exclude ingested_at from bronze.fhir_resource order by all")
    report = landing(submission)
    assert report.replaced_rows == 2
    assert (
        rows(con, "select * exclude ingested_at from bronze.fhir_resource order by all") == before
    )
    with Session(engine) as session:
        assert submissions.get(session, submission).state == "LANDED"


def test_what_cannot_be_taken_is_counted_and_the_rest_is_landed(
    stage: Stage, landing: Land, engine: Engine, con: duckdb.DuckDBPyConnection
) -> None:
    good = bundle(patient("p1"))
    odd = (
        b'{"resourceType":"Bundle","type":"collection","entry":[null,'
        b'{"resource":{"resourceType":"Patient","id":"p2"}}]}'
    )
    submission = stage({"good.json": good, "odd.json": odd})
    report = landing(submission)
    assert (report.state, report.arrived, report.accepted) == ("LANDED", 3, 2)
    assert report.quarantined == {"null_entry": 1}
    landing(submission)  # again: what is known of it is replaced, not doubled
    with Session(engine) as session:
        [row] = session.scalars(select(models.Quarantine)).all()
        assert (row.path, row.position, row.reason) == ("odd.json", "entry[0]", "null_entry")
        files = session.scalars(select(models.SubmissionFile).order_by("path")).all()
        assert [(f.outcome, f.arrived, f.accepted, f.quarantined) for f in files] == [
            ("landed", 1, 1, 0),
            ("landed", 2, 1, 1),
        ]
    assert rows(con, "select count(*) from bronze.fhir_resource") == [(2,)]


def test_a_submission_of_which_nothing_can_be_taken_is_quarantined(
    stage: Stage, landing: Land, con: duckdb.DuckDBPyConnection
) -> None:
    submission = stage({"odd.json": bundle({"resourceType": "Patient"})})
    report = landing(submission)
    assert (report.state, report.quarantined) == ("QUARANTINED", {"missing_id": 1})
    assert rows(con, "select count(*) from bronze.fhir_resource") == [(0,)]


def test_compaction_keeps_every_row_sorted_by_type(
    stage: Stage, landing: Land, con: duckdb.DuckDBPyConnection
) -> None:
    for number in range(3):
        encounter = {"resourceType": "Encounter", "id": f"e{number}"}
        landing(stage({"p.json": bundle(patient(f"p{number}"), encounter)}))
    before = rows(con, "select * from bronze.fhir_resource order by all")
    con.execute("call ducklake_merge_adjacent_files('lake')")
    assert rows(con, "select * from bronze.fhir_resource order by all") == before
    [(file,)] = rows(
        con,
        "select data_file from ducklake_list_files('lake', 'fhir_resource', schema => 'bronze')",
    )
    types = [type_ for (type_,) in rows(con, f"select resource_type from '{file}'")]
    assert types == ["Encounter"] * 3 + ["Patient"] * 3
