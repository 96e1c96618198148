"""FHIR files of every packing become one row per resource."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from ingestion.sources import streams
from ingestion.sources.fhir import FhirSource, files, rows, source
from ingestion.sources.fhir.versions import OTHER_VERSION_TYPES, R4_TYPES
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
        monkeypatch.setattr(source, "SMALL_FILE_BYTES", 0)
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
    monkeypatch.setattr(files, "WHOLE_DOCUMENT_BYTES", 10)
    for block in (7, 64, 5_000):
        monkeypatch.setattr(streams, "BLOCK_BYTES", block)
        monkeypatch.setattr(source, "SMALL_FILE_BYTES", 0)
        assert read(reader, data).rows == whole.rows


def test_batches_hold_one_type_each_and_stay_small(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ROW_GROUP_BYTES", 20_000)
    monkeypatch.setattr(rows, "HELD_BYTES", 60_000)
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


def test_compressed_files_are_read_however_they_were_put_together(reader: Reader) -> None:
    lines = [json.dumps(resource("Patient", f"p{number}")).encode() + b"\n" for number in range(4)]
    text = b"".join(lines)
    skippable = b"\x5e\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"any"
    cut = len(lines[0]) + 9  # in the middle of a line
    compress = zstandard.compress
    packed = {
        "gzip in gzip": gzip.compress(gzip.compress(text)),
        "zlib": zlib.compress(text),
        "zlib streams": zlib.compress(text[:cut]) + zlib.compress(text[cut:]),
        "gzip in zstd": compress(gzip.compress(text)),
        "skippable first": skippable + compress(text),
        "skippable everywhere": skippable.join(
            [b"", compress(text[:cut]), compress(text[cut:]), b""]
        ),
        "empty frames": compress(b"") + compress(text) + compress(b""),
        "empty members": gzip.compress(b"") + gzip.compress(text) + gzip.compress(b""),
    }
    for name, data in packed.items():
        outcome = read(reader, data, f"{name}.ndjson")
        assert outcome.ids == [f"Patient/p{number}" for number in range(4)], name
        cut_off = read(reader, data[:-12], f"cut {name}.ndjson")
        assert cut_off.refused, name
        assert {reason for _, reason in cut_off.refused} <= {"truncated", "corrupt_archive"}, name


def test_a_deletion_counts_in_every_form(reader: Reader) -> None:
    deleted: dict[str, Any] = {"request": {"method": "DELETE", "url": "Patient/p1"}}
    forms: dict[str, tuple[dict[str, Any], str | None, str | None]] = {
        "bare": (deleted, None, None),
        "with base": (
            {"request": {"method": "delete", "url": "https://a.org/r4/Patient/p1"}},
            None,
            None,
        ),
        "with version": (
            {"request": {"method": "DELETE", "url": "Patient/p1/_history/3"}},
            "3",
            None,
        ),
        "full url": (
            {"fullUrl": "https://a.org/Patient/p1", "request": {"method": "DELETE"}},
            None,
            None,
        ),
        "type as url": (
            {
                "fullUrl": "https://a.org/Patient/p1",
                "request": {"method": "DELETE", "url": "Patient"},
            },
            None,
            None,
        ),
        "location": (
            deleted | {"response": {"location": "https://a.org/Patient/p1/_history/4"}},
            "4",
            None,
        ),
        "etag": (
            deleted | {"response": {"etag": 'W/"abc"', "lastModified": "2024-01-01"}},
            "abc",
            "2024-01-01",
        ),
        "status": (
            {"fullUrl": "https://a.org/Patient/p1", "response": {"status": "410 Gone"}},
            None,
            None,
        ),
    }
    for name, (entry, version, updated) in forms.items():
        [row] = read(reader, bundle(entry, type_="history"), f"{name}.json").rows
        found = (row["resource_type"], row["resource_id"], row["version_id"], row["last_updated"])
        assert found == ("Patient", "p1", version, updated), name
        assert row["request_method"] == "DELETE"
        assert row["resource"] is None


def _in_sequence(rows: list[dict[str, Any]]) -> list[str]:
    return [row["resource_id"] for row in sorted(rows, key=lambda row: row["sequence"])]


@pytest.mark.parametrize("streamed", [False, True])
def test_the_sequence_is_that_of_the_bundles_kind(
    reader: Reader, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if streamed:
        monkeypatch.setattr(files, "WHOLE_DOCUMENT_BYTES", 10)
    entries = [
        {"resource": resource("Basic", "put"), "request": {"method": "PUT", "url": "Basic/put"}},
        {"resource": resource("Basic", "post"), "request": {"method": "POST", "url": "Basic"}},
        {"request": {"method": "DELETE", "url": "Basic/delete"}},
    ]
    expected = {
        "transaction": ["delete", "post", "put"],
        "batch": ["delete", "post", "put"],
        "history": ["delete", "post", "put"],
        "collection": ["put", "post", "delete"],
    }
    for type_, ids in expected.items():
        assert (
            _in_sequence(read(reader, bundle(*entries, type_=type_), f"{type_}.json").rows) == ids
        )
    lines = b"\n".join(bundle(*reversed(entries), type_="history") for _ in range(2))
    rows = read(reader, lines, "x.ndjson").rows
    assert _in_sequence(rows) == ["put", "post", "delete"] * 2


def test_what_a_condition_names_has_one_id_in_every_entry_file_and_drop(reader: Reader) -> None:
    def day(number: int, given: dict[str, str]) -> bytes:
        patient, encounter = f"urn:uuid:{number}a", f"urn:uuid:{number}b"
        return bundle(
            {
                "fullUrl": encounter,
                "resource": resource("Encounter", None, subject={"reference": patient}),
                "request": {"method": "POST", "url": "Encounter", "ifNoneExist": "identifier=v|1"},
            },
            {
                "fullUrl": patient,
                "resource": {"resourceType": "Patient", "gender": "female"} | given,
                "request": {"method": "PUT", "url": "https://a.org/Patient?identifier=m%7C7"},
            },
            {"resource": resource("Basic", "b", subject={"reference": "Patient/mine"})},
        )

    first = read(reader, day(1, {}), "1.json").rows
    second = read(reader, day(2, {"id": "mine"}), "2.json").rows
    assert [row["resource_id"] for row in first] == [row["resource_id"] for row in second]
    assert [row["condition"] for row in first] == [
        "Encounter?identifier=v|1",
        "Patient?identifier=m|7",
        None,
    ]
    for found in (first, second):
        bodies = [json.loads(row["resource"]) for row in found]
        assert bodies[0]["subject"] == {"reference": f"Patient/{found[1]['resource_id']}"}
        assert [body["id"] for body in bodies] == [row["resource_id"] for row in found]
    assert json.loads(second[2]["resource"])["subject"] == {
        "reference": f"Patient/{second[1]['resource_id']}"
    }


def test_rows_list_the_conditions_that_their_references_name(reader: Reader) -> None:
    rows = read(
        reader,
        bundle(
            {
                "fullUrl": "urn:uuid:p",
                "resource": resource("Patient", None),
                "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=m|1"},
            },
            {
                "resource": resource(
                    "Encounter",
                    "e",
                    subject={"reference": "urn:uuid:p"},
                    serviceProvider={"reference": "Organization?identifier=o|2"},
                )
            },
            {"resource": resource("Basic", "b", subject={"reference": "Patient/other"})},
        ),
        "a.json",
    ).rows
    assert [row["conditional_references"] for row in rows] == [
        None,
        ["Organization?identifier=o|2", "Patient?identifier=m|1"],
        None,
    ]


def test_a_deletion_by_identifier_is_one_of_what_that_condition_names(reader: Reader) -> None:
    put = {"method": "PUT", "url": "Patient?identifier=m|1"}
    answer = {"status": "204", "location": "https://a.org/Patient/9/_history/2"}
    rows = read(
        reader,
        bundle(
            {"resource": resource("Patient", None), "request": put},
            {"request": {"method": "DELETE", "url": "https://a.org/Patient?identifier=m%7C1"}},
            {"request": {"method": "DELETE", "url": "Patient?_id=7"}},
            {"request": {"method": "DELETE", "url": "Patient?identifier=m|1"}, "response": answer},
        ),
        "a.json",
    ).rows
    named = rows[0]["resource_id"]
    assert [(row["resource_id"], row["condition"]) for row in rows] == [
        (named, "Patient?identifier=m|1"),
        (named, "Patient?identifier=m|1"),
        ("7", "Patient?_id=7"),
        ("9", None),
    ]


def test_what_a_server_answered_has_the_id_that_it_gave(reader: Reader) -> None:
    entry = {
        "resource": resource("Patient", "12"),
        "request": {"method": "PUT", "url": "Patient?identifier=m|1"},
        "response": {"status": "201", "location": "Patient/12/_history/1"},
    }
    (row,) = read(reader, bundle(entry, type_="history"), "a.json").rows
    assert (row["resource_id"], row["condition"]) == ("12", None)


def test_ids_are_taken_whole_or_not_at_all(reader: Reader) -> None:
    long = "e" + "A1b.-" * 17 + "xY"  # 88 characters, as Epic writes them
    entries = [
        {"resource": resource("Patient", long)},
        {"fullUrl": f"https://a.org/Patient/{long}x", "resource": resource("Patient", None)},
        {"request": {"method": "DELETE", "url": f"https://a.org/Patient/{long}y"}},
        {"resource": resource("Patient", "a" * 256)},
        {"resource": resource("Patient", "a/b")},
        {"request": {"method": "DELETE", "url": "Patient/" + "a" * 256}},
    ]
    outcome = read(reader, bundle(*entries))
    assert [row["resource_id"] for row in outcome.rows] == [long, f"{long}x", f"{long}y"]
    assert [reason for _, reason in outcome.refused] == [
        "unsupported_request",
        "invalid_value",
        "invalid_value",
    ]


def test_parts_of_resources_are_marked(reader: Reader) -> None:
    tag = {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED",
    }
    other = {"system": "http://example.org/tags", "code": "SUBSETTED"}
    entries = [
        {"resource": resource("Patient", "part", meta={"tag": [other, tag]})},
        {"resource": resource("Patient", "whole", meta={"tag": [other]})},
    ]
    assert [row["is_subset"] for row in read(reader, bundle(*entries), "a.json").rows] == [
        True,
        False,
    ]
    for query, partial in (
        ("_elements=id", True),
        ("_summary=true", True),
        ("_summary=false", False),
    ):
        link = [{"relation": "self", "url": f"https://a.org/Patient?active=true&{query}"}]
        data = bundle({"resource": resource("Patient", "p")}, type_="searchset", link=link)
        assert read(reader, data, f"{query}.json").rows[0]["is_subset"] is partial


def test_a_resource_with_a_doubled_key_costs_only_itself(reader: Reader) -> None:
    good = json.dumps(resource("Patient", "good", name=[{"family": "a"}, {"family": "b"}]))
    doubled = [
        '{"resourceType":"Patient","id":"a","gender":"male","id":"b"}',
        '{"resourceType":"Patient","id":"c","name":[{"family":"x"},{"family":"y","family":"z"}]}',
        r'{"resourceType":"Patient","id":"d","gender":"male","g\u0065nder":"female"}',
    ]
    outcome = read(reader, "\n".join([good, *doubled, good]).encode(), "x.ndjson")
    assert outcome.ids == ["Patient/good", "Patient/good"]
    assert outcome.refused == [
        ("record 2", "doubled_key"),
        ("record 3", "doubled_key"),
        ("record 4", "doubled_key"),
    ]


def test_a_resource_nested_to_the_limit_of_what_can_be_read_costs_only_itself(
    reader: Reader,
) -> None:
    good = json.dumps(resource("Patient", "good"))
    for depth in range(900, 1_000):
        deep = (
            '{"resourceType":"Basic","id":"deep","x":' + '{"a":' * depth + "1" + "}" * (depth + 1)
        )
        outcome = read(reader, f"{good}\n{deep}\n{good}".encode(), "x.ndjson")
        assert outcome.files["x.ndjson"].quarantined == 3 - len(outcome.ids)
        assert outcome.ids.count("Patient/good") == 2


def test_one_doubled_key_is_found_wherever_it_is_in_a_large_input(reader: Reader) -> None:
    filler = "x" * 40_000
    lines = [json.dumps(resource("Basic", f"b{n}", note=filler, x=[{"y": n}])) for n in range(600)]
    lines[411] = lines[411].replace('{"y": 411}', '{"y": 1, "z": {"y": 2}, "y": 1}')
    outcome = read(reader, "\n".join(lines).encode(), "x.ndjson")
    assert outcome.refused == [("record 412", "doubled_key")]
    assert len(outcome.rows) == 599
    assert "Basic/b411" not in outcome.ids


def test_references_are_written_so_that_they_mean_the_same_anywhere(reader: Reader) -> None:
    outcome = read(
        reader,
        bundle(
            {
                "fullUrl": "https://a.org/fhir/Patient/17",
                "resource": resource("Patient", "seventeen"),
            },
            {"fullUrl": "urn:oid:1.2.3", "resource": resource("Encounter", "e")},
            {
                "fullUrl": "https://a.org/fhir/Observation/1",
                "resource": resource(
                    "Observation",
                    "1",
                    subject={
                        "reference": "https:\\/\\/a.org\\/fhir\\/Patient\\/17/_history/2".replace(
                            "\\", ""
                        )
                    },
                    encounter={"reference": "urn:oid:1.2.3"},
                    performer=[
                        {"reference": "Patient/17"},
                        {"reference": "https://b.org/Patient/17"},
                    ],
                ),
            },
            {
                "resource": resource(
                    "AllergyIntolerance",
                    "2",
                    patient={"identifier": {"system": "urn:mrn", "value": "A 7"}, "display": "x"},
                )
            },
        ),
    )
    bodies = {row["resource_id"]: json.loads(row["resource"]) for row in outcome.rows}
    assert bodies["1"]["subject"]["reference"] == "Patient/seventeen"
    assert bodies["1"]["encounter"]["reference"] == "Encounter/e"
    assert [one["reference"] for one in bodies["1"]["performer"]] == [
        "Patient/seventeen",
        "https://b.org/Patient/17",
    ]
    assert bodies["2"]["patient"]["reference"] == "Patient?identifier=urn:mrn|A%207"
    [row] = [row for row in outcome.rows if row["resource_id"] == "2"]
    assert row["conditional_references"] == ["Patient?identifier=urn:mrn|A 7"]
