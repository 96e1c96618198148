"""Status shows what is, per reason and per rule."""

from __future__ import annotations

from sqlalchemy import Engine, insert, text
from sqlalchemy.orm import Session

from lakehouse.metadata import builds, models
from lakehouse.metadata.status import latest_checks, quarantined, status
from tests.integration.metadata.conftest import Submit, move


def add(engine: Engine, model: type[models.Base], *rows: dict[str, object]) -> None:
    with Session(engine) as session, session.begin():
        session.execute(insert(model), list(rows))


def a_file(submission_id: str, path: str, **changes: object) -> dict[str, object]:
    return {
        "submission_id": submission_id,
        "path": path,
        "raw_key": f"raw/{path}",
        "sha256": "0" * 64,
        "size": 1,
        "file_type": "fhir_bundle",
        "outcome": "landed",
        **changes,
    }


def rejected(submission_id: str, reason: str, records: int = 1) -> dict[str, object]:
    return {
        "submission_id": submission_id,
        "path": "a.json",
        "reason": reason,
        "detail": "why",
        "record_count": records,
    }


def test_nothing_there_is_shown_as_nothing(engine: Engine) -> None:
    found = status(engine)

    assert found.submissions_by_state == {}
    assert found.last_build is None
    assert found.last_publish is None
    assert [stage.newest_at for stage in found.freshness] == [None] * 6


def test_quarantine_is_counted_by_reason_and_what_is_gone_does_not_count(
    engine: Engine, submit: Submit
) -> None:
    good, gone = submit("STAGED", "LANDED"), submit("STAGED", "LANDED")
    for one in (good, gone):
        add(
            engine,
            models.SubmissionFile,
            a_file(one, "a.json", arrived=10, accepted=7, quarantined=3),
        )
        add(
            engine,
            models.Quarantine,
            rejected(one, "null_entry"),
            rejected(one, "missing_id", 2),
        )
    move(engine, gone, "WITHDRAWN")

    found = status(engine)

    assert [(one.reason, one.items, one.records) for one in found.quarantine] == [
        ("missing_id", 1, 2),
        ("null_entry", 1, 1),
    ]
    assert (found.arrived, found.accepted, found.quarantined) == (10, 7, 3)
    assert found.submissions_by_state == {"LANDED": 1, "WITHDRAWN": 1}
    assert {one.submission_id for one in quarantined(engine)} == {good}
    assert {one.submission_id for one in quarantined(engine, submission_id=gone)} == {gone}
    assert len(quarantined(engine, limit=1)) == 1


def test_the_latest_evaluation_of_each_rule_counts(engine: Engine) -> None:
    rule = {
        "layer": "silver",
        "table_name": "patient",
        "rule": "not_null",
        "column_name": "patient_id",
        "severity": "error",
    }
    other = {**rule, "rule": "row_count", "column_name": None, "severity": "warning"}
    add(engine, models.CheckResult, {**rule, "passed": False})
    add(engine, models.CheckResult, {**rule, "passed": True}, {**other, "passed": False})

    found = status(engine)

    assert (found.checks_passed, found.checks_failed) == (1, 1)
    assert [check.rule for check in found.failed_checks] == ["row_count"]
    assert [check.passed for check in latest_checks(engine)] == [False, True]


def test_a_rule_that_is_gone_from_the_suites_is_not_shown(engine: Engine) -> None:
    ids = []
    for _ in range(2):
        build = builds.start_build(engine, full_refresh=True, run_id="r", actor="t")
        builds.finish_build(engine, build.build_id, "succeeded", 1)
        ids.append(build.build_id)
    rule = {"layer": "silver", "table_name": "patient", "severity": "error", "passed": False}
    add(engine, models.CheckResult, {**rule, "rule": "old", "build_id": ids[0]})
    add(engine, models.CheckResult, {**rule, "rule": "gold's", "build_id": ids[0], "layer": "gold"})
    add(engine, models.CheckResult, {**rule, "rule": "new", "build_id": ids[1]})

    assert {check.rule for check in latest_checks(engine)} == {"new", "gold's"}


def test_build_and_queue_are_shown(engine: Engine, submit: Submit) -> None:
    submit("STAGED", "LANDED")
    build = builds.start_build(engine, full_refresh=False, run_id="r", actor="t")
    submit("STAGED", "LANDED")
    builds.finish_build(engine, build.build_id, "failed", None, note="1 model failed")

    found = status(engine)

    assert found.last_build is not None
    assert (found.last_build.status, found.last_build.added) == ("failed", 1)
    assert found.waiting_for_silver == 2


def test_operations_views_agree(engine: Engine, submit: Submit) -> None:
    submission_id = submit("STAGED", "LANDED")
    add(engine, models.SubmissionFile, a_file(submission_id, "a.json", arrived=3, accepted=1))
    add(engine, models.Quarantine, rejected(submission_id, "missing_id", 2))

    with engine.connect() as connection:
        reason = connection.execute(text("select * from ops.quarantine_reason")).one()
        balance = connection.execute(text("select * from ops.file_balance")).one()
        fresh = connection.execute(
            text("select stage from ops.freshness where age_seconds >= 0")
        ).scalars()
        assert (reason.reason, reason.items, reason.records) == ("missing_id", 1, 2)
        assert reason.file_type == "fhir_bundle"
        assert (balance.files, balance.arrived, balance.accepted) == (1, 3, 1)
        assert list(fresh) == ["received", "staged", "landed"]
