"""How a run ends: what it added and what needs a person, in 80 columns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cli import summary as ending
from lakehouse.metadata.status import CheckLine, HeldLine, StatusReport, SubmissionLine

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SUBMISSION = "20260301T101500123-0a1b2c"
EXPECTED = (
    "at least 0.99 of the rows meet: " + "left(ended_at, 10) >= left(started_at, 10) and " * 4
)
MESSAGE = f"40 of 303 (13.20%) break the rule; expected: {EXPECTED}. Look at the drop."


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending.console, "_width", 80)


def submission(**changes: Any) -> SubmissionLine:
    line = SubmissionLine(
        submission_id=SUBMISSION,
        drop="2026-02-ward-seven-reexport",
        submitter="clinic",
        file_type="fhir",
        state="NEEDS_REVIEW",
        state_reason=None,
        file_count=1,
        byte_count=1,
        arrived=1_234,
        accepted=1_202,
        quarantined=32,
        supersedes=None,
        received_at=NOW,
    )
    return replace(line, **changes)


def report(**changes: Any) -> StatusReport:
    found = StatusReport(
        submissions_by_state={"PUBLISHED": 1},
        submissions=[submission()],
        open_groups=[],
        duplicates=0,
        needs_review=[],
        quarantine=[],
        arrived=64,
        accepted=32,
        quarantined=32,
        held=[],
        waiting_for_silver=0,
        last_build=None,
        last_publish=None,
        checks_passed=186,
        checks_failed=0,
        failed_checks=[],
        freshness=[],
    )
    return replace(found, **changes)


def ended(status: StatusReport, *, totals: bool = False) -> str:
    summary = ending.Summary(
        nothing_new=False,
        seconds=12.5,
        landed=[SUBMISSION],
        added=dict.fromkeys(ending._COUNTED, 0) | {"patients": 3, "encounters": -7},
        tables=dict.fromkeys(ending._COUNTED.values(), 41) | {"silver.device": 9},
        stages={"silver": 3.0},
        status=status,
    )
    with ending.console.capture() as captured:
        ending.show_summary(summary, totals=totals)
    return captured.get()


def test_a_run_ends_with_what_it_added_and_totals_are_shown_on_request() -> None:
    shown = ended(report())
    lines = {tuple(line.split()) for line in shown.splitlines()}
    assert {("patients", "3", "41"), ("encounters", "-7", "41"), ("notes", "0", "41")} <= lines
    assert "device" not in shown
    assert "Seconds per stage" not in shown
    assert len(shown.splitlines()) < 24
    everything = ended(report(), totals=True)
    assert "device" in everything
    assert "Seconds per stage" in everything


def test_a_run_names_the_drop_that_could_not_be_taken_whole_and_the_command_that_shows_why() -> (
    None
):
    shown = ended(report())
    assert "32 of 1,234 records of 2026-02-ward-seven-reexport" in shown
    assert f"lakehouse quarantine {SUBMISSION}" in shown
    other = ended(report(submissions=[submission(submission_id="20260101T000000000-ffffff")]))
    assert "lakehouse quarantine" not in other  # another run's


def test_a_failed_rule_is_told_with_its_numbers_and_without_its_sql() -> None:
    failed = CheckLine(
        layer="silver",
        table_name="encounter",
        rule="end_not_before_start",
        column_name=None,
        severity="warning",
        passed=False,
        observed=None,
        expected=EXPECTED,
        message=MESSAGE,
        build_id=None,
        checked_at=NOW,
    )
    held = HeldLine(
        submission_id=SUBMISSION,
        submitter="clinic",
        file_type="fhir",
        layer="silver",
        table_name="encounter",
        rule="end_not_before_start_mostly",
        observed={},
        expected=EXPECTED,
        message=MESSAGE,
        held_at=NOW,
    )
    shown = ended(report(checks_failed=1, failed_checks=[failed], held=[held]))
    words = " ".join(shown.split())
    assert "40 of 303 (13.20%) break the rule. Look at the drop." in words
    assert "left(ended_at" not in words
    for line in (f"lakehouse release {SUBMISSION} --reason …", "lakehouse withdraw"):
        assert line in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    with ending.console.capture() as captured:
        ending.show_held([held], in_full=True)
    assert "left(ended_at" in captured.get()


def test_status_has_one_line_a_submission_with_the_name_of_its_drop() -> None:
    with ending.console.capture() as captured:
        ending.show_status(report(submissions=[submission(drop="2026-02-corrections")] * 3))
    lines = [line for line in captured.get().splitlines() if SUBMISSION in line]
    assert len(lines) == 3
    assert all("2026-02-corrections" in line and len(line) <= 80 for line in lines)
