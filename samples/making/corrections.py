"""The later drop of cohort A: new versions, deletions, and resources sent again unchanged."""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass, field
from typing import Any

from making.clinical import blood_pressures, note_texts
from making.fhir import Resource, encounter_of, first_code, name_of, references_in
from making.population import Record

SENT_AT = "2026-02-10T07:30:00-05:00"
STALE_AT = "2026-01-18T06:00:00-05:00"


@dataclass
class Corrections:
    """What the drop holds. `what` says in words what each update changes."""

    updates: list[Resource] = field(default_factory=list)
    what: dict[str, str] = field(default_factory=dict)
    stale: list[Resource] = field(default_factory=list)
    """older versions that arrive late; they must lose against what is there"""
    deleted: list[str] = field(default_factory=list)
    resent: list[Resource] = field(default_factory=list)
    """sent again as NDJSON, with references written another way"""
    resent_whole: Record | None = None
    """the patient whose file comes again, byte for byte"""

    def update(self, resource: Resource, what: str, **changed: Any) -> Resource:
        new = copy.deepcopy(resource) | changed
        version = str(int(resource["meta"]["versionId"]) + 1)
        new["meta"] = {**resource["meta"], "versionId": version, "lastUpdated": SENT_AT}
        self.updates.append(new)
        self.what[name_of(new)] = what
        return new


def correct(records: list[Record]) -> Corrections:
    """Corrections to the first drop. The second version of two of its resources is set here too:
    their first version arrives late, in this drop."""
    drop = Corrections()
    measured = [r for r in records if blood_pressures(r)]
    treated = next(r for r in records if r not in measured[:3] and _active_medications(r))
    rest = [r for r in records if r not in (*measured[:3], treated)]
    _correct_patient(drop, measured[0])
    _correct_course(drop, treated)
    _amend_note(drop, rest[0])

    for record in measured[1:3]:
        panel = blood_pressures(record)[-1]
        old = copy.deepcopy(panel)
        old["meta"] |= {"versionId": "1", "lastUpdated": STALE_AT}
        old["component"][0]["valueQuantity"]["value"] += 40
        panel["meta"]["versionId"] = "2"
        drop.stale.append(old)

    untouched = sorted(rest[1:], key=lambda r: len(r.of_type("Observation")))
    drop.deleted = _deletions(untouched[-1])
    drop.resent = [copy.deepcopy(r) for r in untouched[-2].everything()[:60]]
    drop.resent_whole = untouched[0]
    return drop


def _correct_patient(drop: Corrections, record: Record) -> None:
    address = [record.patient["address"][0] | {"city": "Dunmoor", "line": ["7 Orchard Road"]}]
    drop.update(record.patient, "moved to another town", address=address)

    panel = drop.update(blood_pressures(record)[-1], "systolic pressure was mistyped")
    panel["status"] = "corrected"
    panel["component"][0]["valueQuantity"]["value"] = 118.0

    weights = [r for r in record.of_type("Observation") if first_code(r) == "29463-7"]
    weight = drop.update(weights[-1], "weight was entered in pounds", status="corrected")
    weight["valueQuantity"]["value"] = round(weight["valueQuantity"]["value"] * 0.4536, 1)


def _correct_course(drop: Corrections, record: Record) -> None:
    condition = next(
        c
        for c in reversed(record.of_type("Condition"))
        if c["clinicalStatus"]["coding"][0]["code"] == "active"
    )
    resolved = drop.update(
        condition, "resolved since the first drop", abatementDateTime="2026-02-03T10:15:00-05:00"
    )
    resolved["clinicalStatus"]["coding"][0]["code"] = "resolved"

    request = _active_medications(record)[-1]
    drop.update(
        request,
        "stopped since the first drop",
        status="stopped",
        statusReason={"text": "Side effects"},
    )
    encounter = record.note_encounters[-1]
    emergency = {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
        "code": "EMER",
        "display": "emergency",
    }
    drop.update(encounter, "class was ambulatory by mistake", **{"class": emergency})


def _active_medications(record: Record) -> list[Resource]:
    return [m for m in record.of_type("MedicationRequest") if m["status"] == "active"]


def _amend_note(drop: Corrections, record: Record) -> None:
    """Both carriers of a note get the amended text; they stay one note."""
    document = record.of_type("DocumentReference")[-1]
    text = note_texts(document)[0] + "\nAddendum: laboratory results reviewed by telephone.\n"
    data = base64.b64encode(text.encode("utf-8")).decode("ascii")
    report_id = document["identifier"][0]["value"].removeprefix("urn:uuid:")
    report = next(r for r in record.of_type("DiagnosticReport") if r["id"] == report_id)
    new = drop.update(document, "note amended", docStatus="amended")
    new["content"][0]["attachment"]["data"] = data
    new = drop.update(report, "note amended", status="amended")
    new["presentedForm"][0]["data"] = data


def _deletions(record: Record) -> list[str]:
    """A whole visit with all that belongs to it, the document (not the report) of another visit's
    note, and a few single resources of further visits."""
    visits = record.note_encounters[:-2]  # the last two hold ECG, imaging and genomics
    visit = min(visits, key=lambda v: abs(len(record.of_encounter(v)) - 12))
    whole = [name_of(visit), *(name_of(r) for r in record.of_encounter(visit))]
    rest = [r for r in record.resources if encounter_of(r) != name_of(visit)]
    referenced = {str(t) for r in record.resources for t in _pointed_at(r)}
    single: list[str] = []
    for kind, count in (
        ("Observation", 4),
        ("Procedure", 1),
        ("DocumentReference", 1),
        ("Immunization", 1),
    ):
        free = [name_of(r) for r in rest if r["resourceType"] == kind]
        free = [n for n in free if n not in referenced]
        single += free[-count:]
    return [*whole, *single]


def _pointed_at(resource: Resource) -> list[str]:
    return [t["reference"] for t in references_in(resource)]
