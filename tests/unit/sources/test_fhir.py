"""FHIR files of every packing become one row per resource."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from ingestion.sources import fhir, streams
from ingestion.sources.fhir import FhirSource
from ingestion.sources.fhir_shapes import OTHER_VERSION_TYPES, R4_TYPES
from sql_on_fhir import definitions

if TYPE_CHECKING:
    from tests.unit.sources.conftest import Outcome, Reader

SOURCE = FhirSource()


def resource(type_: str, id_: str | None, **more: Any) -> dict[str, Any]:
    return {"resourceType": type_} | ({"id": id_} if id_ else {}) | more


def bundle(*entries: Any, type_: str = "transaction", **more: Any) -> bytes:
    document = {"resourceType": "Bundle", "type": type_, "entry": list(entries)} | more
    return json.dumps(document).encode()


def read(reader: Reader, data: bytes, name: str = "file.json") -> Outcome:
    file_type = "fhir_ndjson" if "ndjson" in name else "fhir_bundle"
    return reader(SOURCE, {name: data}, file_type)


@pytest.mark.parametrize(
    "type_", ["transaction", "batch", "collection", "searchset", "history", "document", "message"]
)
def test_each_entry_of_a_bundle_is_a_row(reader: Reader, type_: str) -> None:
    entries = [{"resource": resource("Patient", "p1")}, {"resource": resource("Basic", "b1")}]
    outcome = read(reader, bundle(*entries, type_=type_))
    assert [(row["source_position"], row["resource_type"]) for row in outcome.rows] == [
        (0, "Patient"),
        (1, "Basic"),
    ]


def test_the_resource_is_kept_byte_for_byte(reader: Reader) -> None:
    text = '{ "resourceType" : "Patient",\n "id":"p1", "x": [1.50, 12345678901234567890.12, "é\\u00e9"] }'
    data = f'{{"resourceType":"Bundle","type":"batch","entry":[{{"resource":{text}}}]}}'
    [row] = read(reader, data.encode()).rows
    assert row["resource"] == text


def test_what_identifies_a_resource_is_read_wherever_it_stands(reader: Reader) -> None:
    data = b"""{"entry": [{"request": {"method": "put", "url": "Patient/p1"}, "resource":
        {"meta": {"lastUpdated": "2026-01-02T03:04:05.678+01:00", "versionId": "7"}, "id": "p1",
         "resourceType": "Patient"}}], "type": "transaction", "resourceType": "Bundle"}"""
    [row] = read(reader, data).rows
    assert row["resource_id"] == "p1"
    assert row["version_id"] == "7"
    assert row["last_updated"] == "2026-01-02T03:04:05.678+01:00"
    assert row["request_method"] == "PUT"


PACKINGS = {
    "plain": lambda data: data,
    "gz": gzip.compress,
    "gz members": lambda data: gzip.compress(data[:200]) + gzip.compress(data[200:]),
    "zst": zstandard.compress,
    "zst after a frame to skip": lambda data: (
        b"\x50\x2a\x4d\x18\x04\x00\x00\x00size" + zstandard.compress(data)
    ),
    "zst frames": lambda data: zstandard.compress(data[:200]) + zstandard.compress(data[200:]),
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("large", [False, True], ids=["read ahead", "streamed"])
def test_ndjson_is_read_from_every_packing(
    reader: Reader, packing: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(fhir, "SMALL_FILE_BYTES", 0)
        monkeypatch.setattr(streams, "BLOCK_BYTES", 100)
    lines = [json.dumps(resource("Patient", f"p{number}")) for number in range(50)]
    data = ("\r\n".join(lines) + "\r\n\r\n").encode()
    outcome = read(reader, PACKINGS[packing](data), "x.ndjson")
    assert outcome.ids == [f"Patient/p{number}" for number in range(50)]
    assert [row["source_position"] for row in outcome.rows] == list(range(1, 51))
    assert {row["request_method"] for row in outcome.rows} == {None}


@pytest.mark.parametrize("packing", [name for name in PACKINGS if " " not in name])
def test_bundles_are_read_from_every_packing(reader: Reader, packing: str) -> None:
    data = bundle({"resource": resource("Patient", "p1")}, type_="collection")
    assert read(reader, PACKINGS[packing](data)).ids == ["Patient/p1"]


def test_a_bare_resource_is_one_row_at_position_0(reader: Reader) -> None:
    outcome = read(reader, b"\n " + json.dumps(resource("Patient", "p1")).encode() + b"\n")
    assert [(row["source_position"], row["resource_id"]) for row in outcome.rows] == [(0, "p1")]


def test_a_resource_with_entries_of_its_own_is_no_bundle(reader: Reader) -> None:
    items = resource("List", "l1", entry=[{"item": {"reference": "Patient/p1"}}])
    assert read(reader, json.dumps(items).encode()).ids == ["List/l1"]


def test_a_bundle_in_a_bundle_or_on_a_line_is_opened(reader: Reader) -> None:
    inner = {"resourceType": "Bundle", "entry": [{"resource": resource("Patient", "p1")}]}
    outer = bundle({"resource": resource("Basic", "b1")}, {"resource": inner})
    outcome = read(reader, outer)
    assert sorted(outcome.ids) == ["Basic/b1", "Patient/p1"]
    lines = json.dumps(inner).encode() + b"\n" + json.dumps(resource("Patient", "p2")).encode()
    rows = read(reader, lines, "y.ndjson").rows
    assert [(row["source_position"], row["resource_id"]) for row in rows] == [(1, "p1"), (2, "p2")]


def test_lines_in_a_file_that_was_taken_for_a_document_are_read(reader: Reader) -> None:
    lines = [json.dumps(resource("Patient", f"p{number}")) for number in range(3)]
    assert len(read(reader, "\n".join(lines).encode()).rows) == 3


def test_a_reference_to_a_full_url_that_is_not_the_id_is_rewritten(reader: Reader) -> None:
    urn = "urn:uuid:0C3151BD-1CBF-4D64-B04D-CD9187A4C6E0"
    forward = resource("Encounter", "e1", subject={"reference": urn.lower()}, note=urn)
    outcome = read(
        reader,
        bundle(
            {"fullUrl": "urn:uuid:e1", "resource": forward},
            {"fullUrl": urn, "resource": resource("Patient", "p1")},
            {"resource": resource("Basic", "b1", subject={"reference": "urn:uuid:else"})},
        ),
    )
    encounter, _, basic = [json.loads(row["resource"]) for row in outcome.rows]
    assert encounter["subject"] == {"reference": "Patient/p1"}
    assert encounter["note"] == urn  # a text is no reference
    assert basic["subject"] == {"reference": "urn:uuid:else"}


def test_a_reference_to_a_full_url_that_is_the_id_stays(reader: Reader) -> None:
    body = resource("Encounter", "e1", subject={"reference": "urn:uuid:p1"})
    outcome = read(
        reader,
        bundle(
            {"fullUrl": "urn:uuid:p1", "resource": resource("Patient", "p1")},
            {"fullUrl": "urn:uuid:e1", "resource": body},
        ),
    )
    assert json.loads(outcome.rows[1]["resource"]) == body


def test_an_attachment_names_a_binary_of_its_bundle_by_its_full_url(reader: Reader) -> None:
    attachment = {"contentType": "text/plain", "url": "urn:uuid:f"}
    outcome = read(
        reader,
        bundle(
            {"resource": resource("DocumentReference", "d", content=[{"attachment": attachment}])},
            {
                "fullUrl": "urn:uuid:f",
                "resource": resource("Binary", "b", contentType="text/plain"),
            },
        ),
    )
    document = json.loads(outcome.rows[0]["resource"])
    assert document["content"][0]["attachment"]["url"] == "Binary/b"


@pytest.mark.parametrize(
    ("full_url", "id_"),
    [
        ("urn:uuid:abc", "abc"),
        ("http://server.org/fhir/Patient/abc", "abc"),
        ("https://server.org/fhir/Patient/abc/_history/2", "abc"),
    ],
)
def test_a_resource_without_id_takes_it_from_its_full_url(
    reader: Reader, full_url: str, id_: str
) -> None:
    entry = {"fullUrl": full_url, "resource": resource("Patient", None, active=True)}
    [row] = read(reader, bundle(entry)).rows
    assert row["resource_id"] == id_
    assert json.loads(row["resource"]) == {"resourceType": "Patient", "id": id_, "active": True}


def test_a_delete_is_a_row_without_resource(reader: Reader) -> None:
    outcome = read(
        reader,
        bundle(
            {"request": {"method": "DELETE", "url": "Patient/p1"}},
            {"request": {"method": "DELETE", "url": "http://server/fhir/Encounter/e1"}},
            {
                "fullUrl": "http://server/fhir/Basic/b1",
                "request": {"method": "DELETE", "url": "Basic/b1"},
                "response": {"etag": 'W/"3"', "lastModified": "2026-01-01T00:00:00Z"},
            },
            type_="history",
        ),
    )
    assert outcome.ids == ["Patient/p1", "Encounter/e1", "Basic/b1"]
    assert {(row["request_method"], row["resource"]) for row in outcome.rows} == {("DELETE", None)}
    assert [row["version_id"] for row in outcome.rows] == [None, None, "3"]
    assert outcome.rows[2]["last_updated"] == "2026-01-01T00:00:00Z"


def test_conditional_references_are_listed_decoded(reader: Reader) -> None:
    body = resource(
        "Encounter",
        "e1",
        text={"div": "who? what? Patient?x=1"},
        participant=[
            {"individual": {"reference": "Practitioner?identifier=http://x|99"}},
            {"individual": {"reference": "Practitioner?identifier=http%3A%2F%2Fx%7C98"}},
            {"individual": {"reference": "Practitioner?identifier=http://x|99"}},
        ],
        subject={"reference": "Patient/p1"},
        url="Patient?identifier=no-reference",
    )
    for indent in (None, 2):
        data = json.dumps({"resourceType": "Bundle", "entry": [{"resource": body}]}, indent=indent)
        [row] = read(reader, data.encode(), f"{indent}.json").rows
        assert row["conditional_references"] == [
            "Practitioner?identifier=http://x|99",
            "Practitioner?identifier=http://x|98",
        ]
    [plain] = read(reader, bundle({"resource": resource("Patient", "p1")}), "p.json").rows
    assert plain["conditional_references"] is None


def test_a_large_bundle_is_read_entry_by_entry_with_the_same_result(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [
        {
            "fullUrl": f"urn:uuid:u{number}",
            "resource": resource(
                "Basic",
                f"b{number}",
                text='a "quoted\\" } ] text',
                nested=[[{"a": [1]}]],
                subject={"reference": f"urn:uuid:u{(number + 1) % 40}"},
            ),
        }
        for number in range(40)
    ]
    data = bundle(*entries, {"request": {"method": "DELETE", "url": "Patient/p1"}})
    whole = read(reader, data)
    monkeypatch.setattr(fhir, "WHOLE_DOCUMENT_BYTES", 10)
    for block in (7, 64, 5_000):
        monkeypatch.setattr(streams, "BLOCK_BYTES", block)
        monkeypatch.setattr(fhir, "SMALL_FILE_BYTES", 0)
        assert read(reader, data).rows == whole.rows


def test_batches_hold_one_type_each_and_stay_small(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fhir, "ROW_GROUP_BYTES", 20_000)
    monkeypatch.setattr(fhir, "HELD_BYTES", 60_000)
    types = ("Patient", "Encounter", "Observation")
    lines = [
        json.dumps(resource(types[number % 3], f"r{number}", pad="x" * 500))
        for number in range(600)
    ]
    outcome = read(reader, "\n".join(lines).encode(), "x.ndjson")
    sizes = [batch.nbytes for batch in outcome.batches]
    assert len(outcome.rows) == 600
    assert len(sizes) > 10
    assert max(sizes) < 60_000
    for batch in outcome.batches:
        assert len(set(batch.column("resource_type").to_pylist())) == 1


def test_the_list_of_resource_types_is_that_of_the_specification() -> None:
    abstract = {"Resource", "DomainResource"}
    specified = {name for name in R4_TYPES if definitions.is_resource(name)}
    assert len(specified) == 146
    assert not OTHER_VERSION_TYPES & R4_TYPES
    assert not {name for name in OTHER_VERSION_TYPES if definitions.is_resource(name)}
    assert not specified & abstract
