"""From a Synthea run to small, tidy patient records.

Runs the simulator, keeps the recent part of each life, gives everything new ids, invented places
and local times. What Synthea does not make (notes with sections, ECG, genomics, richer imaging) is
added afterwards by `making.clinical`.
"""

from __future__ import annotations

import ast
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from making.fhir import (
    NPI,
    OBSERVATION_CATEGORY,
    SAMPLES,
    Resource,
    encounter_of,
    first_code,
    made_id,
    map_strings,
    name_of,
    references_in,
)

REFERENCE_DATE = "20260115"
INFRASTRUCTURE = {"Organization", "Location", "Practitioner", "PractitionerRole"}

_INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_ENCOUNTERS_KEPT = 9
_MOST_PER_PATIENT = {
    "MedicationAdministration": 4,
    "Immunization": 8,
    "Procedure": 25,
    "CarePlan": 4,
    "Claim": 2,
    "ExplanationOfBenefit": 2,
    "Coverage": 1,
    "Device": 2,
    "SupplyDelivery": 1,
    "Goal": 2,
    "AllergyIntolerance": 6,
    "ImagingStudy": 1,
}
_LEFT_OUT = {"DocumentReference", "Provenance", "CareTeam"}  # CareTeam returns by reference
_SURVEYS = {
    "93025-5", "55757-9", "69737-5", "76499-3", "89206-7", "72109-2", "82666-9", "59453-1",
    "44249-1", "91148-7",
}  # fmt: skip
BLOOD_PRESSURE_PANEL = "85354-9"
_LONE_PRESSURES = {"8480-6", "8462-4"}  # repeat the panel's components under a wrong category

_PLACES = ("Wexcombe", "Larkhaven", "Dunmoor", "Eastmere", "Pellbrook", "Quillford", "Ashwick")
_CLINICS = ("Family Practice", "Community Health Center", "General Hospital", "Specialty Clinic")
_PAYERS = ("Heron Health Plan", "Larkhaven Mutual", "Public Plan (synthetic)", "Quill Assurance")


@dataclass(frozen=True)
class Cohort:
    """Where a cohort lives: what its local times, addresses and delivery date are."""

    name: str
    seed: int
    timezone: str
    state: str
    zip_prefix: str
    sent_at: str
    """meta.lastUpdated of everything in the cohort's first drop"""


@dataclass
class Record:
    """One patient with everything about them, and nothing about anybody else."""

    key: str
    """two digits, the number in file names"""
    cohort: Cohort
    patient: Resource
    resources: list[Resource] = field(default_factory=list)
    """all but the patient, in order of time of their encounters"""
    note_encounters: list[Resource] = field(default_factory=list)
    """encounters kept with their details; older ones are kept for references only"""

    def of_type(self, resource_type: str) -> list[Resource]:
        return [r for r in self.resources if r["resourceType"] == resource_type]

    def of_encounter(self, encounter: Resource) -> list[Resource]:
        return [r for r in self.resources if encounter_of(r) == name_of(encounter)]

    def everything(self) -> list[Resource]:
        return [self.patient, *self.resources]

    @property
    def born(self) -> datetime:
        return datetime.fromisoformat(self.patient["birthDate"])

    @property
    def display_name(self) -> str:
        name = self.patient["name"][0]
        return f"{name['given'][0]} {name['family']}"


def simulate(folder: Path, population: int, seed: int, ages: str) -> list[list[Resource]]:
    """Run Synthea; the resources of each patient's bundle, in order of file name."""
    command = [
        sys.executable, "-m", "synthea.cli", "generate",
        "--population", str(population), "--seed", str(seed), "--age", ages,
        "--reference-date", REFERENCE_DATE, "--state", "Massachusetts", "--profile", "us-core",
        "--output", str(folder), "--log-level", "error",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONHASHSEED": "0", "TZ": "UTC"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    lives = []
    for path in sorted((folder / "fhir").glob("*.json")):
        bundle = json.loads(path.read_text(encoding="utf-8"))
        resources = [entry["resource"] for entry in bundle["entry"]]
        if any(r["resourceType"] == "Patient" for r in resources):
            lives.append(resources)
    return lives


def living_and_one_who_died(lives: list[list[Resource]], count: int) -> list[list[Resource]]:
    """The first lives, at most one of them ended; more lives than asked for go in."""
    ended = [life for life in lives if _has_died(life)][:1]
    going_on = [life for life in lives if not _has_died(life)][: count - len(ended)]
    if len(ended) + len(going_on) < count:
        raise ValueError(f"only {len(going_on)} of {len(lives)} simulated patients are alive")
    return [*going_on, *ended]


def _has_died(life: list[Resource]) -> bool:
    return any("deceasedDateTime" in r for r in life if r["resourceType"] == "Patient")


def record_of(
    life: list[Resource], key: str, cohort: Cohort, shared: dict[str, Resource], *, evening: bool
) -> Record:
    """Trim, rename and localise one life.

    Organizations, practitioners and locations go to `shared` (by `Type/id`), because several
    patients of a cohort see the same ones. An `evening` patient is seen after dusk, so that the
    local date of each visit differs from the date in UTC.
    """
    rng = random.Random(f"{cohort.seed}/{key}")
    life = [_with_made_id(r, cohort) for r in _with_plain_references(life)]
    everything = {name_of(r): r for r in life}
    patient = next(r for r in life if r["resourceType"] == "Patient")

    kept, detailed = _recent_part(life, everything)
    localise = _localiser(kept, everything, cohort, rng, evening=evening)
    resources = {name: map_strings(everything[name], localise) for name in kept}
    patient = map_strings(patient, localise)
    _move_house(patient, cohort, rng)
    for name, resource in resources.items():
        _tidy(resource, patient, cohort, rng)
        resource["meta"] = {
            "versionId": "1",
            "lastUpdated": cohort.sent_at,
            **{k: v for k, v in resource.get("meta", {}).items() if k == "profile"},
        }
        if resource["resourceType"] in INFRASTRUCTURE:
            shared.setdefault(name, resource)
    patient["meta"] = {**patient.get("meta", {}), "versionId": "1", "lastUpdated": cohort.sent_at}

    _mark_surveys(resources)
    own = [r for r in resources.values() if r["resourceType"] not in INFRASTRUCTURE | {"Patient"}]
    starts = {name_of(r): r["period"]["start"] for r in own if r["resourceType"] == "Encounter"}
    own.sort(key=lambda r: starts.get(encounter_of(r) or name_of(r), ""))
    record = Record(key=key, cohort=cohort, patient=patient, resources=own)
    record.note_encounters = [e for e in record.of_type("Encounter") if name_of(e) in detailed]
    _name_reasons(record)
    _provenance(record)
    return record


def _with_plain_references(life: list[Resource]) -> list[Resource]:
    """References as `Type/id` instead of `urn:uuid:id`; one that points nowhere is removed."""
    types = {r["id"]: r["resourceType"] for r in life}

    def plain(value: str) -> str:
        target = value.removeprefix("urn:uuid:")
        return f"{types[target]}/{target}" if target != value and target in types else value

    return [map_strings(r, plain) for r in life]


def _with_made_id(resource: Resource, cohort: Cohort) -> Resource:
    """The same resource under ids that belong to this cohort alone."""

    def renamed(value: str) -> str:
        resource_type, _, old = value.partition("/")
        if resource_type.isalpha() and len(old) == 36 and old.count("-") == 4:
            return f"{resource_type}/{made_id(cohort.name, old)}"
        return value

    made = map_strings(resource, renamed)
    made["id"] = made_id(cohort.name, resource["id"])
    return made


def _recent_part(
    life: list[Resource], everything: dict[str, Resource]
) -> tuple[dict[str, None], set[str]]:
    """Names of what stays, and of the encounters that stay with all their details."""
    encounters = sorted(
        (r for r in life if r["resourceType"] == "Encounter"), key=lambda r: r["period"]["start"]
    )
    older = encounters[:-_ENCOUNTERS_KEPT]
    urgent = [e for e in older if e["class"]["code"] in {"EMER", "IMP"}][-2:]
    detailed = {name_of(e) for e in [*urgent, *encounters[-_ENCOUNTERS_KEPT:]]}

    unwanted = _unwanted_results(life, detailed)
    kept: dict[str, None] = {name_of(r): None for r in life if r["resourceType"] == "Patient"}
    counts: Counter[str] = Counter()
    for resource in reversed(life):
        kind, name = resource["resourceType"], name_of(resource)
        if kind in INFRASTRUCTURE | _LEFT_OUT | {"Patient"} or name in unwanted:
            continue
        visit = name if kind == "Encounter" else encounter_of(resource)
        if visit is not None and visit not in detailed:
            continue
        if counts[kind] < _MOST_PER_PATIENT.get(kind, 10_000):
            counts[kind] += 1
            kept[name] = None
    for name in _still_going_on(life, kept):
        kept[name] = None
    _close_over_references(kept, everything)
    return {name: None for name in everything if name in kept}, detailed


def _unwanted_results(life: list[Resource], detailed: set[str]) -> set[str]:
    """Repeated questionnaires, mislabelled pressures and most observations without a value."""
    unwanted: set[str] = set()
    seen: set[str] = set()
    for report in reversed([r for r in life if r["resourceType"] == "DiagnosticReport"]):
        code = first_code(report)
        surveys = code in _SURVEYS and encounter_of(report) in detailed
        if code == BLOOD_PRESSURE_PANEL or (surveys and code in seen):
            unwanted.add(name_of(report))
            unwanted.update(r["reference"] for r in report.get("result", []))
        elif surveys:
            seen.add(code)
    empty = 0
    for observation in (r for r in life if r["resourceType"] == "Observation"):
        if first_code(observation) in _LONE_PRESSURES:
            unwanted.add(name_of(observation))
        if not any(k.startswith(("value", "component")) for k in observation):
            empty += encounter_of(observation) in detailed
            if empty != 1 or encounter_of(observation) not in detailed:
                unwanted.add(name_of(observation))
    return unwanted


def _still_going_on(life: list[Resource], kept: dict[str, None]) -> list[str]:
    """Up to six older conditions and four older prescriptions that are still active."""
    names: list[str] = []
    codes = {first_code(r) for r in life if r["resourceType"] == "Condition" and name_of(r) in kept}
    room = {"Condition": 6, "MedicationRequest": 4}
    for resource in reversed(life):
        kind = resource["resourceType"]
        if room.get(kind, 0) <= 0 or name_of(resource) in kept:
            continue
        code = resource.get("code", resource.get("medicationCodeableConcept"))
        status = resource.get("clinicalStatus", {"coding": [{"code": resource.get("status")}]})
        first = code["coding"][0]["code"] if code else None
        if first and first not in codes and status["coding"][0]["code"] == "active":
            codes.add(first)
            room[kind] -= 1
            names.append(name_of(resource))
    return names


def _close_over_references(kept: dict[str, None], everything: dict[str, Resource]) -> None:
    """Keep what the kept resources point at, so that trimming leaves nothing dangling."""
    waiting = list(kept)
    while waiting:
        resource = everything[waiting.pop()]
        for target in references_in(resource):
            name = target["reference"]
            if name in everything and name not in kept:
                kept[name] = None
                waiting.append(name)


def _localiser(
    kept: dict[str, None],
    everything: dict[str, Resource],
    cohort: Cohort,
    rng: random.Random,
    *,
    evening: bool,
):
    """A function that turns Synthea's instants into local ones at a sensible hour of the day."""
    zone = ZoneInfo(cohort.timezone)
    starts = [everything[n]["period"]["start"] for n in kept if n.startswith("Encounter/")]
    usual = Counter(datetime.fromisoformat(s).astimezone(zone).hour for s in starts)
    hour = 20 if evening else rng.randint(9, 15)
    shift = timedelta(hours=hour - usual.most_common(1)[0][0])

    def localise(value: str) -> str:
        if not _INSTANT.match(value):
            return value
        instant = datetime.fromisoformat(value) + shift
        return instant.astimezone(zone).replace(microsecond=0).isoformat()

    return localise


def _move_house(patient: Resource, cohort: Cohort, rng: random.Random) -> None:
    """An invented town for the patient; the identifiers' systems become the samples' own."""
    town = rng.choice(_PLACES)
    address = patient["address"][0]
    address.pop("extension", None)
    address |= {
        "city": town,
        "state": cohort.state,
        "postalCode": f"{cohort.zip_prefix}{rng.randint(10, 99)}",
    }
    for extension in patient.get("extension", []):
        if "valueAddress" in extension:
            extension["valueAddress"] = {"city": town, "state": cohort.state, "country": "US"}
    patient["identifier"] = [
        i | {"system": f"{SAMPLES}/mrn"} if _identifier_kind(i) == "MR" else i
        for i in patient["identifier"]
        if _identifier_kind(i) is not None
    ]


def _identifier_kind(identifier: Resource) -> str | None:
    return identifier["type"]["coding"][0]["code"] if "type" in identifier else None


def medical_record_number(patient: Resource) -> str:
    """The patient's number at the hospital, which DICOM headers carry as PatientID."""
    numbers = [i["value"] for i in patient["identifier"] if _identifier_kind(i) == "MR"]
    return f"SYN-{numbers[0]}"


def _tidy(resource: Resource, patient: Resource, cohort: Cohort, rng: random.Random) -> None:
    """What this simulator leaves odd or takes from the real world, per resource type."""
    for target in references_in(resource):
        if not target["reference"].startswith("Patient/"):
            target.pop("display", None)
    match resource["resourceType"]:
        case "Encounter":
            _give_duration(resource, rng)
        case "Condition":
            resource["recordedDate"] = resource["onsetDateTime"]
        case "Observation":
            _tidy_observation(resource, patient)
        case "MedicationRequest":
            _give_course(resource, rng)
        case "Coverage":
            for part in resource.get("class", []):
                part["name"] = "Synthetic plan"
        case "Goal":
            text = resource["description"]["text"]
            if text.startswith("{"):
                resource["description"]["text"] = ast.literal_eval(text).get(
                    "text", "Reach the value agreed with the patient"
                )
        case "Organization" | "Location":
            _rename_place(resource, cohort)
        case "Practitioner":
            for identifier in resource["identifier"]:
                identifier["system"] = NPI


def _give_duration(encounter: Resource, rng: random.Random) -> None:
    start = datetime.fromisoformat(encounter["period"]["start"])
    minutes = {
        "EMER": rng.randint(90, 300),
        "IMP": rng.randint(30, 120) * 60,
        "HH": 60,
    }.get(encounter["class"]["code"], rng.choice((15, 20, 30, 45)))
    end = start + timedelta(minutes=minutes)
    encounter["period"]["end"] = end.isoformat()
    encounter["identifier"] = [{"system": f"{SAMPLES}/visit", "value": encounter["id"][:8]}]


def _tidy_observation(observation: Resource, patient: Resource) -> None:
    category = observation["category"][0]["coding"][0]
    category["system"] = OBSERVATION_CATEGORY
    code = observation["code"]["coding"][0]
    if code["code"] == "56799-0":
        observation["valueString"] = patient["address"][0]["line"][0]
    observation["issued"] = observation["effectiveDateTime"]
    for part in [observation, *observation.get("component", [])]:
        if "valueQuantity" in part:
            part["valueQuantity"]["value"] = round(part["valueQuantity"]["value"], 2)
    if not any(k.startswith(("value", "component")) for k in observation):
        observation["dataAbsentReason"] = {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
                    "code": "not-performed",
                }
            ]
        }


def _give_course(request: Resource, rng: random.Random) -> None:
    """Dosage in words, and for what has ended, one of the ways in which sources say so."""
    dosage = rng.choice(
        (
            "Take one tablet by mouth once daily",
            "Take one tablet by mouth twice daily with meals",
            "Take as needed, at most four times in 24 hours",
            "Apply thinly to the affected area every evening",
        )
    )
    request.setdefault("dosageInstruction", [{"sequence": 1}])[0]["text"] = dosage
    authored = datetime.fromisoformat(request["authoredOn"])
    days = rng.choice((7, 14, 30, 90, 180))
    validity = {
        "start": authored.isoformat(),
        "end": (authored + timedelta(days=days)).isoformat(),
    }
    if request["status"] == "active":
        if rng.random() < 0.3:
            request.setdefault("dispenseRequest", {})["validityPeriod"] = validity
        return
    match rng.randint(0, 3):
        case 0:
            request["status"] = "completed"
            request.setdefault("dispenseRequest", {})["validityPeriod"] = validity
        case 1:
            request["statusReason"] = {"text": "Course finished; no further need"}
        case 2:
            request.setdefault("dispenseRequest", {})["validityPeriod"] = validity


def _rename_place(place: Resource, cohort: Cohort) -> None:
    """Synthea places patients in real clinics; here each gets an invented name and address."""
    seat = place.get("managingOrganization", {}).get("reference", name_of(place))
    rng = random.Random(seat)
    town = rng.choice(_PLACES)
    kinds = [c["code"] for t in place.get("type", []) for c in t.get("coding", [])]
    name = rng.choice(_PAYERS) if "pay" in kinds else f"{town} {rng.choice(_CLINICS)}"
    address = {
        "line": [f"{rng.randint(1, 99)} {rng.choice(('Orchard', 'Mill', 'Station'))} Road"],
        "city": town,
        "state": cohort.state,
        "postalCode": f"{cohort.zip_prefix}{rng.randint(10, 99)}",
        "country": "US",
    }
    place["name"] = name
    place["identifier"] = [
        {"system": f"{SAMPLES}/{place['resourceType'].lower()}", "value": place["id"][:13]}
    ]
    place.pop("position", None)
    place.pop("telecom", None)
    place["address"] = [address] if place["resourceType"] == "Organization" else address


def _mark_surveys(resources: dict[str, Resource]) -> None:
    """Answers to questionnaires are surveys; the simulator calls them laboratory results."""
    for report in resources.values():
        if report["resourceType"] == "DiagnosticReport" and first_code(report) in _SURVEYS:
            for answer in report.get("result", []):
                category = resources[answer["reference"]]["category"][0]["coding"][0]
                category["code"] = "survey"


def _name_reasons(record: Record) -> None:
    """An encounter's reason is the first condition diagnosed in it, coded; else there is none."""
    for encounter in record.of_type("Encounter"):
        found = [r for r in record.of_encounter(encounter) if r["resourceType"] == "Condition"]
        encounter.pop("reasonCode", None)
        if found:
            encounter["reasonCode"] = [found[0]["code"]]


def _provenance(record: Record) -> None:
    """One Provenance per patient; it names the visits that the trimmed record still holds."""
    encounters = record.of_type("Encounter")
    record.resources.append(
        {
            "resourceType": "Provenance",
            "id": made_id(record.cohort.name, record.key, "provenance"),
            "meta": {"versionId": "1", "lastUpdated": record.cohort.sent_at},
            "target": [{"reference": name_of(r)} for r in [record.patient, *encounters]],
            "recorded": record.cohort.sent_at,
            "agent": [{"who": encounters[-1]["serviceProvider"]}],
        }
    )
