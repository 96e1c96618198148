"""Clinical content that the simulator does not make: notes with the four sections, ECG reports with
a waveform, genomics reports, imaging studies of several modalities, and the less common shapes of
dates and medications. Everything is attached to encounters that a record already has.
"""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from making.fhir import (
    LOINC,
    OBSERVATION_CATEGORY,
    REPORT_SECTION,
    RXNORM,
    SNOMED,
    Resource,
    concept,
    first_code,
    made_id,
    made_uid,
    name_of,
    quantity,
    reference,
)
from making.population import BLOOD_PRESSURE_PANEL, Record

NOTE_CODE = concept(LOINC, "34117-2", "History and physical note")
FOUR_SECTIONS = ("# Chief Complaint/Subjective", "# Objective", "# Assessment", "# Plan")

_COMPLAINTS = (
    "has felt well since the last visit and comes for a planned review",
    "reports being more tired than usual for about two weeks, without fever or weight loss",
    "describes intermittent discomfort that is worse in the evening and better at rest",
    "noticed the symptoms three days ago; they have neither improved nor worsened",
    "asks about the results of the last tests and about exercise",
)
_SHORT_NOTES = (
    "Telephone call. Prescription renewed as before. No new complaints.",
    "Patient did not attend; new appointment offered.",
)
_PLANS = (
    "Continue current treatment; return in three months, earlier if anything changes.",
    "Repeat laboratory tests before the next visit. Advice on diet and activity given.",
    "Return to clinic if symptoms persist for more than ten days or if temperature is above 38 °C.",
)


# --- Notes ---------------------------------------------------------------------------------------


def write_notes(records: Iterable[Record]) -> None:
    """One note for each encounter kept in detail, as DocumentReference and as DiagnosticReport.

    Of 25 notes one is shorter than 100 characters and two have other headings than the four.
    """
    number = 0
    for record in records:
        rng = random.Random(f"notes/{record.cohort.seed}/{record.key}")
        for encounter in record.note_encounters:
            number += 1
            if number % 25 == 7:
                text = rng.choice(_SHORT_NOTES)
            elif number % 25 in (3, 16):
                text = _free_note(record, encounter, rng)
            else:
                text = _sectioned_note(record, encounter, rng)
            record.resources += note_resources(record, encounter, text)


def note_resources(record: Record, encounter: Resource, text: str) -> list[Resource]:
    """The two carriers of one note: a DocumentReference and a DiagnosticReport."""
    attachment = {
        "contentType": "text/plain; charset=utf-8",
        "data": base64.b64encode(text.encode("utf-8")).decode("ascii"),
    }
    date = encounter["period"]["start"]
    author = [encounter["participant"][0]["individual"]]
    report = {
        **_base(record, encounter, "DiagnosticReport", "note"),
        "status": "final",
        "category": [NOTE_CODE],
        "code": NOTE_CODE,
        "effectiveDateTime": date,
        "issued": date,
        "performer": author,
        "presentedForm": [attachment],
    }
    document = {
        **_base(record, encounter, "DocumentReference", "note"),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{report['id']}"}],
        "status": "current",
        "type": NOTE_CODE,
        "category": [
            concept(
                "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                "clinical-note",
                "Clinical Note",
            )
        ],
        "date": date,
        "author": author,
        "custodian": encounter["serviceProvider"],
        "content": [{"attachment": attachment}],
        "context": {"encounter": [reference(encounter)], "period": encounter["period"]},
    }
    del document["encounter"]
    return [document, report]


def note_texts(resource: Resource) -> list[str]:
    """The decoded plain texts that a DocumentReference or DiagnosticReport carries."""
    attachments = [c["attachment"] for c in resource.get("content", [])]
    attachments += resource.get("presentedForm", [])
    return [base64.b64decode(a["data"]).decode("utf-8") for a in attachments]


def _sectioned_note(record: Record, encounter: Resource, rng: random.Random) -> str:
    found = _Findings(record, encounter)
    date = encounter["period"]["start"][:10]
    sections = (
        [
            *([*found.conditions[:3], ""] if found.conditions else []),
            f"{record.display_name} is a {_age(record, date)} {record.patient['gender']} who "
            f"{rng.choice(_COMPLAINTS)}.",
            f"Patient has a history of {_listed(found.history) or 'no major illness'}.",
            f"Allergies: {_listed(found.allergies) or 'no known allergies'}.",
        ],
        [*found.vitals, *found.labs] or ["No abnormal findings on examination."],
        [f"Patient is presenting with {_listed(found.conditions) or 'no new problem'}."],
        [*found.plan, rng.choice(_PLANS)],
    )
    parts = [f"{date}\n"]
    for heading, lines in zip(FOUR_SECTIONS, sections, strict=True):
        parts.append("\n".join((heading, *lines)) + "\n")
    return "\n".join(parts)


def _free_note(record: Record, encounter: Resource, rng: random.Random) -> str:
    found = _Findings(record, encounter)
    return (
        f"Visit summary of {encounter['period']['start'][:10]}\n\n"
        f"{record.display_name} {rng.choice(_COMPLAINTS)}. "
        f"Known: {_listed(found.history) or 'nothing of note'}. {rng.choice(_PLANS)}\n"
    )


class _Findings:
    """What was found at one encounter, in the words of its resources."""

    def __init__(self, record: Record, encounter: Resource) -> None:
        here = record.of_encounter(encounter)
        observations = [r for r in here if r["resourceType"] == "Observation"]
        self.conditions = [_words(r) for r in here if r["resourceType"] == "Condition"]
        start = encounter["period"]["start"]
        self.history = [
            _words(r) for r in record.of_type("Condition") if r["onsetDateTime"] < start
        ][-5:]
        self.allergies = [_words(r) for r in record.of_type("AllergyIntolerance")]
        self.vitals = _measurements(observations, "vital-signs")
        self.labs = _measurements(observations, "laboratory")[:8]
        self.plan = [
            f"- {verb}: {_words(r)}"
            for kind, verb in (("MedicationRequest", "Prescribed"), ("Procedure", "Performed"))
            for r in [r for r in here if r["resourceType"] == kind][:4]
        ]


def _measurements(observations: list[Resource], category: str) -> list[str]:
    lines = []
    for observation in observations:
        if observation["category"][0]["coding"][0]["code"] != category:
            continue
        for part in [observation, *observation.get("component", [])]:
            if "valueQuantity" in part:
                value = part["valueQuantity"]
                lines.append(f"- {_words(part)}: {value['value']:g} {value.get('unit', '')}")
    return lines


def _words(resource: Resource) -> str:
    """A display name without Synthea's `(disorder)` suffix, in lower case."""
    code = resource.get("code") or resource["medicationCodeableConcept"]
    return str(code["coding"][0]["display"]).rsplit(" (", 1)[0].lower()


def _listed(words: list[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _age(record: Record, date: str) -> str:
    days = (datetime.fromisoformat(date) - record.born).days
    return f"{days // 365} year old" if days >= 730 else f"{days // 30} month old"


def _base(record: Record, encounter: Resource, kind: str, *what: object) -> Resource:
    return {
        "resourceType": kind,
        "id": made_id(record.cohort.name, record.key, kind, encounter["id"], *what),
        "meta": {"versionId": "1", "lastUpdated": record.cohort.sent_at},
        "subject": reference(record.patient),
        "encounter": reference(encounter),
    }


def observation(
    record: Record,
    encounter: Resource,
    what: str,
    code: Resource,
    category: str,
    **value: Any,
) -> Resource:
    """An Observation at the start of an encounter; `value` holds value[x] and the like."""
    return {
        **_base(record, encounter, "Observation", what),
        "status": "final",
        "category": [concept(OBSERVATION_CATEGORY, category, category)],
        "code": code,
        "effectiveDateTime": encounter["period"]["start"],
        "issued": encounter["period"]["start"],
        **value,
    }


def _report(record: Record, encounter: Resource, what: str, **content: Any) -> Resource:
    return {
        **_base(record, encounter, "DiagnosticReport", what),
        "status": "final",
        "effectiveDateTime": encounter["period"]["start"],
        "issued": encounter["period"].get("end", encounter["period"]["start"]),
        "performer": [encounter["serviceProvider"]],
        **content,
    }


# --- Laboratory results in words -----------------------------------------------------------------


def add_worded_results(record: Record) -> None:
    """Two results that are no quantity: a coded one and a free text."""
    encounter = record.note_encounters[-1]
    record.resources += [
        observation(
            record,
            encounter,
            "sars-cov-2",
            concept(LOINC, "94500-6", "SARS-CoV-2 RNA [Presence] in Respiratory specimen by NAA"),
            "laboratory",
            valueCodeableConcept=concept(SNOMED, "260415000", "Not detected (qualifier value)"),
        ),
        observation(
            record,
            encounter,
            "urine-culture",
            concept(LOINC, "630-4", "Bacteria identified in Urine by Culture"),
            "laboratory",
            valueString="No growth after 48 hours; mixed skin flora < 10³ CFU/mL",
        ),
    ]


# --- ECG -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ecg:
    """One tracing: the words of the reader and the three intervals; no P wave, no PR interval."""

    conclusion: str
    rate_bpm: int
    pr_ms: int | None
    qrs_ms: int
    rhythm: tuple[str, str]
    """SNOMED CT code and display"""
    waveform: bool = True


ECG_SINUS = Ecg(
    "Normal sinus rhythm. No ST-segment changes. Normal ECG.",
    72, 158, 88, ("64730000", "Normal sinus rhythm"),
)  # fmt: skip
ECG_FIBRILLATION = Ecg(
    "Atrial fibrillation with controlled ventricular response. No acute ischaemia.",
    96, None, 94, ("49436004", "Atrial fibrillation"),
)  # fmt: skip
ECG_BRADYCARDIA = Ecg(
    "Sinus bradycardia with first degree AV block. Otherwise unremarkable.",
    48, 214, 102, ("49710005", "Sinus bradycardia"), waveform=False,
)  # fmt: skip
ECG_TACHYCARDIA = Ecg(
    "Sinus tachycardia.", 118, 132, 84, ("11092001", "Sinus tachycardia"),
)  # fmt: skip

_ECG_SAMPLES_HZ = 125


def add_ecg_report(record: Record, ecg: Ecg) -> None:
    """A DiagnosticReport (LOINC 11524-6) whose results are observations of their own."""
    encounter = record.note_encounters[-1]
    numbers = [
        observation(record, encounter, f"ecg-{code}", concept(LOINC, code, display), "procedure",
                    valueQuantity=value)
        for code, display, value in _ecg_numbers(ecg)
    ]  # fmt: skip
    if ecg.waveform:
        numbers.append(
            observation(
                record,
                encounter,
                "ecg-waveform",
                concept(LOINC, "34534-8", "12 lead EKG panel"),
                "procedure",
                valueSampledData=_waveform(ecg),
            )
        )
    report = _report(
        record,
        encounter,
        "ecg",
        category=[concept(REPORT_SECTION, "EC", "Electrocardiac (e.g. EKG, EEC, Holter)")],
        code=concept(LOINC, "11524-6", "EKG study"),
        result=[reference(n) for n in numbers],
        conclusion=ecg.conclusion,
        conclusionCode=[concept(SNOMED, *ecg.rhythm)],
    )
    record.resources += [*numbers, report]


def add_ecg_observation(record: Record, ecg: Ecg) -> None:
    """A lone Observation (LOINC 34534-8): intervals, rhythm and waveform are its components."""
    encounter = record.note_encounters[-1]
    components: list[Resource] = [
        {"code": concept(LOINC, code, display), "valueQuantity": value}
        for code, display, value in _ecg_numbers(ecg)
    ]
    components.append(
        {
            "code": concept(LOINC, "8884-9", "Heart rate rhythm"),
            "valueCodeableConcept": concept(SNOMED, *ecg.rhythm),
        }
    )
    components.append(
        {
            "code": concept("urn:iso:std:iso:11073:10101", "131329", "MDC_ECG_LEAD_I"),
            "valueSampledData": _waveform(ecg),
        }
    )
    record.resources.append(
        observation(
            record,
            encounter,
            "ecg-panel",
            concept(LOINC, "34534-8", "12 lead EKG panel"),
            "procedure",
            component=components,
            interpretation=[{"text": ecg.conclusion}],
        )
    )


def _ecg_numbers(ecg: Ecg) -> list[tuple[str, str, Resource]]:
    numbers = [
        ("8867-4", "Heart rate", quantity(ecg.rate_bpm, "/min")),
        ("8633-0", "QRS duration", quantity(ecg.qrs_ms, "ms")),
    ]
    if ecg.pr_ms is not None:
        numbers.insert(1, ("8625-6", "P-R Interval", quantity(ecg.pr_ms, "ms")))
    return numbers


def _waveform(ecg: Ecg) -> Resource:
    """Two seconds of one lead: Gaussian P, Q, R, S and T waves, in units of 0.01 mV."""
    beat = 60 / ecg.rate_bpm
    waves = [(-0.03, -12, 0.008), (0.0, 110, 0.011), (0.03, -22, 0.010), (0.25, 28, 0.04)]
    if ecg.pr_ms is not None:
        waves.append((-ecg.pr_ms / 1000, 13, 0.025))
    samples = []
    for i in range(2 * _ECG_SAMPLES_HZ):
        phase = (i / _ECG_SAMPLES_HZ + 0.35 * beat) % beat
        samples.append(
            sum(
                height * math.exp(-((phase + turn - 0.35 * beat - at) ** 2) / (2 * width**2))
                for at, height, width in waves
                for turn in (-beat, 0, beat)
            )
        )
    return {
        "origin": quantity(0, "mV"),
        "period": 1000 / _ECG_SAMPLES_HZ,
        "factor": 0.01,
        "dimensions": 1,
        "data": " ".join(str(round(s)) for s in samples),
    }


# --- Genomics ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    gene: str
    hgvs: str
    significance: tuple[str, str]
    """LOINC answer code and display (LL4034-6, ACMG clinical significance)"""


@dataclass(frozen=True)
class Panel:
    name: str
    conclusion: str
    variants: tuple[Variant, ...]


PANEL_PATHOGENIC = Panel(
    "Hereditary cancer panel (BRCA1, BRCA2, PALB2, TP53)",
    "One pathogenic variant found in BRCA1. Genetic counselling is recommended. "
    "Limitations: large rearrangements and deep intronic variants are not detected.",
    (
        Variant("BRCA1", "NM_007294.4:c.68_69del", ("LA6668-3", "Pathogenic")),
        Variant("PALB2", "NM_024675.4:c.1676A>G", ("LA6675-8", "Benign")),
    ),
)
PANEL_NEGATIVE = Panel(
    "Inherited cardiomyopathy panel (MYH7, MYBPC3, TNNT2)",
    "No pathogenic variant found in the genes tested. A negative result does not exclude a "
    "genetic cause. Limitations: regions with coverage below 20 reads were not assessed.",
    (Variant("MYBPC3", "NM_000256.3:c.706A>G", ("LA6675-8", "Benign")),),
)
PANEL_UNCERTAIN = Panel(
    "Lynch syndrome panel (MLH1, MSH2, MSH6, PMS2)",
    "One variant of uncertain significance in MSH6; it should not guide treatment.",
    (Variant("MSH6", "NM_000179.3:c.3261C>G", ("LA26333-7", "Uncertain significance")),),
)


def add_genomic_report(record: Record, panel: Panel) -> None:
    """A DiagnosticReport (LOINC 51969-4, category GE) with one result per variant."""
    encounter = record.note_encounters[-2]
    results = []
    for variant in panel.variants:
        significance = concept(LOINC, *variant.significance)
        results.append(
            observation(
                record,
                encounter,
                f"variant-{variant.gene}",
                concept(LOINC, "69548-6", "Genetic variant assessment"),
                "laboratory",
                valueCodeableConcept=concept(LOINC, "LA9633-4", "Present"),
                interpretation=[significance],
                component=[
                    {
                        "code": concept(LOINC, "48018-6", "Gene studied [ID]"),
                        "valueCodeableConcept": {"text": variant.gene},
                    },
                    {
                        "code": concept(LOINC, "48004-6", "DNA change (c.HGVS)"),
                        "valueCodeableConcept": {"text": variant.hgvs},
                    },
                    {
                        "code": concept(
                            LOINC, "53037-8", "Genetic variation clinical significance"
                        ),
                        "valueCodeableConcept": significance,
                    },
                ],
            )
        )
    report = _report(
        record,
        encounter,
        "genomics",
        category=[concept(REPORT_SECTION, "GE", "Genetics")],
        code=concept(LOINC, "51969-4", "Genetic analysis report", text=panel.name),
        result=[reference(r) for r in results],
        conclusion=panel.conclusion,
    )
    record.resources += [*results, report]


# --- Imaging -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Imaging:
    """One study as ordered; `instances` has one number per series."""

    modality: str
    description: str
    body_site: tuple[str, str]
    procedure: tuple[str, str]
    series: tuple[str, ...]
    instances: tuple[int, ...]
    dicom: bool = True
    """whether its files are part of the radiology drop"""
    manufacturer: str = "Northlight Medical"
    field_strength: float | None = None
    slice_thickness: float | None = None
    matrix: int = 32


STUDIES = {
    "ct-chest": Imaging(
        "CT", "CT CHEST W CONTRAST", ("51185008", "Thoracic structure"),
        ("169069000", "CT of chest"), ("Chest 1.5 mm", "Lung 3 mm"), (3, 2), slice_thickness=1.5,
    ),
    "mr-brain": Imaging(
        "MR", "MR BRAIN WO CONTRAST", ("12738006", "Brain structure"),
        ("816077007", "MRI of brain"), ("T1 sagittal", "T2 FLAIR axial"), (2, 3),
        manufacturer="Helix Imaging Systems", field_strength=1.5, slice_thickness=4.0,
    ),
    "us-abdomen": Imaging(
        "US", "US ABDOMEN COMPLETE", ("818983003", "Abdomen"),
        ("45036003", "Ultrasonography of abdomen"), ("Abdomen survey",), (3,), matrix=48,
    ),
    "cr-hand": Imaging(
        "CR", "XR HAND 2 VIEWS", ("85562004", "Hand structure"),
        ("37815002", "Plain X-ray of hand"), ("PA", "Oblique"), (1, 1), manufacturer="UNKNOWN",
    ),
    "mg-screening": Imaging(
        "MG", "MG SCREENING BILATERAL", ("76752008", "Breast structure"),
        ("24623002", "Screening mammography"), ("Screening views",), (4,), dicom=False,
    ),
    "mr-knee": Imaging(
        "MR", "MR KNEE LEFT", ("72696002", "Knee region structure"),
        ("241663000", "MRI of knee"), ("PD fat-sat sagittal",), (2,),
        manufacturer="Helix Imaging Systems", field_strength=3.0, slice_thickness=3.0,
    ),
    "dx-chest": Imaging(
        "DX", "XR CHEST 2 VIEWS", ("51185008", "Thoracic structure"),
        ("399208008", "Plain X-ray of chest"), ("PA", "Lateral"), (1, 1), matrix=64,
    ),
    "ct-head": Imaging(
        "CT", "CT HEAD WO CONTRAST", ("69536005", "Head structure"),
        ("303653007", "CT of head"), ("Head 5 mm",), (3,), slice_thickness=5.0,
        manufacturer="Unknown",
    ),
    "us-carotid": Imaging(
        "US", "US CAROTID DUPLEX", ("69105007", "Carotid artery structure"),
        ("241466007", "Ultrasonography of carotid arteries"), ("Carotid",), (2,), dicom=False,
    ),
}  # fmt: skip

_SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
}


def add_imaging_study(record: Record, study: str, encounter: Resource) -> Resource:
    """An ImagingStudy of `STUDIES`, begun at the encounter; returned for the DICOM writer."""
    spec = STUDIES[study]
    base = _base(record, encounter, "ImagingStudy", study)
    modality = {
        "system": "http://dicom.nema.org/resources/ontology/DCM",
        "code": spec.modality,
    }
    series = []
    for number, (title, count) in enumerate(zip(spec.series, spec.instances, strict=True), 1):
        series.append(
            {
                "uid": made_uid(base["id"], number),
                "number": number,
                "modality": modality,
                "description": title,
                "numberOfInstances": count,
                "bodySite": {
                    "system": SNOMED,
                    "code": spec.body_site[0],
                    "display": spec.body_site[1],
                },
                "instance": [
                    {
                        "uid": made_uid(base["id"], number, i),
                        "number": i,
                        "sopClass": {
                            "system": "urn:ietf:rfc:3986",
                            "code": f"urn:oid:{_SOP_CLASSES[spec.modality]}",
                        },
                    }
                    for i in range(1, count + 1)
                ],
            }
        )
    made = {
        **base,
        "identifier": [
            {"system": "urn:dicom:uid", "value": f"urn:oid:{made_uid(base['id'], 'study')}"}
        ],
        "status": "available",
        "modality": [modality],
        "started": encounter["period"]["start"],
        "description": spec.description,
        "numberOfSeries": len(series),
        "numberOfInstances": sum(spec.instances),
        "procedureCode": [concept(SNOMED, *spec.procedure)],
        "series": series,
    }
    record.resources.append(made)
    return made


def simulated_study(study: Resource) -> Imaging:
    """The description of a one-picture study that the simulator made itself."""
    series = study["series"][0]
    site, procedure = series["bodySite"], study["procedureCode"][0]["coding"][0]
    series.setdefault("description", series["instance"][0]["title"])
    return Imaging(
        modality=series["modality"]["code"],
        description=procedure["display"].rsplit(" (", 1)[0],
        body_site=(site["code"], site["display"]),
        procedure=(procedure["code"], procedure["display"]),
        series=(series["description"],),
        instances=(1,),
        matrix=16,
    )


def study_uid(study: Resource) -> str:
    """The StudyInstanceUID of an ImagingStudy."""
    return str(study["identifier"][0]["value"]).removeprefix("urn:oid:")


# --- Less common shapes --------------------------------------------------------------------------


def vary_onsets(record: Record) -> None:
    """Partial dates, a period and an age instead of an instant: FHIR allows each for onset."""
    resolved = [c for c in record.of_type("Condition") if "abatementDateTime" in c]
    for condition, shape in zip(resolved[:4], ("year", "month", "period", "age"), strict=False):
        onset = condition.pop("onsetDateTime")
        if shape == "year":
            condition["onsetDateTime"] = onset[:4]
        elif shape == "month":
            condition["onsetDateTime"] = onset[:7]
        elif shape == "period":
            condition["onsetPeriod"] = {"start": onset}
        else:
            days = (datetime.fromisoformat(onset[:10]) - record.born).days
            condition["onsetAge"] = quantity(days // 365, "years", "a")


def point_to_medications(record: Record) -> None:
    """A contained Medication, and a Medication of its own, instead of a code in the request."""
    contained, separate = record.of_type("MedicationRequest")[-2:]
    contained["contained"] = [
        {
            "resourceType": "Medication",
            "id": "med",
            "code": contained.pop("medicationCodeableConcept"),
        }
    ]
    contained["medicationReference"] = {"reference": "#med"}
    medication = {
        "resourceType": "Medication",
        "id": made_id(record.cohort.name, "medication", record.key),
        "meta": {"versionId": "1", "lastUpdated": record.cohort.sent_at},
        "code": separate.pop("medicationCodeableConcept"),
    }
    separate["medicationReference"] = reference(medication)
    record.resources.append(medication)


def prescribe_with_ends(record: Record) -> None:
    """Two prescriptions whose end is known: one by its dispensing period, one by being stopped."""
    encounter = record.note_encounters[0]
    started = encounter["period"]["start"]
    ten_days_on = (datetime.fromisoformat(started) + timedelta(days=10)).isoformat()
    base = {
        "intent": "order",
        "authoredOn": started,
        "requester": encounter["participant"][0]["individual"],
    }
    record.resources += [
        {
            **_base(record, encounter, "MedicationRequest", "antibiotic"),
            **base,
            "status": "completed",
            "medicationCodeableConcept": concept(
                RXNORM, "308182", "Amoxicillin 250 MG Oral Capsule"
            ),
            "dosageInstruction": [{"text": "One capsule three times daily for ten days"}],
            "dispenseRequest": {"validityPeriod": {"start": started, "end": ten_days_on}},
        },
        {
            **_base(record, encounter, "MedicationRequest", "statin"),
            **base,
            "status": "stopped",
            "statusReason": {"text": "Muscle pain; changed to another drug"},
            "medicationCodeableConcept": concept(RXNORM, "314231", "Simvastatin 10 MG Oral Tablet"),
            "dosageInstruction": [{"text": "One tablet every evening"}],
        },
    ]


def leave_open(record: Record) -> None:
    """The newest visit has begun and not ended."""
    encounter = record.of_type("Encounter")[-1]
    encounter["status"] = "in-progress"
    del encounter["period"]["end"]


def leave_dangling(record: Record) -> list[dict[str, str]]:
    """Three references whose targets are nowhere in the samples; what they are, for the record."""
    visit = record.note_encounters[0]
    visit["participant"][0]["individual"] = {
        "reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9999999999"
    }
    procedure = record.of_type("Procedure")[-1]
    procedure["encounter"] = {"reference": f"Encounter/{made_id('nowhere', 'encounter')}"}
    request = record.of_type("MedicationRequest")[-1]
    request["requester"] = {"reference": f"Practitioner/{made_id('nowhere', 'practitioner')}"}
    return [
        {"from": name_of(visit), "to": visit["participant"][0]["individual"]["reference"]},
        {"from": name_of(procedure), "to": procedure["encounter"]["reference"]},
        {"from": name_of(request), "to": request["requester"]["reference"]},
    ]


def blood_pressures(record: Record) -> list[Resource]:
    """The blood pressure panels of a record, newest last."""
    return [r for r in record.of_type("Observation") if first_code(r) == BLOOD_PRESSURE_PANEL]
