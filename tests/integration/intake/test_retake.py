"""Files that could not be read are kept, and taken when they can be."""

from __future__ import annotations

from sqlalchemy.orm import Session

from ingestion.intake import retake
from lakehouse.metadata import audit, builds, publishes
from tests.integration.intake.conftest import READABLE, Inbox, patient


def look_again(inbox: Inbox, *kinds: str) -> dict[str, int]:
    return retake(
        inbox.store, inbox.engine, inbox.settings, actor="person:a", readable=READABLE | {*kinds}
    )


def test_without_anything_new_nothing_changes(inbox: Inbox) -> None:
    inbox.drop({"scan.pdf": b"%PDF-1.7", "empty.json": b"", "a.json": patient(1)})
    inbox.take()
    events = audit.verify(inbox.engine).events

    assert look_again(inbox) == {}
    assert audit.verify(inbox.engine).events == events


def test_a_new_source_takes_what_waited_for_it(inbox: Inbox) -> None:
    inbox.drop({"scan.pdf": b"%PDF-1.7", "empty.json": b""})
    submission_id = inbox.take_one().submission_id
    assert inbox.submission(submission_id).state == "QUARANTINED"

    assert look_again(inbox, "document") == {submission_id: 1}

    assert inbox.submission(submission_id).state == "STAGED"
    assert inbox.reasons(submission_id) == {"empty.json": "empty_file"}
    file = inbox.files(submission_id)["scan.pdf"]
    assert (file.outcome, file.arrived) == ("staged", None)
    assert look_again(inbox, "document") == {}


def test_what_is_in_silver_stays_there_until_it_is_landed_again(inbox: Inbox) -> None:
    inbox.drop({"scan.pdf": b"%PDF-1.7", "a.json": patient(1)})
    submission_id = inbox.take_one().submission_id
    inbox.move(submission_id, "LANDED")
    build = builds.start_build(inbox.engine, full_refresh=False, run_id=None, actor="t")
    builds.finish_build(inbox.engine, build.build_id, "succeeded", 1)
    with Session(inbox.engine) as session, session.begin():
        publishes.mark_shown(session, build.build_id, actor="t", reason="a test")

    look_again(inbox, "document")

    found = inbox.submission(submission_id)
    assert (found.state, found.in_silver) == ("STAGED", True)
    assert builds.pending(inbox.engine) == {}
    inbox.move(submission_id, "LANDED")
    assert builds.pending(inbox.engine) == {submission_id: "added"}


def test_what_was_withdrawn_or_vanished_stays_away(inbox: Inbox) -> None:
    inbox.drop({"scan.pdf": b"%PDF-1.7"})
    inbox.move(inbox.take_one().submission_id, "WITHDRAWN")

    assert look_again(inbox, "document") == {}
