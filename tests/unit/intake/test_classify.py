"""The built-in classifier: content decides, names break ties, doubt goes to a person."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingestion.intake.classify import (
    FILE_TYPES,
    HEAD_BYTES,
    Classification,
    Classifier,
    ContentClassifier,
    load_classifier,
)
from lakehouse.errors import ConfigurationError

PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female"}
BUNDLE = {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": PATIENT}]}
CONDITIONS = b"START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION\n2023-01-27,,p1,e1,1956,x\n"


def classify(content: bytes, name: str = "file") -> Classification:
    return ContentClassifier().classify(name, content[:HEAD_BYTES], lambda: io.BytesIO(content))


def lines(*resources: dict[str, object]) -> bytes:
    return b"".join(json.dumps(resource).encode() + b"\n" for resource in resources)


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    tag = group.to_bytes(2, "little") + number.to_bytes(2, "little")
    return tag + kind + len(value).to_bytes(2, "little") + value


def spreadsheet() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (json.dumps(BUNDLE).encode(), "fhir_bundle"),
        (json.dumps(BUNDLE, indent=2).encode(), "fhir_bundle"),
        (b"\xef\xbb\xbf" + json.dumps(BUNDLE).encode(), "fhir_bundle"),
        (json.dumps(BUNDLE).encode("utf-16"), "fhir_bundle"),
        (json.dumps(dict(reversed(BUNDLE.items()))).encode(), "fhir_bundle"),
        (json.dumps(BUNDLE).encode()[:60], "fhir_bundle"),
        (json.dumps([PATIENT]).encode(), "fhir_bundle"),
        (json.dumps(PATIENT).encode(), "fhir_bundle"),
        (lines(PATIENT, PATIENT), "fhir_ndjson"),
        (b"null\n" + lines(PATIENT), "fhir_ndjson"),
        (gzip.compress(lines(PATIENT, PATIENT), mtime=0), "fhir_ndjson"),
        (gzip.compress(json.dumps(BUNDLE).encode(), mtime=0), "fhir_bundle"),
        (zstandard.compress(lines(PATIENT, PATIENT)), "fhir_ndjson"),
        (
            b"\x5f\x2a\x4d\x18\x02\x00\x00\x00ab" + zstandard.compress(lines(PATIENT, PATIENT)),
            "fhir_ndjson",
        ),
        (zstandard.compress(json.dumps(BUNDLE).encode()), "fhir_bundle"),
        (bytes(128) + b"DICM" + bytes(20), "dicom"),
        (
            element(8, 5, b"CS", b"ISO_IR 100")
            + element(8, 8, b"CS", b"ORIGINAL")
            + element(8, 0x16, b"UI", b"1.2\0"),
            "dicom",
        ),
        (b"%PDF-1.7\n%...", "document"),
        (b"\x89PNG\r\n\x1a\n....", "document"),
        (b"\xff\xd8\xff\xe0....", "document"),
        (b"II*\x00........", "document"),
        (b"MM\x00*........", "document"),
        (CONDITIONS, "ehr_csv"),
        (CONDITIONS.replace(b",", b";"), "ehr_csv"),
        (CONDITIONS.decode().encode("utf-16"), "ehr_csv"),
        (gzip.compress(CONDITIONS, mtime=0), "ehr_csv"),
        (
            b"CLM_ANSI_SGNTR_SK,CLM_1_REV_CNTR_ANSI_RSN_CD,CLM_2_REV_CNTR_ANSI_RSN_CD,"
            b"CLM_3_REV_CNTR_ANSI_RSN_CD,CLM_4_REV_CNTR_ANSI_RSN_CD,IDR_INSRT_TS,IDR_UPDT_TS\n",
            "claims_csv",
        ),
        (b'[{"type": "cbg", "deviceId": "x", "uploadId": "y", "value": 5.1}]', "cgm_export"),
        (b'[{"sgv": 100, "dateString": "2026-01-01T00:00:00Z"}]', "cgm_export"),
        (b'{"$asm.manifest": "http://example.org/m"}', "instrument_export"),
        (b"##BLOCKS= 4\nPlate:\t1\n", "instrument_export"),
        (b"batch_id,Tag01,Tag02\n1,4371,4211\n1,4054,3925\n", "batch_record"),
    ],
)
def test_content_names_the_type(content: bytes, expected: str) -> None:
    found = classify(content)

    assert (found.file_type, found.reason) == (expected, None)
    assert not found.ambiguous


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b"  \n\n", "empty_file"),
        (gzip.compress(b"", mtime=0), "empty_file"),
        (zstandard.compress(b""), "empty_file"),
        (b'<?xml version="1.0"?><Patient xmlns="http://hl7.org/fhir"/>', "fhir_xml"),
        (b'<ClinicalDocument xmlns="urn:hl7-org:v3"/>', "cda_xml"),
        (b"<html><body>login</body></html>", "html"),
        (b"<a/>", "xml"),
        (b'{"a": 1}', "unknown_json"),
        (b"[1, 2, 3]", "unknown_json"),
        (b"BZh91AY&SY", "unsupported_compression"),
        (gzip.compress(bytes(128) + b"DICM", mtime=0), "unsupported_compression"),
        (b"\x1f\x8b\x08\x00damaged", "corrupt_archive"),
        (b"\x28\xb5\x2f\xfd\xff\xff\xff\xff", "corrupt_archive"),
        (b"PK\x03\x04damaged", "corrupt_archive"),
        (bytes(range(256)) * 4, "unknown_binary"),
        (b"a,b\n1,2\n3,4\n", "no_layout"),
    ],
)
def test_what_nobody_can_read_has_a_name(content: bytes, reason: str) -> None:
    assert classify(content).reason == reason


def test_content_beats_the_name() -> None:
    assert classify(json.dumps(BUNDLE).encode(), "scan.dcm").file_type == "fhir_bundle"
    assert classify(bytes(128) + b"DICM", "bundle.json").file_type == "dicom"
    assert classify(CONDITIONS, "note.txt").file_type == "ehr_csv"


def test_text_under_a_name_that_says_otherwise_is_no_document() -> None:
    prose = b"This is a text file. It says nothing of use to anybody.\n" * 3

    assert classify(prose, "note.txt").file_type == "document"
    assert classify(prose, "scan.dcm").reason == "unknown_text"


def test_the_name_decides_what_content_leaves_open() -> None:
    one = json.dumps(PATIENT).encode()

    assert classify(one, "Patient.ndjson").file_type == "fhir_ndjson"
    assert classify(gzip.compress(one, mtime=0), "Patient.ndjson.gz").file_type == "fhir_ndjson"
    assert classify(one, "patient.json").file_type == "fhir_bundle"


def test_a_first_line_longer_than_the_head_is_followed_to_its_end() -> None:
    long = {**PATIENT, "text": {"div": "x" * (HEAD_BYTES + 1000)}}

    assert classify(lines(long, PATIENT), "export.json").file_type == "fhir_ndjson"
    assert classify(lines(long), "export.json").file_type == "fhir_bundle"


@pytest.mark.parametrize(
    "content", [spreadsheet(), b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)]
)
def test_a_spreadsheet_is_for_a_person_to_name(content: bytes) -> None:
    assert classify(content, "results.xlsx").ambiguous


def test_a_compressed_bomb_is_opened_only_as_far_as_the_head() -> None:
    bomb = zstandard.compress(b" " * 200_000_000)

    assert classify(bomb).reason == "empty_file"


def test_a_table_that_matches_no_layout_is_told_the_nearest_one() -> None:
    found = classify(b"START,STOP,PATIENT,ENCOUNTER,CODE,TEXT\n2023-01-27,,p1,e1,1956,x\n")

    assert found.reason == "no_layout"
    assert "synthea_conditions (version 1)" in found.note
    assert "DESCRIPTION" in found.note


def test_a_table_without_header_shows_none_of_its_values() -> None:
    found = classify(b"2023-01-27,Jane,Doe,CODE\n2023-01-28,John,Doe,CODE\n")

    assert found.reason == "no_layout"
    assert "Jane" not in found.note
    assert "Doe" not in found.note


@given(st.binary(max_size=400), st.text(max_size=20))
def test_any_bytes_get_an_answer(content: bytes, name: str) -> None:
    found = classify(content, name)

    assert found.file_type in FILE_TYPES
    assert 0 <= found.confidence <= 1
    assert found.note


@given(st.data())
def test_a_truncated_file_gets_an_answer(data: st.DataObject) -> None:
    whole = data.draw(
        st.sampled_from(
            [
                json.dumps(BUNDLE, indent=1).encode(),
                gzip.compress(lines(PATIENT, PATIENT), mtime=0),
                zstandard.compress(lines(PATIENT)),
                spreadsheet(),
                CONDITIONS,
                CONDITIONS.decode().encode("utf-16"),
            ]
        )
    )
    content = whole[: data.draw(st.integers(0, len(whole)))]

    assert classify(content).file_type in FILE_TYPES


class EverythingIsADocument:
    def classify(self, name: str, head: bytes, open: object) -> Classification:
        return Classification("document", 1.0, "says so")


def test_another_classifier_is_loaded_by_its_dotted_path() -> None:
    for path in (f"{__name__}:EverythingIsADocument", f"{__name__}.EverythingIsADocument"):
        assert isinstance(load_classifier(path), Classifier)


@pytest.mark.parametrize(
    "path", ["", "nowhere:Nothing", f"{__name__}:Nothing", "json:JSONDecoder", "json"]
)
def test_a_classifier_that_is_none_is_refused_by_its_setting(path: str) -> None:
    with pytest.raises(ConfigurationError, match="CLASSIFIER_IMPL"):
        load_classifier(path)


def test_a_text_full_of_escaped_quotes_is_gone_through_once() -> None:
    # Going back to each quote of the unfinished text would take hours for this one.
    div = "<div>" + 'class="x" ' * 400_000
    content = json.dumps({"resourceType": "Patient", "id": "p", "text": {"div": div}}).encode()

    found = ContentClassifier().classify("p.json", content[:-100_000], lambda: io.BytesIO(content))

    assert found.file_type == "fhir_bundle"


def test_a_file_that_begins_with_a_long_skippable_frame_is_opened_behind_it() -> None:
    skippable = b"\x50\x2a\x4d\x18" + HEAD_BYTES.to_bytes(4, "little") + bytes(HEAD_BYTES)
    content = skippable + zstandard.compress(lines(PATIENT, PATIENT))

    assert classify(content, "x.zst").file_type == "fhir_ndjson"
    assert classify(zlib.compress(lines(PATIENT, PATIENT)), "x.z").file_type == "fhir_ndjson"
    assert classify(b"x^2 and other words of a text, many of them", "x.txt").file_type == "document"
