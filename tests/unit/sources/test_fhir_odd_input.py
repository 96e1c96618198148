"""Odd FHIR input: each kind has a named outcome with its place, and the rest is taken."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zstandard

from ingestion.sources import streams
from ingestion.sources.fhir import FhirSource, shapes, source
from sql_on_fhir import definitions

if TYPE_CHECKING:
    from tests.unit.sources.conftest import Outcome, Reader

SOURCE = FhirSource()
GOOD = {"resource": {"resourceType": "Patient", "id": "good"}}


def read(reader: Reader, data: bytes, name: str = "file.json") -> Outcome:
    file_type = "fhir_ndjson" if "ndjson" in name else "fhir_bundle"
    return reader(SOURCE, {name: data}, file_type)


def bundle(*entries: Any, **more: Any) -> bytes:
    document = {"resourceType": "Bundle", "type": "batch", "entry": list(entries)} | more
    return json.dumps(document).encode()


@pytest.mark.parametrize("name", ["file.json", "file.ndjson"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b" \n\n ", "empty_file"),
        (gzip.compress(b"", mtime=0), "empty_file"),
        (b'<?xml version="1.0"?><Patient xmlns="http://hl7.org/fhir"/>', "fhir_xml"),
        (b"\xef\xbb\xbf<Bundle/>", "fhir_xml"),
        (b'[{"resourceType":"Patient","id":"p1"}]', "root_is_list"),
        ('{"resourceType":"Patient","id":"p1"}'.encode("utf-16"), "bad_encoding"),
        (gzip.compress(b"x" * 1000, mtime=0)[:11], "truncated"),
        (b"\x1f\x8b" + b"\x00" * 50, "corrupt_archive"),
    ],
    ids=["empty", "blank", "empty gz", "xml", "xml bom", "list", "utf-16", "cut gz", "bad gz"],
)
def test_a_file_that_is_none_is_named_whole(
    reader: Reader, data: bytes, reason: str, name: str
) -> None:
    outcome = read(reader, data, name)
    assert outcome.refused == [(None, reason)]
    assert outcome.files[name].arrived == 1


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        (b"42", "not_fhir"),
        (b'"text"', "not_fhir"),
        (b"{}", "missing_resource_type"),
        (b'{"resourceType":"Nonsense","id":"1"}', "unknown_resource_type"),
        (b'{"resourceType":"Patient"}', "missing_id"),
        (b'{"resourceType":"Patient","id":""}', "missing_id"),
        (b"{nonsense", "truncated"),
        (b"{nonsense}", "malformed_json"),
        (b"\x00\x01\x02{}", "malformed_json"),
    ],
)
def test_a_document_that_is_no_resource_is_named(reader: Reader, root: bytes, reason: str) -> None:
    assert [why for _, why in read(reader, root).refused] == [reason]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, "null_entry"),
        (7, "wrong_shape"),
        ([], "wrong_shape"),
        ({}, "entry_without_resource"),
        ({"resource": None}, "entry_without_resource"),
        ({"resource": []}, "wrong_shape"),
        ({"resource": "Patient/1"}, "wrong_shape"),
        ({"resource": {}}, "missing_resource_type"),
        ({"fullUrl": 3, "resource": {"resourceType": "Patient", "id": "x"}}, "invalid_value"),
        ({"request": [], "resource": {"resourceType": "Patient", "id": "x"}}, "wrong_shape"),
        ({"resource": {"resourceType": "Patient"}}, "missing_id"),
        ({"fullUrl": "nothing", "resource": {"resourceType": "Patient"}}, "missing_id"),
        ({"resource": {"resourceType": "Patient", "id": 5}}, "invalid_value"),
        ({"request": {"method": "GET", "url": "Patient/1"}}, "unsupported_request"),
        ({"request": {"method": "DELETE", "url": "Patient?name=x"}}, "unsupported_request"),
        ({"request": {"method": "DELETE", "url": "Nonsense/1"}}, "unsupported_request"),
        ({"request": {"method": "DELETE"}}, "unsupported_request"),
        (
            {
                "request": {"method": "PATCH", "url": "Patient/1"},
                "resource": {"resourceType": "Parameters", "id": "x"},
            },
            "unsupported_request",
        ),
    ],
)
def test_an_odd_entry_costs_only_itself(reader: Reader, entry: Any, reason: str) -> None:
    outcome = read(reader, bundle(GOOD, entry, GOOD | {"resource": GOOD["resource"] | {"id": "2"}}))
    assert outcome.ids == ["Patient/good", "Patient/2"]
    assert [row["source_position"] for row in outcome.rows] == [0, 2]
    assert outcome.refused == [("entry[1]", reason)]


WRONG = {
    "list for object": ({"resourceType": "Observation", "subject": []}, "wrong_shape"),
    "object for list": ({"resourceType": "Patient", "name": {"family": "X"}}, "wrong_shape"),
    "text for object": ({"resourceType": "Observation", "code": "BP"}, "wrong_shape"),
    "object for text": ({"resourceType": "Patient", "birthDate": {}}, "wrong_shape"),
    "text for number": (
        {"resourceType": "Observation", "valueQuantity": {"value": "12,5"}},
        "invalid_value",
    ),
    "text for number in a list": (
        {"resourceType": "Observation", "component": [{"valueQuantity": {"value": "x"}}]},
        "invalid_value",
    ),
    "word for date": ({"resourceType": "Patient", "birthDate": "yesterday"}, "invalid_value"),
    "no such month": ({"resourceType": "Patient", "birthDate": "1980-13-01"}, "invalid_value"),
    "no such day": ({"resourceType": "Patient", "birthDate": "1999-02-29"}, "invalid_value"),
    "no such hour": (
        {"resourceType": "Condition", "onsetDateTime": "2020-01-01T25:00:00Z"},
        "invalid_value",
    ),
    "no date in a period": (
        {"resourceType": "Encounter", "period": {"start": "01.02.2020"}},
        "invalid_value",
    ),
    "no date of update": (
        {"resourceType": "Basic", "meta": {"lastUpdated": "now"}},
        "invalid_value",
    ),
    "number for version": ({"resourceType": "Basic", "meta": {"versionId": 1}}, "invalid_value"),
    "meta is a list": ({"resourceType": "Basic", "meta": []}, "wrong_shape"),
    "type of STU3": ({"resourceType": "ProcedureRequest"}, "fhir_version"),
    "type of DSTU2": ({"resourceType": "MedicationOrder"}, "fhir_version"),
    "type of R5": ({"resourceType": "GenomicStudy"}, "fhir_version"),
    "profile of STU3": (
        {
            "resourceType": "Basic",
            "meta": {"profile": ["http://hl7.org/fhir/STU3/StructureDefinition/Basic"]},
        },
        "fhir_version",
    ),
    "status of STU3": ({"resourceType": "Condition", "clinicalStatus": "active"}, "fhir_version"),
    "context of STU3": (
        {"resourceType": "Observation", "context": {"reference": "Encounter/1"}},
        "fhir_version",
    ),
    "profile of a national guide for STU3": (
        {
            "resourceType": "Patient",
            "meta": {"profile": ["https://fhir.example.org.uk/STU3/StructureDefinition/P-1"]},
        },
        "fhir_version",
    ),
    "core profile of STU3": (
        {
            "resourceType": "Patient",
            "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/Patient|3.0.1"]},
        },
        "fhir_version",
    ),
    "version of DSTU2": (
        {"resourceType": "StructureDefinition", "fhirVersion": "1.0.2"},
        "fhir_version",
    ),
    "not given in STU3": ({"resourceType": "Immunization", "notGiven": False}, "fhir_version"),
    "comment of STU3": ({"resourceType": "Observation", "comment": "x"}, "fhir_version"),
    "verification of STU3": (
        {"resourceType": "AllergyIntolerance", "verificationStatus": "confirmed"},
        "fhir_version",
    ),
    "taken of STU3": ({"resourceType": "MedicationStatement", "taken": "y"}, "fhir_version"),
    "patient of DSTU2": (
        {"resourceType": "MedicationAdministration", "patient": {"reference": "Patient/1"}},
        "fhir_version",
    ),
    "admission of R5": ({"resourceType": "Encounter", "admission": {}}, "fhir_version"),
    "actor of R5": (
        {"resourceType": "Encounter", "participant": [{"actor": {"reference": "P/1"}}]},
        "fhir_version",
    ),
    "class of DSTU2": ({"resourceType": "Encounter", "class": "ambulatory"}, "fhir_version"),
    "class of R5": ({"resourceType": "Encounter", "class": [{}]}, "fhir_version"),
    "medication of R5": (
        {"resourceType": "MedicationRequest", "medication": {"concept": {}}},
        "fhir_version",
    ),
}


def test_no_element_of_r4_is_taken_for_one_of_another_version() -> None:
    for shape in shapes.HEADS.values():
        for field in msgspec.structs.fields(shape):
            known = definitions.element(shape.__name__, field.encode_name.removesuffix("_"))
            choice = definitions.typed_choice(shape.__name__, field.encode_name)
            if field.type is type(None):
                assert known is None or known.is_choice, (shape.__name__, field.name)
                assert choice is None, (shape.__name__, field.name)


@pytest.mark.parametrize("case", WRONG)
def test_a_resource_of_another_shape_costs_only_itself(reader: Reader, case: str) -> None:
    body, reason = WRONG[case]
    wrong = {"resource": body | {"id": "wrong"}}
    assert read(reader, bundle(wrong, GOOD)).refused == [("entry[0]", reason)]
    lines = json.dumps(body | {"id": "x"}) + "\n" + json.dumps(GOOD["resource"])
    outcome = read(reader, lines.encode(), "x.ndjson")
    assert outcome.refused == [("line 1", reason)]
    assert outcome.ids == ["Patient/good"]


@pytest.mark.parametrize(
    "written",
    [
        "2020",
        "2020-02",
        "2020-02-29",
        "2000-02-29T23:59:59.123456789+14:00",
        "2020-01-01T10:00",
        "2020-01-01T10:00:00",
    ],
)
def test_dates_that_are_partial_or_lack_an_offset_are_taken(reader: Reader, written: str) -> None:
    body = {"resourceType": "Condition", "id": "c1", "onsetDateTime": written}
    assert read(reader, json.dumps(body).encode()).ids == ["Condition/c1"]


def test_null_elements_are_taken_as_absent(reader: Reader) -> None:
    body = {
        "resourceType": "Observation",
        "id": "o1",
        "subject": None,
        "component": None,
        "meta": None,
        "effectiveDateTime": None,
        "context": None,
    }
    assert read(reader, bundle({"resource": body, "request": None})).ids == ["Observation/o1"]


def test_entries_that_are_no_list_are_named(reader: Reader) -> None:
    data = b'{"resourceType":"Bundle","entry":{"resource":{"resourceType":"Patient","id":"p1"}}}'
    assert read(reader, data).refused == [("entry", "wrong_shape")]


def test_a_bundle_without_entries_has_no_records(reader: Reader) -> None:
    for data in (b'{"resourceType":"Bundle"}', bundle(), b'{"resourceType":"Bundle","entry":null}'):
        outcome = read(reader, data)
        assert outcome.files["file.json"].arrived == 0
        assert outcome.rejected == []


@pytest.mark.parametrize("block", [16, 100_000])
def test_a_truncated_bundle_gives_its_whole_entries(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", block)
    monkeypatch.setattr(source, "SMALL_FILE_BYTES", 0)
    entries = [{"resource": {"resourceType": "Patient", "id": f"p{n}"}} for n in range(5)]
    data = bundle(*entries)
    starts = [data.index(f'"p{n}"'.encode()) for n in range(5)]
    for cut in range(starts[0], len(data) - 1):
        outcome = read(reader, data[:cut])
        complete = sum(start + len('"p0"}}') <= cut for start in starts)
        assert outcome.ids == [f"Patient/p{n}" for n in range(complete)]
        [(place, reason)] = outcome.refused
        assert reason == "truncated"
        assert place is not None
        assert place.startswith(("entry[", "end of file"))


def test_the_position_of_a_truncation_is_where_its_entry_starts(reader: Reader) -> None:
    data = bundle(GOOD, GOOD)[:-20]
    start = data.rindex(b'{"resource"')
    assert read(reader, data).refused == [(f"entry[1] at byte {start}", "truncated")]


def test_a_truncated_archive_gives_its_whole_lines(reader: Reader) -> None:
    lines = [
        json.dumps({"resourceType": "Patient", "id": f"p{n}", "x": f"{n * 7919:040b}"})
        for n in range(3000)
    ]
    data = "\n".join(lines).encode()
    for packed in (gzip.compress(data, mtime=0), zstandard.compress(data)):
        outcome = read(reader, packed[: len(packed) // 2], "x.ndjson")
        taken = len(outcome.rows)
        assert 0 < taken < 3000
        assert outcome.ids == [f"Patient/p{n}" for n in range(taken)]
        assert {reason for _, reason in outcome.refused} == {"truncated"}


def test_a_damaged_archive_gives_the_lines_before_the_damage(reader: Reader) -> None:
    lines = [
        json.dumps({"resourceType": "Patient", "id": f"p{n}", "x": f"{n * 7919:040b}"})
        for n in range(3000)
    ]
    packed = bytearray(gzip.compress("\n".join(lines).encode(), compresslevel=1))
    packed[len(packed) // 2 : len(packed) // 2 + 50] = b"\xff" * 50
    outcome = read(reader, bytes(packed), "x.ndjson")
    assert {reason for _, reason in outcome.refused} <= {
        "corrupt_archive",
        "truncated",
        "malformed_json",
        "bad_encoding",
    }
    assert outcome.refused


@pytest.mark.parametrize(
    "broken",
    [
        b'{"resource":{"resourceType":"Patient","id":"x","n":01}}',
        b'{"resource":{"resourceType":"Patient","id":"x","n":NaN}}',
        b'{"resource":{"resourceType":"Patient","id":"x","t":"\\q"}}',
        b'{"resource":{"resourceType":"Patient","id":"x","t":"a\nb"}}',
        b'{"resource":{"resourceType":"Patient","id":"x","t":"\\ud800"}}',
        b'{"resource":{"resourceType":"Patient","id":"x",}}',
        b'{"resource":{"resourceType":"Patient" "id":"x"}}',
        b'{"resource":{"resourceType":"Patient","id":"x","deep":'
        + b"[" * 3000
        + b"]" * 3000
        + b"}}",
    ],
    ids=["number", "nan", "escape", "control", "surrogate", "comma", "no comma", "deep"],
)
def test_an_entry_that_is_not_json_costs_only_itself(reader: Reader, broken: bytes) -> None:
    good = json.dumps(GOOD).encode()
    data = (
        b'{"resourceType":"Bundle","type":"batch","entry":['
        + b",".join([good, broken, b"null", good.replace(b"good", b"last")])
        + b"]}"
    )
    outcome = read(reader, data)
    assert outcome.ids == ["Patient/good", "Patient/last"]
    assert [reason for _, reason in outcome.refused] in (
        ["malformed_json", "null_entry"],
        ["truncated", "null_entry"],
    )
    assert [str(place).split(" ")[0] for place, _ in outcome.refused] == ["entry[1]", "entry[2]"]


def test_text_that_is_not_utf8_costs_only_its_resource(reader: Reader) -> None:
    latin = '{"resource":{"resourceType":"Patient","id":"x","name":[{"family":"Müller"}]}}'.encode(
        "latin-1"
    )
    good = (
        '{"resource":{"resourceType":"Patient","id":"good","name":[{"family":"Müller"}]}}'.encode()
    )
    data = b'{"resourceType":"Bundle","entry":[' + b",".join([latin, good]) + b"]}"
    outcome = read(reader, data)
    assert outcome.ids == ["Patient/good"]
    assert outcome.refused == [("entry[0]", "bad_encoding")]
    lines = b"\n".join(entry.removeprefix(b'{"resource":')[:-1] for entry in (latin, good))
    outcome = read(reader, lines, "x.ndjson")
    assert outcome.ids == ["Patient/good"]
    assert outcome.refused == [("line 1", "bad_encoding")]


def test_a_full_url_that_is_not_utf8_costs_only_its_entry(reader: Reader) -> None:
    good = json.dumps(GOOD).encode()
    bad = b'{"fullUrl":"http://x/M\xfcller","resource":{"resourceType":"Patient","id":"x"}}'
    for data in (b",".join([bad, good]), b",".join([bad, good]) + b",{]"):
        outcome = read(reader, b'{"resourceType":"Bundle","entry":[' + data + b"]}")
        assert outcome.ids == ["Patient/good"]
        assert outcome.refused[0][1] == "bad_encoding"


@pytest.mark.parametrize(
    ("text", "taken"),
    [(r"a\u0000b", False), (r"a\\u0000b", True), (r"a\\\u0000b", False), ("plain", True)],
)
def test_a_text_with_the_character_nul_costs_only_its_resource(
    reader: Reader, text: str, taken: bool
) -> None:
    body = f'{{"resourceType":"Patient","id":"x","name":[{{"text":"{text}"}}]}}'
    good = json.dumps(GOOD["resource"])
    expected = [] if taken else ["invalid_value"]
    document = f'{{"resourceType":"Bundle","entry":[{{"resource":{body}}},{{"resource":{good}}}]}}'
    for data, name in ((document, "a.json"), (f"{body}\n{good}", "b.ndjson")):
        outcome = read(reader, data.encode(), name)
        assert [reason for _, reason in outcome.refused] == expected
        assert "Patient/good" in outcome.ids


def test_bundles_in_bundles_end_somewhere(reader: Reader) -> None:
    document: dict[str, Any] = {"resourceType": "Bundle", "entry": [GOOD]}
    for _ in range(12):
        document = {"resourceType": "Bundle", "entry": [GOOD, {"resource": document}]}
    outcome = read(reader, json.dumps(document).encode())
    assert [reason for _, reason in outcome.refused] == ["malformed_json"]
    assert 5 < len(outcome.rows) < 13


def test_a_repeated_resource_is_kept_twice_and_noted(reader: Reader) -> None:
    outcome = read(reader, bundle(GOOD, GOOD, GOOD))
    assert len(outcome.rows) == 3
    [notice] = outcome.rejected
    assert (notice.reason, notice.records, notice.position) == ("duplicate_id", 0, "entry[1]")
    assert "2" in notice.detail


def test_versions_of_a_resource_are_no_repetition(reader: Reader) -> None:
    versions = [
        {"resource": GOOD["resource"] | {"meta": {"versionId": str(number)}}} for number in range(3)
    ]
    assert read(reader, bundle(*versions)).rejected == []
    assert read(reader, bundle(GOOD, GOOD, type="history")).rejected == []


def test_many_rejections_of_one_kind_are_summed_up(reader: Reader) -> None:
    outcome = read(reader, b"\n".join([b"{"] * 5_000), "x.ndjson")
    assert outcome.files["x.ndjson"].quarantined == 5_000
    assert len(outcome.rejected) == 101
    assert outcome.rejected[-1].records == 4_900


def test_a_line_above_the_limit_costs_only_itself(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_RECORD_BYTES", 1_000)
    monkeypatch.setattr(streams, "BLOCK_BYTES", 300)
    monkeypatch.setattr(source, "SMALL_FILE_BYTES", 0)
    good = json.dumps(GOOD["resource"]).encode()
    long = b'{"resourceType":"Patient","id":"long","x":"' + b"x" * 5_000 + b'"}'
    outcome = read(reader, b"\n".join([good, long, good]), "x.ndjson")
    assert [row["source_position"] for row in outcome.rows] == [1, 3]
    assert outcome.refused == [("line 2", "too_large")]


def test_rejections_name_structure_and_no_value(reader: Reader) -> None:
    secret = "Jane-Doe-1980"
    entries = [
        {"resource": body | {"id": "x"} | {"birthDate": secret}} for body, _ in WRONG.values()
    ] + [
        {"resource": {"resourceType": secret}},
        {"resource": {"resourceType": "Patient", secret: 1}},
    ]
    outcome = read(reader, bundle(*entries), "Jane_Doe.json")
    assert outcome.rejected
    for one in outcome.rejected:
        assert "Jane" not in one.detail
        assert "Jane" not in json.dumps(dict(one.sample))
        assert "Jane" not in str(one.position)
