"""The sample drops, read with nothing but standard parsers, hold what `expected.json` says."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
import pytest
import zstandard

SAMPLES = Path(__file__).parents[2] / "samples"
DROPS = SAMPLES / "drops"
COHORT_A = "cohort-a/fhir/2026-01-cohort-a"
COHORT_B = "cohort-b/fhir/2026-01-cohort-b"
CORRECTIONS = "cohort-a/fhir/2026-02-corrections"
BROKEN = "cohort-b/fhir/2026-02-broken"
IMAGING = "radiology/dicom/2026-01-imaging"

EXPECTED = json.loads((SAMPLES / "expected.json").read_text(encoding="utf-8"))

Resource = dict[str, Any]


def text_of(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    elif path.suffix == ".zst":
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    return content.decode("utf-8")


def entries_of(path: Path) -> list[Resource]:
    """A file's entries, `{"resource": …}`, whatever its format."""
    text = text_of(path)
    if ".ndjson" in path.name:
        return [{"resource": json.loads(line)} for line in text.splitlines()]
    document = json.loads(text)
    return document["entry"] if document["resourceType"] == "Bundle" else [{"resource": document}]


@cache
def entries_in(drop: str) -> list[Resource]:
    files = sorted(p for p in (DROPS / drop).rglob("*") if p.is_file())
    return [entry for path in files for entry in entries_of(path)]


def key_of(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def resources_in(drop: str) -> list[Resource]:
    return [e["resource"] for e in entries_in(drop) if "resource" in e]


def count_by_type(keys: set[str]) -> dict[str, int]:
    return dict(Counter(key.partition("/")[0] for key in keys))


def live_resources() -> dict[str, Resource]:
    """The newest version of everything in the three readable FHIR drops, less what was deleted."""
    versions: dict[str, list[Resource]] = defaultdict(list)
    for drop in (COHORT_A, COHORT_B, CORRECTIONS):
        for resource in resources_in(drop):
            versions[key_of(resource)].append(resource)
    deleted = {
        e["request"]["url"]
        for e in entries_in(CORRECTIONS)
        if e.get("request", {}).get("method") == "DELETE"
    }
    return {
        key: max(found, key=lambda r: int(r["meta"]["versionId"]))
        for key, found in versions.items()
        if key not in deleted
    }


def test_the_samples_stay_small() -> None:
    size = sum(p.stat().st_size for p in DROPS.rglob("*") if p.is_file())
    assert size <= 5_000_000


@pytest.mark.parametrize("drop", [COHORT_A, COHORT_B])
def test_a_first_drop_holds_the_expected_resources(drop: str) -> None:
    keys = [key_of(r) for r in resources_in(drop)]
    assert count_by_type(set(keys)) == EXPECTED["first_drops"][drop]
    # Only places and people may come with several patients' bundles.
    repeated = {key.partition("/")[0] for key, times in Counter(keys).items() if times > 1}
    assert repeated <= {"Organization", "Location", "Practitioner"}


def test_cohorts_share_no_id() -> None:
    ids = [{r["id"] for r in resources_in(drop)} for drop in (COHORT_A, COHORT_B)]
    assert not ids[0] & ids[1]


def test_corrections_and_good_resources_of_broken_files_lead_to_the_expected_live_counts() -> None:
    good = {key for file in EXPECTED["broken"] for key in file["good_ids"]}
    live = set(live_resources())
    assert not good & live
    assert count_by_type(live | good) == EXPECTED["live_after_all_drops"]


def test_every_correction_is_a_newer_version_of_a_resource_of_the_first_drop() -> None:
    first = {key_of(r): r["meta"] for r in resources_in(COHORT_A)}
    updates = {key_of(r): r["meta"] for r in _corrections("01-updates.json")}
    assert set(updates) == set(EXPECTED["corrections"]["updated"])
    for key, meta in updates.items():
        assert int(meta["versionId"]) > int(first[key]["versionId"])
        assert meta["lastUpdated"] > first[key]["lastUpdated"]


def test_late_versions_are_older_than_what_the_first_drop_holds() -> None:
    first = {key_of(r): r["meta"] for r in resources_in(COHORT_A)}
    late = {key_of(r): r["meta"] for r in _corrections("02-late-older-versions.ndjson")}
    assert sorted(late) == sorted(EXPECTED["corrections"]["late_older_versions"])
    for key, meta in late.items():
        assert int(meta["versionId"]) < int(first[key]["versionId"])
        assert meta["lastUpdated"] < first[key]["lastUpdated"]


def test_deletions_name_resources_of_the_first_drop_that_are_not_sent_again() -> None:
    deleted = {e["request"]["url"] for e in entries_of(DROPS / CORRECTIONS / "03-deletions.json")}
    assert sorted(deleted) == EXPECTED["corrections"]["deleted"]
    assert deleted <= {key_of(r) for r in resources_in(COHORT_A)}
    assert not deleted & {key_of(r) for r in resources_in(CORRECTIONS)}


def _corrections(name: str) -> list[Resource]:
    return [e["resource"] for e in entries_of(DROPS / CORRECTIONS / name)]


def test_notes_come_twice_and_count_once() -> None:
    notes: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for resource in live_resources().values():
        attachments = [c["attachment"] for c in resource.get("content", [])]
        for attachment in attachments + resource.get("presentedForm", []):
            visits = [resource.get("encounter"), *resource.get("context", {}).get("encounter", [])]
            # Bundles write `urn:uuid:…`, NDJSON `Encounter/…`: the id is what they have in common.
            visit = next(v["reference"][-36:] for v in visits if v)
            text = base64.b64decode(attachment["data"]).decode("utf-8")
            notes[visit, text].add(resource["resourceType"])
    headings = ("# Chief Complaint/Subjective", "# Objective", "# Assessment", "# Plan")
    texts = [text for _, text in notes]
    with_sections = sum(all(h in text for h in headings) for text in texts)
    short = sum(len(text) < 100 for text in texts)
    assert EXPECTED["notes"] == {
        "distinct": len(notes),
        "with_four_sections": with_sections,
        "under_100_characters": short,
    }
    assert with_sections >= 0.8 * len(notes)
    assert 0 < short <= 0.2 * len(notes)
    # Exactly one note lost one of its two carriers: its document was deleted.
    assert Counter(map(len, notes.values())) == {2: len(notes) - 1, 1: 1}


def test_dicom_files_belong_to_the_imaging_studies_that_expected_names() -> None:
    files = [pydicom.dcmread(p) for p in sorted((DROPS / IMAGING).rglob("*.dcm"))]
    in_files = {str(f.StudyInstanceUID) for f in files}
    imaging = [
        r
        for drop in (COHORT_A, COHORT_B)
        for r in resources_in(drop)
        if r["resourceType"] == "ImagingStudy"
    ]
    in_fhir = {s["identifier"][0]["value"].removeprefix("urn:oid:"): s for s in imaging}

    dicom = EXPECTED["dicom"]
    assert len(files) == dicom["files"]
    assert sorted(in_files & set(in_fhir)) == dicom["studies_with_imaging_study"]
    assert sorted(in_files - set(in_fhir)) == dicom["studies_without_imaging_study"]
    assert sorted(set(in_fhir) - in_files) == dicom["imaging_studies_without_dicom"]
    for uid in in_files & set(in_fhir):
        series = in_fhir[uid]["series"]
        told = {(s["uid"], i["uid"]) for s in series for i in s["instance"]}
        held = {
            (str(f.SeriesInstanceUID), str(f.SOPInstanceUID))
            for f in files
            if f.StudyInstanceUID == uid
        }
        assert held == told


def test_dicom_headers_carry_what_the_lakehouse_extracts_or_must_redact() -> None:
    files = [pydicom.dcmread(p) for p in sorted((DROPS / IMAGING).rglob("*.dcm"))]
    assert all(f.PatientName and f.PatientID and f.StudyDate and f.Rows for f in files)
    assert {"CT", "MR", "US", "DX"} <= {f.Modality for f in files}
    assert all("MagneticFieldStrength" in f for f in files if f.Modality == "MR")
    assert "UNKNOWN" in {f.Manufacturer for f in files}


def test_every_broken_file_is_described_and_every_description_has_a_file() -> None:
    files = sorted(p.name for p in (DROPS / BROKEN).iterdir())
    assert files == sorted(file["file"] for file in EXPECTED["broken"])


@pytest.mark.parametrize("file", EXPECTED["broken"], ids=lambda file: file["file"])
def test_a_broken_file_holds_its_good_resources_and_nothing_else_that_is_new(
    file: dict[str, Any],
) -> None:
    # Damage is read past here: a good id stands in the text, in `id` or in `fullUrl`.
    content = (DROPS / BROKEN / file["file"]).read_bytes().decode("latin-1")
    known = {key.partition("/")[2] for key in live_resources()}
    assert len(file["good_ids"]) == file["good"]
    for key in file["good_ids"]:
        resource_id = key.partition("/")[2]
        assert resource_id in content
        assert resource_id not in known


def test_the_patients_vary_in_age_and_one_living_patient_is_over_89() -> None:
    patients = [r for r in live_resources().values() if r["resourceType"] == "Patient"]
    births = {p["birthDate"] for p in patients if "deceasedDateTime" not in p}
    assert len(patients) == 20
    assert min(births) < "1936"
    assert max(births) > "2015"


def test_the_content_that_the_clinical_tables_need_is_there() -> None:
    resources = list(live_resources().values())
    reports = [r for r in resources if r["resourceType"] == "DiagnosticReport"]
    observations = [r for r in resources if r["resourceType"] == "Observation"]

    def coded(found: list[Resource], code: str) -> list[Resource]:
        return [r for r in found if r["code"]["coding"][0]["code"] == code]

    pressures = coded(observations, "85354-9")
    assert len(pressures) > 20
    assert all(len(p["component"]) == 2 for p in pressures)
    assert len(coded(reports, "11524-6")) == EXPECTED["ecg"]["reports"]
    assert len(coded(reports, "51969-4")) == EXPECTED["genomic_reports"]["total"]
    sampled = [o for o in observations if "valueSampledData" in json.dumps(o)]
    assert len(sampled) == EXPECTED["ecg"]["with_waveform"]
    for kind in ("valueQuantity", "valueCodeableConcept", "valueString"):
        assert any(kind in o for o in observations), kind
    statuses = {r["status"] for r in resources if r["resourceType"] == "MedicationRequest"}
    assert statuses == {"active", "stopped", "completed"}
    conditions = [r for r in resources if r["resourceType"] == "Condition"]
    assert 0 < sum("abatementDateTime" in c for c in conditions) < len(conditions)


def test_a_conditional_reference_matches_one_resource_or_is_named_as_dangling() -> None:
    identifiers = Counter(
        f"{r['resourceType']}?identifier={i['system']}|{i['value']}"
        for r in live_resources().values()
        for i in r.get("identifier", [])
        if isinstance(i, dict)
    )
    dangling = {d["to"] for d in EXPECTED["dangling_references"]}
    references = {
        reference
        for r in live_resources().values()
        for reference in _references(r)
        if "?identifier=" in reference
    }
    assert references - dangling
    for reference in references:
        assert identifiers[reference] == (0 if reference in dangling else 1), reference


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["reference"]] if isinstance(node.get("reference"), str) else []
        return own + [r for value in node.values() for r in _references(value)]
    if isinstance(node, list):
        return [r for value in node for r in _references(value)]
    return []
