"""Ambiguous files wait for a person; nothing is guessed."""

from __future__ import annotations

import json

import pytest

from ingestion.intake import resolve_review
from lakehouse.errors import IntakeError
from lakehouse.metadata import audit
from lakehouse.metadata.status import status
from lakehouse.privacy import ref
from tests.integration.intake.conftest import READABLE, Inbox, patient

SPREADSHEET = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def name_it(
    inbox: Inbox, submission_id: str, path: str, file_type: str, readable: set[str] | None = None
) -> str:
    return resolve_review(
        inbox.engine,
        inbox.store,
        submission_id,
        path,
        file_type,
        actor="person:a",
        reason="I know it",
        readable=READABLE | (readable or set()),
    )


@pytest.fixture
def waiting(inbox: Inbox) -> str:
    inbox.drop({"a.json": patient(1), "plate.xls": SPREADSHEET, "other.xls": SPREADSHEET + b"x"})
    new = inbox.take_one()
    assert (new.state, new.review) == ("NEEDS_REVIEW", 2)
    return new.submission_id


def test_an_ambiguous_file_holds_its_submission_and_no_other(inbox: Inbox, waiting: str) -> None:
    inbox.drop({"b.json": patient(2)}, group="north/fhir/d2")

    assert inbox.take_one().state == "STAGED"
    found = inbox.submission(waiting)
    assert found.state == "NEEDS_REVIEW"
    assert "lakehouse review" in (found.state_reason or "")
    assert [item.path for item in status(inbox.engine).needs_review] == ["other.xls", "plate.xls"]


def test_it_goes_on_when_every_file_is_named(inbox: Inbox, waiting: str) -> None:
    kind = {"instrument_export"}
    manifest = f"raw/north/fhir/{waiting}/_manifest.generated.json"

    assert name_it(inbox, waiting, "plate.xls", "instrument_export", kind) == "NEEDS_REVIEW"
    assert not inbox.store.exists(manifest)
    assert name_it(inbox, waiting, "other.xls", "instrument_export", kind) == "STAGED"

    files = json.loads(inbox.store.read(manifest))["files"]
    assert [file["type"] for file in files] == [
        "fhir_bundle",
        "instrument_export",
        "instrument_export",
    ]
    assert audit.verify(inbox.engine).intact


def test_a_file_may_be_named_by_its_reference(inbox: Inbox, waiting: str) -> None:
    name_it(inbox, waiting, ref("plate.xls"), "instrument_export", {"instrument_export"})

    assert inbox.files(waiting)["plate.xls"].outcome == "staged"


def test_a_file_nobody_reads_yet_is_kept_and_quarantined(inbox: Inbox, waiting: str) -> None:
    name_it(inbox, waiting, "plate.xls", "instrument_export")

    assert name_it(inbox, waiting, "other.xls", "unknown") == "STAGED"
    assert inbox.reasons(waiting) == {"plate.xls": "no_source_yet", "other.xls": "unknown_type"}
    assert len(inbox.raw(waiting)) == 3


def test_a_table_that_is_named_still_needs_a_layout(inbox: Inbox, waiting: str) -> None:
    name_it(inbox, waiting, "plate.xls", "claims_csv", {"claims_csv"})

    assert inbox.reasons(waiting) == {"plate.xls": "no_layout"}


def test_a_word_about_what_does_not_wait_is_refused(inbox: Inbox, waiting: str) -> None:
    with pytest.raises(IntakeError, match="no file type"):
        name_it(inbox, waiting, "plate.xls", "spreadsheet")
    with pytest.raises(IntakeError, match="waits for a word"):
        name_it(inbox, waiting, "a.json", "dicom")
    with pytest.raises(IntakeError) as caught:
        name_it(inbox, waiting, "nowhere.xls", "dicom")
    assert "plate.xls" not in str(caught.value)
    inbox.drop({"b.json": patient(2)}, group="north/fhir/d2")
    with pytest.raises(IntakeError, match="STAGED"):
        name_it(inbox, inbox.take_one().submission_id, "b.json", "dicom")


def test_a_person_is_asked_once_about_the_same_content(inbox: Inbox, waiting: str) -> None:
    kind = {"instrument_export"}
    for path in ("plate.xls", "other.xls"):
        name_it(inbox, waiting, path, "instrument_export", kind)
    inbox.drop({"b.json": patient(2)})

    new = inbox.take_one()

    # The test's readable types hold no instrument exports: named they are, read they are not.
    assert new.review == 0
    assert new.file_types == {"fhir_bundle": 2, "instrument_export": 2}


def test_a_changed_file_is_asked_about_again(inbox: Inbox, waiting: str) -> None:
    name_it(inbox, waiting, "plate.xls", "unknown")
    name_it(inbox, waiting, "other.xls", "instrument_export")
    inbox.drop({"other.xls": SPREADSHEET + b"changed"})

    assert inbox.take_one().review == 2
