"""The drop with broken files: every file has one fault, and good resources beside it where the
format allows.

Two rules keep the expected numbers independent of how tolerant a reader is. Good resources beside a
fault that leaves the rest of the file readable are new. Wherever a reader may reasonably take more
or less (the part of a bundle before it was cut, a resource with one impossible value), the
resources are ones that cohort B has already sent, so taking or leaving them changes no count.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydicom import dcmread

from making.fhir import (
    LOINC,
    OBSERVATION_CATEGORY,
    Resource,
    concept,
    made_id,
    name_of,
    quantity,
    reference,
)
from making.packing import SERVER, batch, compressed, to_json, to_ndjson, transaction
from making.population import Record

SENT_AT = "2026-02-12T09:00:00-07:00"
EARLIER = "2026-01-22T05:00:00-07:00"
"""Before the first drop of cohort B: a faulty repetition must not win against what is there."""


@dataclass(frozen=True)
class BrokenFile:
    """One file and what is to be expected of it."""

    name: str
    content: bytes
    problem: str
    good: tuple[str, ...] = ()
    """`Type/id` of new resources that must be taken whatever else is wrong"""
    faulty: int = 0
    """entries, lines or resources at fault (the file itself counts as one)"""
    recoverable: tuple[str, ...] = ()
    """`Type/id` of re-sent resources that a reader may take or leave"""

    def expectation(self) -> dict[str, Any]:
        return {
            "file": self.name,
            "problem": self.problem,
            "good": len(self.good),
            "good_ids": list(self.good),
            "faulty": self.faulty,
            "recoverable": len(self.recoverable),
        }


@dataclass
class _Workshop:
    """Makes new good observations, and hands out resources that were already sent."""

    record: Record
    count: int = 0
    sent: Iterator[Resource] = field(init=False)

    def __post_init__(self) -> None:
        plain = [r for r in self.record.of_type("Observation") if "valueQuantity" in r]
        self.sent = iter(plain)

    def good(self, **changed: Any) -> Resource:
        self.count += 1
        encounter = self.record.note_encounters[-1]
        return {
            "resourceType": "Observation",
            "id": made_id("broken", self.count),
            "meta": {"versionId": "1", "lastUpdated": SENT_AT},
            "status": "final",
            "category": [concept(OBSERVATION_CATEGORY, "vital-signs", "Vital Signs")],
            "code": concept(LOINC, "8867-4", "Heart rate"),
            "subject": reference(self.record.patient),
            "encounter": reference(encounter),
            "effectiveDateTime": encounter["period"]["start"],
            "valueQuantity": quantity(60 + self.count, "/min"),
            **changed,
        }

    def resent(self, **changed: Any) -> Resource:
        held = copy.deepcopy(next(self.sent))
        if changed:
            held["meta"]["lastUpdated"] = EARLIER
        return held | changed


def break_things(record: Record, dicom_file: bytes) -> list[BrokenFile]:
    """All broken files; `record` lends its patient, `dicom_file` is cut short."""
    shop = _Workshop(record)
    return [
        *_unreadable_files(shop, dicom_file),
        *_odd_lines(shop),
        *_odd_entries(shop),
        *_odd_values(shop),
        *_other_formats(record),
        _all_good(shop),
    ]


def _names(*resources: Resource) -> tuple[str, ...]:
    return tuple(name_of(r) for r in resources)


def _unreadable_files(shop: _Workshop, dicom_file: bytes) -> list[BrokenFile]:
    cut = [shop.resent() for _ in range(4)]
    whole = to_json(transaction(cut))
    before_last = whole.index(cut[-1]["id"].encode())

    latin = [shop.resent() for _ in range(3)]
    spelled = copy.deepcopy(latin)
    spelled[1]["note"] = [{"text": "Température contrôlée"}]
    latin_bytes = to_json(transaction(spelled)).decode().encode("latin-1")

    zipped = [shop.resent() for _ in range(6)]
    packed = compressed(to_ndjson(zipped), ".gz")

    listed = [shop.resent() for _ in range(2)]
    return [
        BrokenFile("truncated-bundle.json", whole[: before_last + 200],
                   "bundle cut off inside its last entry", faulty=1,
                   recoverable=_names(*cut[:3])),
        BrokenFile("empty.json", b"", "file of zero bytes", faulty=1),
        BrokenFile("latin1-bundle.json", latin_bytes,
                   "bundle encoded in Latin-1, not UTF-8", faulty=1,
                   recoverable=_names(*latin)),
        BrokenFile("truncated-stream.ndjson.gz", packed[: len(packed) * 2 // 3],
                   "compressed stream cut off", faulty=1, recoverable=_names(*zipped)),
        BrokenFile("root-is-a-list.json", to_json(listed),
                   "root of the file is a list of resources", faulty=1,
                   recoverable=_names(*listed)),
        BrokenFile("truncated.dcm", dicom_file[: _end_of_meta(dicom_file) + 30],
                   "DICOM file cut off inside its header", faulty=1),
        BrokenFile("not-dicom.dcm", b"This is a text file under a DICOM name.\n" * 8,
                   "plain text under a DICOM name", faulty=1),
    ]  # fmt: skip


def _end_of_meta(dicom_file: bytes) -> int:
    meta = dcmread(io.BytesIO(dicom_file), stop_before_pixels=True).file_meta
    return 128 + 4 + 12 + int(meta.FileMetaInformationGroupLength)


def _odd_lines(shop: _Workshop) -> list[BrokenFile]:
    a, b, c, d, e, f = (shop.good() for _ in range(6))
    spelled = shop.resent(note=[{"text": "contrôlée"}])
    latin = to_json(spelled).decode().encode("latin-1")
    odd_number = shop.resent()
    not_json = to_json(odd_number).replace(b'"value":', b'"value":NaN,"was":', 1)
    return [
        BrokenFile("latin1-line.ndjson", to_ndjson([a]) + latin + to_ndjson([b]),
                   "line 2 is encoded in Latin-1", _names(a, b), 1, _names(spelled)),
        BrokenFile("odd-lines.ndjson",
                   to_ndjson([c]) + not_json + b"\n" + to_ndjson([d]) + b"null\n" + to_ndjson([e]),
                   "line 2 holds the number NaN, line 3 is blank (no fault), line 5 is null",
                   _names(c, d, e), 2, _names(odd_number)),
        BrokenFile("truncated-last-line.ndjson",
                   to_ndjson([f]) + to_json(shop.resent())[:150],
                   "line 2 is cut off", _names(f), 1),
    ]  # fmt: skip


def _odd_entries(shop: _Workshop) -> list[BrokenFile]:
    with_null = transaction([shop.good(), shop.good()])
    null_good = [e["resource"] for e in with_null["entry"]]
    with_null["entry"].insert(1, None)

    hollow = transaction([shop.good(), shop.good()])
    hollow_good = [e["resource"] for e in hollow["entry"]]
    hollow["entry"][1:1] = [
        {"fullUrl": f"urn:uuid:{made_id('broken', 'hollow')}"},
        {"resource": {"id": made_id("broken", "typeless"), "status": "final"}},
        {"resource": "Observation"},
    ]

    nameless = [shop.good() for _ in range(4)]
    unnamed = transaction(nameless)
    absolute = {"fullUrl": f"{SERVER}/{name_of(nameless[2])}"}
    unnamed["entry"][1]["resource"].pop("id")
    unnamed["entry"][2]["resource"].pop("id")
    unnamed["entry"][2] |= absolute
    unnamed["entry"][3]["resource"].pop("id")
    unnamed["entry"][3].pop("fullUrl")

    twice, other = shop.good(), shop.good()
    newer = copy.deepcopy(twice)
    newer["meta"]["versionId"] = "2"
    newer["valueQuantity"]["value"] = 71
    return [
        BrokenFile("null-entry.json", to_json(with_null), "entry 2 of 3 is null",
                   _names(*null_good), 1),
        BrokenFile("entries-without-resource.json", to_json(hollow),
                   "entry 2 has no resource, entry 3 one without resourceType, "
                   "entry 4 a string", _names(*hollow_good), 3),
        BrokenFile("no-id.json", to_json(unnamed),
                   "entries 2 and 3 have no id but a fullUrl that names them, entry 4 has neither",
                   _names(*nameless[:3]), 1),
        BrokenFile("duplicate-ids.json", to_json(batch([twice, newer, other, other])),
                   "one id in two versions (version 2 counts), another twice the same",
                   _names(newer, other)),
    ]  # fmt: skip


def _odd_values(shop: _Workshop) -> list[BrokenFile]:
    good = [shop.good() for _ in range(3)]
    shapes = [
        shop.resent(category=concept(OBSERVATION_CATEGORY, "vital-signs", "Vital Signs")),
        shop.resent(code=[concept(LOINC, "8867-4", "Heart rate")]),
        shop.resent(component="none"),
    ]
    numbers = [
        shop.resent(valueQuantity=quantity(0, "/min") | {"value": "seventy"}),
        shop.resent(valueQuantity=quantity(0, "/min") | {"value": True}),
    ]
    dates = [
        shop.resent(effectiveDateTime="2026-13-45"),
        shop.resent(effectiveDateTime="yesterday"),
    ]
    return [
        BrokenFile("object-where-a-list-belongs.json", to_json(batch([*shapes, good[0]])),
                   "category is an object, code a list, component a string",
                   _names(good[0]), 3, _names(*shapes)),
        BrokenFile("number-that-is-none.json", to_json(batch([*numbers, good[1]])),
                   "quantities with the values 'seventy' and true", _names(good[1]), 2,
                   _names(*numbers)),
        BrokenFile("date-that-is-none.json", to_json(batch([*dates, good[2]])),
                   "dates 2026-13-45 and 'yesterday'", _names(good[2]), 2, _names(*dates)),
    ]  # fmt: skip


def _other_formats(record: Record) -> list[BrokenFile]:
    patient = record.patient
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Patient xmlns="http://hl7.org/fhir">\n'
        f'  <id value="{patient["id"]}"/>\n  <gender value="{patient["gender"]}"/>\n</Patient>\n'
    ).encode()
    who = reference(patient)
    dstu2 = [
        {"resourceType": "Conformance", "id": "dstu2-server", "status": "active",
         "fhirVersion": "1.0.2", "kind": "instance", "date": "2015-10-24"},
        {"resourceType": "Condition", "id": "dstu2-condition", "patient": who,
         "code": {"text": "Asthma"}, "dateRecorded": "2015-03-01",
         "verificationStatus": "confirmed", "clinicalStatus": "active"},
        {"resourceType": "MedicationOrder", "id": "dstu2-order", "patient": who,
         "dateWritten": "2015-03-01", "status": "active",
         "medicationCodeableConcept": {"text": "Salbutamol inhaler"}},
        {"resourceType": "Encounter", "id": "dstu2-encounter", "patient": who,
         "status": "finished", "class": "outpatient"},
    ]  # fmt: skip
    profile = "http://hl7.org/fhir/3.0/StructureDefinition/"
    stu3 = [
        {"resourceType": "ProcedureRequest", "id": "stu3-request", "subject": who,
         "meta": {"profile": [profile + "ProcedureRequest"]},
         "status": "active", "intent": "order", "code": {"text": "Spirometry"}},
        {"resourceType": "Condition", "id": "stu3-condition", "subject": who,
         "meta": {"profile": [profile + "Condition"]}, "clinicalStatus": "active",
         "verificationStatus": "confirmed", "assertedDate": "2017-04-01",
         "code": {"text": "Asthma"}},
    ]  # fmt: skip
    bundle = {
        "resourceType": "Bundle",
        "id": "dstu2-bundle",
        "type": "collection",
        "entry": [{"fullUrl": f"{SERVER}/{name_of(r)}", "resource": r} for r in dstu2],
    }
    return [
        BrokenFile("patient.xml", xml, "resource in XML", faulty=1),
        BrokenFile("xml-inside.json", xml, "XML under a JSON name", faulty=1),
        BrokenFile("dstu2-bundle.json", to_json(bundle),
                   "FHIR DSTU2 (status codes as strings, MedicationOrder, Conformance)",
                   faulty=len(dstu2)),
        BrokenFile("stu3.ndjson", to_ndjson(stu3),
                   "FHIR STU3 (ProcedureRequest, clinicalStatus as a string)", faulty=len(stu3)),
    ]  # fmt: skip


def _all_good(shop: _Workshop) -> BrokenFile:
    good = [shop.good() for _ in range(5)]
    return BrokenFile("all-good.json", to_json(transaction(good)), "nothing", _names(*good))
