"""From a closed drop to a registered, staged submission."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from ingestion.intake.classify import Classification
from ingestion.intake.layouts import sync_layouts
from lakehouse.errors import AccessDenied, ConfigurationError
from lakehouse.metadata import audit, models
from lakehouse.metadata.status import status
from tests.integration.intake.conftest import GROUP, Inbox, patient


def test_a_closed_drop_becomes_a_staged_submission(inbox: Inbox) -> None:
    content = {"a.json": patient(1), "deep/b.json": patient(2)}
    inbox.drop(content)

    new = inbox.take_one()

    assert (new.state, new.file_count, new.group_key) == ("STAGED", 2, GROUP)
    assert inbox.raw(new.submission_id) == content
    submission = inbox.submission(new.submission_id)
    assert (submission.submitter, submission.file_type, submission.drop_id) == (
        "north",
        "fhir",
        "d1",
    )
    file = inbox.files(new.submission_id)["deep/b.json"]
    assert file.sha256 == hashlib.sha256(patient(2)).hexdigest()
    assert file.raw_key == f"raw/north/fhir/{new.submission_id}/deep/b.json"
    assert (file.size, file.file_type, file.outcome) == (
        len(patient(2)),
        "fhir_bundle",
        "staged",
    )


def test_the_inbox_keeps_its_files(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    inbox.take()

    assert inbox.store.read(f"inbox/{GROUP}/a.json") == patient(1)


def test_the_manifest_is_canonical_json_of_what_was_registered(inbox: Inbox) -> None:
    inbox.drop({"b.json": patient(2), "a.json": patient(1)})
    new = inbox.take_one()

    raw = inbox.store.read(f"raw/north/fhir/{new.submission_id}/_manifest.generated.json")
    manifest = json.loads(raw)

    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert raw == canonical.encode() + b"\n"
    assert manifest["submission_id"] == new.submission_id
    assert [file["path"] for file in manifest["files"]] == ["a.json", "b.json"]
    assert set(manifest["files"][0]) >= {"path", "sha256", "size", "type", "layout"}


def test_raw_objects_cannot_be_changed(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    new = inbox.take_one()

    for name in ("a.json", "_manifest.generated.json"):
        key = f"raw/north/fhir/{new.submission_id}/{name}"
        with pytest.raises(AccessDenied):
            inbox.store.put(key, b"changed")
        with pytest.raises(AccessDenied):
            inbox.store.delete(key)


def test_each_step_is_in_the_audit_trail(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    new = inbox.take_one()

    with Session(inbox.engine) as session:
        history = audit.history(session, f"submission:{new.submission_id}")
        assert [(event.action, event.actor) for event in history] == [
            ("submission.received", "test"),
            ("submission.staged", "test"),
        ]
    assert audit.verify(inbox.engine).intact


def test_a_second_pass_does_nothing(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    inbox.take()
    events = audit.verify(inbox.engine).events

    report = inbox.take()

    assert (report.registered, report.duplicates, report.unchanged) == ([], [], 1)
    assert audit.verify(inbox.engine).events == events
    assert inbox.pending() == []


def test_a_drop_that_is_still_arriving_waits_and_is_shown(inbox: Inbox) -> None:
    inbox.settings = inbox.settings.model_copy(update={"quiescence_minutes": 15.0})
    inbox.drop({"a.json": patient(1)}, close=False)

    report = inbox.take()

    assert report.registered == []
    assert [group.group_key for group in report.open_groups] == [GROUP]
    assert "_SUCCESS" in report.open_groups[0].waits_for
    assert report.open_groups[0].closes_at is not None
    assert [group.group_key for group in status(inbox.engine).open_groups] == [GROUP]
    assert inbox.pending() == []

    later = inbox.take(later=timedelta(minutes=16))
    assert [new.state for new in later.registered] == ["STAGED"]
    assert status(inbox.engine).open_groups == []


def test_looking_shows_what_is_arriving_before_any_pass(inbox: Inbox) -> None:
    inbox.settings = inbox.settings.model_copy(update={"quiescence_minutes": 15.0})
    inbox.drop({"a.json": patient(1)}, close=False)

    assert inbox.pending() == []

    (group,) = status(inbox.engine).open_groups
    assert (group.group_key, group.file_count) == (GROUP, 1)
    assert "15 minute(s)" in (group.note or "")


def test_a_drop_that_is_taken_back_while_arriving_is_forgotten(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)}, group="north/fhir/kept")
    inbox.take()
    inbox.settings = inbox.settings.model_copy(update={"quiescence_minutes": 15.0})
    for group in (GROUP, "north/fhir/kept"):
        inbox.drop({"b.json": patient(2)}, group=group, close=False)
        inbox.remove("_SUCCESS", group=group)
    inbox.take()
    assert len(status(inbox.engine).open_groups) == 2
    inbox.store.delete_prefix("inbox/north/")

    inbox.take()

    assert status(inbox.engine).open_groups == []
    assert inbox.group() is None
    kept = inbox.group("north/fhir/kept")
    assert kept is not None
    assert kept.outcome == "registered"


def test_the_marker_closes_it_at_once(inbox: Inbox) -> None:
    inbox.settings = inbox.settings.model_copy(update={"quiescence_minutes": 15.0})
    inbox.drop({"a.json": patient(1)}, close=False)
    inbox.take()
    inbox.drop({}, close=True)

    assert inbox.pending() == [GROUP]
    assert inbox.take_one().state == "STAGED"


def test_a_marker_without_files_is_refused_with_a_word(inbox: Inbox) -> None:
    inbox.drop({})

    report = inbox.take()

    assert [refused.group_key for refused in report.refused] == [GROUP]
    assert inbox.submissions() == []


def test_the_same_content_again_is_a_no_op_that_says_so(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    first = inbox.take_one()
    inbox.drop({"a.json": patient(1)}, group="north/fhir/again")

    report = inbox.take()

    assert report.registered == []
    assert [(one.group_key, one.submission_id) for one in report.duplicates] == [
        ("north/fhir/again", first.submission_id)
    ]
    group = inbox.group("north/fhir/again")
    assert group is not None
    assert first.submission_id in (group.note or "")
    assert status(inbox.engine).duplicates == 1
    assert inbox.take().duplicates == []  # said once
    assert len(inbox.submissions()) == 1


def test_two_drops_of_the_same_content_in_one_pass_make_one_submission(inbox: Inbox) -> None:
    for name in ("d1", "d2", "d3"):
        inbox.drop({"a.json": patient(1)}, group=f"north/fhir/{name}")

    report = inbox.take()

    assert (len(report.registered), len(report.duplicates)) == (1, 2)


def test_the_same_content_of_another_submitter_is_that_submitters(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)}, group="north/fhir/d1")
    inbox.drop({"a.json": patient(1)}, group="south/fhir/d1")

    assert len(inbox.take().registered) == 2


def test_uploading_the_same_files_again_is_no_change(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1), "b.json": patient(2)})
    inbox.take()
    inbox.drop({"a.json": patient(1), "b.json": patient(2)})

    report = inbox.take()

    assert (report.registered, report.unchanged) == ([], 1)
    assert inbox.pending() == []


def test_bad_files_never_block_good_ones(inbox: Inbox) -> None:
    inbox.drop(
        {
            "good.json": patient(1),
            "empty.json": b"",
            "patient.xml": b'<Patient xmlns="http://hl7.org/fhir"/>',
            "scan.pdf": b"%PDF-1.7",
            "odd.bin": bytes(range(256)) * 10,
            "table.csv": b"START,STOP,PATIENT\n1,2,3\n4,5,6\n",
        }
    )

    new = inbox.take_one()

    assert new.state == "STAGED"
    assert inbox.reasons(new.submission_id) == {
        "empty.json": "empty_file",
        "patient.xml": "fhir_xml",
        "scan.pdf": "no_source_yet",
        "odd.bin": "unknown_binary",
        "table.csv": "no_layout",
    }
    files = inbox.files(new.submission_id)
    assert {path for path, file in files.items() if file.outcome == "staged"} == {"good.json"}
    for path, file in files.items():
        if path != "good.json":
            assert (file.arrived, file.accepted, file.quarantined) == (1, 0, 1)
    assert len(inbox.raw(new.submission_id)) == 6  # what nobody reads yet is kept all the same
    counts = {one.reason: one.records for one in status(inbox.engine).quarantine}
    assert counts == dict.fromkeys(counts, 1)
    assert len(counts) == 5


def test_a_drop_of_which_nothing_can_be_read_is_quarantined(inbox: Inbox) -> None:
    inbox.drop({"scan.pdf": b"%PDF-1.7", "empty.json": b""})

    report = inbox.take()

    assert [new.state for new in report.quarantined] == ["QUARANTINED"]
    assert report.quarantined[0].quarantined == {"no_source_yet": 1, "empty_file": 1}


def test_a_table_is_registered_with_its_layout(inbox: Inbox) -> None:
    inbox.drop({"c.csv": b"START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION\n"})
    new = inbox.take_one()

    file = inbox.files(new.submission_id)["c.csv"]
    assert (file.file_type, file.layout, file.layout_version) == (
        "ehr_csv",
        "synthea_conditions",
        "1",
    )


def test_the_nearest_layout_is_named_in_quarantine(inbox: Inbox) -> None:
    inbox.drop({"c.csv": b"START,STOP,PATIENT,ENCOUNTER,CODE\n1,2,3,4,5\n"})
    inbox.take()

    with Session(inbox.engine) as session:
        detail = session.query(models.Quarantine.detail).scalar()
    assert "synthea_conditions" in detail
    assert "DESCRIPTION" in detail


class Guesses:
    """A classifier that a site has written."""

    def classify(self, name: str, head: bytes, open: object) -> Classification:
        if name.endswith(".csv"):
            return Classification("ehr_csv", 0.9, "by its name")
        return Classification("fhir_bundle", 0.2 if b"?" in head else 1.0, "a guess")


class SaysNonsense:
    def classify(self, name: str, head: bytes, open: object) -> Classification:
        return Classification("spreadsheet", 1.0, "nonsense")


def with_classifier(inbox: Inbox, name: str) -> None:
    changed = {"classifier_impl": f"{__name__}:{name}"}
    inbox.settings = inbox.settings.model_copy(update=changed)


def test_another_classifier_decides(inbox: Inbox) -> None:
    with_classifier(inbox, "Guesses")
    inbox.drop({"a": b"anything", "c.csv": b"START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION\n"})
    new = inbox.take_one()

    files = inbox.files(new.submission_id)
    assert (files["a"].file_type, files["a"].outcome) == ("fhir_bundle", "staged")
    assert files["c.csv"].layout == "synthea_conditions"


def test_a_classifier_that_answers_nonsense_is_named(inbox: Inbox) -> None:
    with_classifier(inbox, "SaysNonsense")
    inbox.drop({"a": b"anything"})

    with pytest.raises(ConfigurationError, match="spreadsheet"):
        inbox.take()


def test_a_path_too_long_for_a_key_and_the_manifests_own_name_are_kept(inbox: Inbox) -> None:
    deep = "/".join(["x" * 100] * 8) + "/" + "é" * 40 + ".json"
    content = {deep: patient(1), "_manifest.generated.json": patient(2)}
    inbox.drop(content)
    new = inbox.take_one()

    assert inbox.raw(new.submission_id) == content
    assert all("_renamed/" in file.raw_key for file in inbox.files(new.submission_id).values())


def test_names_that_are_not_ascii_survive(inbox: Inbox) -> None:
    content = {"Zoë & Söhne/é?#%20.json": patient(1), "a b.json": patient(2)}
    inbox.drop(content)

    assert inbox.raw(inbox.take_one().submission_id) == content


def test_a_large_file_is_hashed_as_a_stream(inbox: Inbox) -> None:
    line = patient(1) + b"\n"
    content = line * (20_000_000 // len(line))
    inbox.drop({"big.ndjson": content})
    new = inbox.take_one()

    file = inbox.files(new.submission_id)["big.ndjson"]
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert file.file_type == "fhir_ndjson"


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_small_files_are_one_submission(inbox: Inbox, count: int) -> None:
    folder = inbox.settings.store_folder / "inbox" / GROUP
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:06d}.json").write_bytes(patient(number))
    inbox.drop({})

    new = inbox.take_one()

    assert (new.state, new.file_count) == ("STAGED", count)
    with Session(inbox.engine) as session:
        staged = session.query(models.SubmissionFile).filter_by(outcome="staged").count()
    assert staged == count
    assert inbox.take().unchanged == 1


def test_drops_are_registered_in_the_order_of_their_names_with_rising_ids(inbox: Inbox) -> None:
    for name in ("c", "a", "b"):
        inbox.drop({"x.json": patient(ord(name))}, group=f"north/fhir/{name}")

    registered = inbox.take().registered

    assert [new.group_key[-1] for new in registered] == ["a", "b", "c"]
    ids = [new.submission_id for new in registered]
    assert ids == sorted(ids)


def test_nothing_of_a_patient_reaches_the_logs_the_reasons_or_the_audit_trail(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    inbox.drop(
        {
            "Jane_Doe.json": patient(1, name=[{"family": "Doeville"}]),
            "Jane_Doe.csv": b"Jane,Doe,Doeville\n1,2,3\n4,5,6\n",
            "Jane_Doe.bin": b"\0\1\2\3Doeville",
        }
    )
    new = inbox.take_one()

    with Session(inbox.engine) as session:
        events = audit.history(session, f"submission:{new.submission_id}")
        details = [row.detail for row in session.query(models.Quarantine)]
        told = repr([(e.reason, e.before, e.after) for e in events]) + repr(details)
    assert not re.search("Jane|Doeville", caplog.text + told)


def test_layouts_are_synced_once(inbox: Inbox) -> None:
    count = sync_layouts(inbox.engine)
    events = audit.verify(inbox.engine).events

    assert sync_layouts(inbox.engine) == count == events
    assert audit.verify(inbox.engine).events == events
    with Session(inbox.engine) as session:
        row = session.get(models.Layout, ("cms_rif_snf", "1"))
        assert row is not None
        assert {"name": "CLM_FROM_DT", "type": "date", "format": "%d-%b-%Y"} in row.columns


def test_a_changed_and_a_removed_layout_follow_the_files(inbox: Inbox, tmp_path: Path) -> None:
    text = (
        "file_type: ehr_csv\nlayouts:\n  visits:\n    description: d\n    versions:\n"
        '      "1": {delimiter: ",", columns: {Id: string}}\n'
    )
    for name, content in (("a", text), ("b", text.replace("Id: string", "Id: integer"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "v.yml").write_text(content)
    sync_layouts(inbox.engine)

    assert sync_layouts(inbox.engine, tmp_path / "a") == 1
    assert sync_layouts(inbox.engine, tmp_path / "b") == 1
    with Session(inbox.engine) as session:
        assert [row.columns for row in session.query(models.Layout)] == [
            [{"name": "Id", "type": "integer"}]
        ]
        changed = audit.history(session, "layout:visits:1")
        assert [event.action for event in changed] == ["layout.added", "layout.changed"]
