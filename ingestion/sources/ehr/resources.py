"""FHIR R4 resources of rows: one function for each layout.

Synthea's tables are another export of the model that it exports as FHIR, so each column has its element
(https://github.com/synthetichealth/synthea/wiki/CSV-File-Data-Dictionary). A row without a key of its own is
known by whom and what it is about and when it began: sent again with another end, it is the same record.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from ingestion.reasons import Reason
from ingestion.sources.delimited import Row
from ingestion.sources.fhir import identity
from lakehouse.errors import InputRejected

Resource = dict[str, Any]

#: The name never changes: ids are made from it.
_IDS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:health-lakehouse:ehr-row")
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")

SNOMED: Final = "http://snomed.info/sct"
LOINC: Final = "http://loinc.org"
RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX: Final = "http://hl7.org/fhir/sid/cvx"
DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
UCUM: Final = "http://unitsofmeasure.org"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
_US_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition"
#: How tables name code systems in a column.
_SYSTEMS: Final = {"snomed-ct": SNOMED, "snomed": SNOMED, "rxnorm": RXNORM, "loinc": LOINC}
_LOINC_CODE: Final = re.compile(r"\d{1,7}-\d")
_DATE_TIME: Final = re.compile(
    r"\d{4}(?:-\d\d(?:-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?)?)?"
)
_GENDERS: Final = {
    "m": "male",
    "male": "male",
    "f": "female",
    "female": "female",
    "o": "other",
    "other": "other",
}
_MARITAL: Final = {"M": "Married", "S": "Never Married", "D": "Divorced", "W": "Widowed"}
#: Text and OMB category (https://hl7.org/fhir/us/core/ValueSet-omb-race-category.html).
_RACES: Final = {
    "white": ("White", "2106-3"),
    "black": ("Black or African American", "2054-5"),
    "asian": ("Asian", "2028-9"),
    "native": ("American Indian or Alaska Native", "1002-5"),
    "hawaiian": ("Native Hawaiian or Other Pacific Islander", "2076-8"),
    "other": ("Other", None),
}
_ETHNICITIES: Final = {
    "hispanic": ("Hispanic or Latino", "2135-2"),
    "nonhispanic": ("Not Hispanic or Latino", "2186-5"),
}
#: Class of encounter (http://terminology.hl7.org/CodeSystem/v3-ActCode) of Synthea's.
_CLASSES: Final = {
    "wellness": "AMB",
    "ambulatory": "AMB",
    "outpatient": "AMB",
    "urgentcare": "AMB",
    "emergency": "EMER",
    "inpatient": "IMP",
    "snf": "IMP",
    "home": "HH",
    "hospice": "HH",
    "virtual": "VR",
}
_SEVERITIES: Final = frozenset({"mild", "moderate", "severe"})


class Resources:
    """Resources of the rows of one file. Rows of one encounter that nothing tells apart are counted: they
    stand together."""

    def __init__(self) -> None:
        self._encounter: tuple[str | None, str | None] | None = None
        self._seen: Counter[str] = Counter()

    def record(self, row: Row) -> dict[str, object]:
        """A row of ``fhir_resource``. Raises :class:`InputRejected` where it cannot be one."""
        for column in row.layout.required:
            row.text(column, required=True)
        made = _RESOURCES[row.layout.name](row)
        resource = {"resourceType": made.pop("resourceType"), "id": "", **made}
        resource["id"] = self._id(row)
        if not identity.is_id(resource["id"]):
            raise InputRejected("Its key is no id of a record.", reason=Reason.INVALID_VALUE)
        return {
            "sequence": row.position,
            "resource_type": resource["resourceType"],
            "resource_id": resource["id"],
            "version_id": None,
            "last_updated": None,
            "request_method": None,
            "condition": None,
            "is_subset": False,
            "conditional_references": None,
            "resource": _ENCODER.encode(_filled(resource)).decode(),
        }

    def _id(self, row: Row) -> str:
        own = row.text(_OWN_KEY.get(row.layout.name, "Id"))
        if own is not None:
            return own
        of = (row.text("PATIENT"), row.text("ENCOUNTER"))
        if row.position == 1 or of != self._encounter:
            self._encounter = of
            self._seen.clear()
        key = "|".join(
            [row.layout.name, *(row.text(column) or "" for column in _KEY if column in row.texts)]
        )
        self._seen[key] += 1
        if self._seen[key] > 1:
            key = f"{key}|{self._seen[key]}"
        return str(uuid.uuid5(_IDS, key))


#: Columns that tell rows without a key apart, where a layout has them.
_KEY: Final = (
    "PATIENT",
    "ENCOUNTER",
    "MEMBERID",
    "PAYER",
    "CODE",
    "START",
    "DATE",
    "START_YEAR",
    "START_DATE",
)
_OWN_KEY: Final = {"plain_member": "member_id"}


def _filled(value: Any) -> Any:
    """``value`` without empty elements: FHIR has none."""
    if isinstance(value, Mapping):
        found = {
            name: filled for name, one in value.items() if (filled := _filled(one)) is not None
        }
        return found or None
    if isinstance(value, list):
        return [filled for one in value if (filled := _filled(one)) is not None] or None
    return value


def _time(row: Row, *columns: str) -> str | None:
    """The first filled column as a FHIR dateTime: as precise as it was written."""
    column = next((name for name in columns if row.text(name)), columns[0])
    text = row.text(column)
    if text is None:
        return None
    if _DATE_TIME.fullmatch(text):
        try:
            found = datetime.fromisoformat(f"{text}-01-01"[:10] if len(text) < len("2026-01-31") else text)  # fmt: skip
        except ValueError:
            pass
        else:
            if ":" not in text:
                return text
            if found.tzinfo is None and row.time_zone is not None:
                found = found.replace(tzinfo=ZoneInfo(row.time_zone))
            return found.isoformat()
    raise InputRejected(f"{column} is no time.", reason=Reason.INVALID_VALUE)


def _day(row: Row, column: str) -> str | None:
    found = row.date(column)
    return found.isoformat() if found else None


def _reference(resource_type: str, row: Row, column: str) -> Resource | None:
    found = row.text(column)
    return {"reference": f"{resource_type}/{found}"} if found else None


def _patient(row: Row) -> Resource | None:
    return _reference("Patient", row, "PATIENT")


def _encounter(row: Row) -> Resource | None:
    return _reference("Encounter", row, "ENCOUNTER")


def _concept(
    row: Row, system: str | None, code: str = "CODE", display: str = "DESCRIPTION"
) -> Resource | None:
    found, text = row.text(code), row.text(display)
    if found is None:
        return {"text": text} if text else None
    said = (row.text("SYSTEM") or "").casefold() if code == "CODE" else ""
    if said:
        system = said if said.startswith(("http:", "https:", "urn:")) else _SYSTEMS.get(said)
    return {"coding": [{"system": system, "code": found, "display": text}], "text": text}


def _reason(row: Row) -> list[Resource | None]:
    return [_concept(row, SNOMED, "REASONCODE", "REASONDESCRIPTION")]


def _coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def _period(row: Row, start: str = "START", stop: str = "STOP") -> Resource:
    return {"start": _time(row, start), "end": _time(row, stop)}


def _category_of_us_core(name: str, found: tuple[str, str | None] | None, text: str | None) -> Any:
    if found is None and text is None:
        return None
    display, code = found or (text, None)
    category = {
        "url": "ombCategory",
        "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": code, "display": display},
    }  # fmt: skip
    return {
        "url": f"{_US_CORE}/us-core-{name}",
        "extension": [category if code else None, {"url": "text", "valueString": display}],
    }


def _us_core(row: Row, race: str, ethnicity: str) -> list[Any]:
    said, told = row.text(race), row.text(ethnicity)
    return [
        _category_of_us_core("race", _RACES.get((said or "").casefold()), said),
        _category_of_us_core("ethnicity", _ETHNICITIES.get((told or "").casefold()), told),
    ]


def _person(row: Row, *, given: str, family: str, gender: str) -> Resource:
    sex = row.text(gender)
    return {
        "name": [{"use": "official", "family": row.text(family), "given": [row.text(given)]}],
        "gender": _GENDERS.get(sex.casefold(), "unknown") if sex else None,
    }


def _address(row: Row, *, zip_code: str = "ZIP", names: str = "upper") -> list[Resource]:
    def of(column: str) -> str | None:
        return row.text(column.upper() if names == "upper" else column)

    return [
        {
            "line": [of("address")],
            "city": of("city"),
            "district": of("county"),
            "state": of("state"),
            "postalCode": row.text(zip_code),
        }
    ]


def _identifier(row: Row, column: str, system: str, kind: str) -> Resource | None:
    found = row.text(column)
    if found is None:
        return None
    return {"type": _coded(f"{_TERMINOLOGY}/v2-0203", kind), "system": system, "value": found}


def patient(row: Row) -> Resource:
    marital = row.text("MARITAL")
    died = _time(row, "DEATHDATE")
    person = _person(row, given="FIRST", family="LAST", gender="GENDER")
    person["name"][0] |= {"prefix": [row.text("PREFIX")], "suffix": [row.text("SUFFIX")]}
    person["name"][0]["given"].append(row.text("MIDDLE"))
    return {
        "resourceType": "Patient",
        "extension": _us_core(row, "RACE", "ETHNICITY"),
        "identifier": [
            _identifier(row, "SSN", "http://hl7.org/fhir/sid/us-ssn", "SS"),
            _identifier(row, "DRIVERS", "urn:oid:2.16.840.1.113883.4.3.25", "DL"),
            _identifier(row, "PASSPORT", f"{_US_CORE}/passport-number", "PPN"),
        ],
        **person,
        "birthDate": _day(row, "BIRTHDATE"),
        "deceasedDateTime": died,
        "address": _address(row),
        "maritalStatus": {
            "coding": [
                {
                    "system": f"{_TERMINOLOGY}/v3-MaritalStatus",
                    "code": marital,
                    "display": _MARITAL.get(marital),
                }
            ]
        }
        if marital
        else None,
    }


def member(row: Row) -> Resource:
    phone = row.text("phone")
    return {
        "resourceType": "Patient",
        "extension": _us_core(row, "race", "ethnicity"),
        **_person(row, given="first_name", family="last_name", gender="gender"),
        "birthDate": _day(row, "birth_date"),
        "deceasedDateTime": _day(row, "death_date"),
        "address": _address(row, zip_code="zip_code", names="lower"),
        "telecom": [{"system": "phone", "value": phone} if phone else None],
    }


def encounter(row: Row) -> Resource:
    kind = (row.text("ENCOUNTERCLASS") or "").casefold()
    code = _CLASSES.get(kind)
    return {
        "resourceType": "Encounter",
        "status": "finished" if row.text("STOP") else "in-progress",
        "class": {"system": f"{_TERMINOLOGY}/v3-ActCode", "code": code} if code else {"display": kind or None},
        "type": [_concept(row, SNOMED)],
        "subject": _patient(row),
        "participant": [{"individual": _reference("Practitioner", row, "PROVIDER")}],
        "period": _period(row),
        "reasonCode": _reason(row),
        "serviceProvider": _reference("Organization", row, "ORGANIZATION"),
    }  # fmt: skip


def condition(row: Row) -> Resource:
    ended = _time(row, "STOP")
    status = "resolved" if ended else "active"
    return {
        "resourceType": "Condition",
        "clinicalStatus": _coded(f"{_TERMINOLOGY}/condition-clinical", status),
        "verificationStatus": _coded(f"{_TERMINOLOGY}/condition-ver-status", "confirmed"),
        "category": [_coded(f"{_TERMINOLOGY}/condition-category", "encounter-diagnosis")],
        "code": _concept(row, SNOMED),
        "subject": _patient(row),
        "encounter": _encounter(row),
        "onsetDateTime": _time(row, "START"),
        "abatementDateTime": ended,
        "recordedDate": _time(row, "START"),
    }


def allergy(row: Row) -> Resource:
    kind, category = (row.text("TYPE") or "").casefold(), (row.text("CATEGORY") or "").casefold()
    status = "resolved" if row.text("STOP") else "active"
    return {
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": _coded(f"{_TERMINOLOGY}/allergyintolerance-clinical", status),
        "verificationStatus": _coded(f"{_TERMINOLOGY}/allergyintolerance-verification", "confirmed"),
        "type": kind if kind in ("allergy", "intolerance") else None,
        "category": [category if category in ("food", "medication", "environment", "biologic") else None],
        "code": _concept(row, SNOMED),
        "patient": _patient(row),
        "encounter": _encounter(row),
        "onsetDateTime": _time(row, "START"),
        "recordedDate": _time(row, "START"),
        "reaction": [_reaction(row, number) for number in ("1", "2")],
    }  # fmt: skip


def _reaction(row: Row, number: str) -> Resource:
    severity = (row.text(f"SEVERITY{number}") or "").casefold()
    return {
        "manifestation": [_concept(row, SNOMED, f"REACTION{number}", f"DESCRIPTION{number}")],
        "severity": severity if severity in _SEVERITIES else None,
    }


def medication_request(row: Row) -> Resource:
    period = _period(row)
    return {
        "resourceType": "MedicationRequest",
        "status": "completed" if period["end"] else "active",
        "intent": "order",
        "medicationCodeableConcept": _concept(row, RXNORM),
        "subject": _patient(row),
        "encounter": _encounter(row),
        "authoredOn": period["start"],
        "reasonCode": _reason(row),
        "dispenseRequest": {"validityPeriod": period} if period["end"] else None,
    }


def observation(row: Row) -> Resource:
    code, text, category = row.text("CODE"), row.text("VALUE"), row.text("CATEGORY")
    made: Resource = {
        "resourceType": "Observation",
        "status": "final",
        "category": [_coded(f"{_TERMINOLOGY}/observation-category", category) if category else None],
        "code": _concept(row, LOINC if _LOINC_CODE.fullmatch(code or "") else None),
        "subject": _patient(row),
        "encounter": _encounter(row),
        "effectiveDateTime": _time(row, "DATE"),
        "issued": None,
    }  # fmt: skip
    if (row.text("TYPE") or "").casefold() == "numeric":
        unit = row.text("UNITS")
        made["valueQuantity"] = {
            "value": row.decimal("VALUE"),
            "unit": unit,
            "system": UCUM if unit else None,
            "code": unit,
        }
    else:
        made["valueString"] = text
    return made


def procedure(row: Row) -> Resource:
    return {
        "resourceType": "Procedure",
        "status": "completed",
        "code": _concept(row, SNOMED),
        "subject": _patient(row),
        "encounter": _encounter(row),
        "performedPeriod": {"start": _time(row, "START", "DATE"), "end": _time(row, "STOP")},
        "reasonCode": _reason(row),
    }


def immunization(row: Row) -> Resource:
    return {
        "resourceType": "Immunization",
        "status": "completed",
        "vaccineCode": _concept(row, CVX),
        "patient": _patient(row),
        "encounter": _encounter(row),
        "occurrenceDateTime": _time(row, "DATE"),
    }


def care_plan(row: Row) -> Resource:
    return {
        "resourceType": "CarePlan",
        "status": "completed" if row.text("STOP") else "active",
        "intent": "order",
        "category": [_concept(row, SNOMED)],
        "subject": _patient(row),
        "encounter": _encounter(row),
        "period": _period(row),
        "activity": [{"detail": {"reasonCode": _reason(row)}}] if row.text("REASONCODE") else None,
    }


def device(row: Row) -> Resource:
    return {
        "resourceType": "Device",
        "status": "inactive" if row.text("STOP") else "active",
        "udiCarrier": [{"carrierHRF": row.text("UDI")}],
        "type": _concept(row, SNOMED),
        "patient": _patient(row),
    }


def imaging_study(row: Row) -> Resource:
    """A row is an instance, and several are of one study: the study is told without counts."""
    modality, procedure_code = row.text("MODALITY_CODE"), row.text("PROCEDURE_CODE")
    coded = {"system": DICOM, "code": modality} if modality else None
    site = row.text("BODYSITE_CODE")
    return {
        "resourceType": "ImagingStudy",
        "status": "available",
        "modality": [coded],
        "subject": _patient(row),
        "encounter": _encounter(row),
        "started": _time(row, "DATE"),
        "procedureCode": [_coded(SNOMED, procedure_code) if procedure_code else None],
        "series": [
            {
                "modality": coded,
                "bodySite": {
                    "system": SNOMED,
                    "code": site,
                    "display": row.text("BODYSITE_DESCRIPTION"),
                }
                if site
                else None,
            }
        ],
    }


def supply_delivery(row: Row) -> Resource:
    return {
        "resourceType": "SupplyDelivery",
        "status": "completed",
        "patient": _patient(row),
        "suppliedItem": {
            "quantity": {"value": row.decimal("QUANTITY")},
            "itemCodeableConcept": _concept(row, SNOMED),
        },
        "occurrenceDateTime": _time(row, "DATE"),
    }


def organization(row: Row) -> Resource:
    phone = row.text("PHONE")
    return {
        "resourceType": "Organization",
        "active": True,
        "type": [_coded(f"{_TERMINOLOGY}/organization-type", "prov")],
        "name": row.text("NAME"),
        "telecom": [{"system": "phone", "value": phone} if phone else None],
        "address": _address(row),
    }


def payer(row: Row) -> Resource:
    made = organization(row)
    made["type"] = [_coded(f"{_TERMINOLOGY}/organization-type", "pay")]
    made["address"][0]["state"] = row.text("STATE_HEADQUARTERED")
    return made


def practitioner(row: Row) -> Resource:
    sex = (row.text("GENDER") or "").casefold()
    return {
        "resourceType": "Practitioner",
        "active": True,
        "name": [{"text": row.text("NAME")}],
        "gender": _GENDERS.get(sex),
        "address": _address(row),
    }


def coverage(row: Row) -> Resource:
    return {
        "resourceType": "Coverage",
        "status": "active",
        "subscriberId": row.text("MEMBERID"),
        "beneficiary": _patient(row),
        "period": {
            "start": _time(row, "START_DATE", "START_YEAR"),
            "end": _time(row, "END_DATE", "END_YEAR"),
        },
        "payor": [_reference("Organization", row, "PAYER")],
    }


_RESOURCES: Final[Mapping[str, Callable[[Row], Resource]]] = {
    "plain_member": member,
    "synthea_allergies": allergy,
    "synthea_careplans": care_plan,
    "synthea_conditions": condition,
    "synthea_devices": device,
    "synthea_encounters": encounter,
    "synthea_imaging_studies": imaging_study,
    "synthea_immunizations": immunization,
    "synthea_medications": medication_request,
    "synthea_observations": observation,
    "synthea_organizations": organization,
    "synthea_patients": patient,
    "synthea_payer_transitions": coverage,
    "synthea_payers": payer,
    "synthea_procedures": procedure,
    "synthea_providers": practitioner,
    "synthea_supplies": supply_delivery,
}
