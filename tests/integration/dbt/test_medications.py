"""What a medication record names, how it is dosed, and that a Medication that comes later is heard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dbt.bronze import Arrival, Silver
from tests.integration.dbt.conftest import fresh_silver

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


def drug(code: str, name: str) -> dict[str, Any]:
    return {"coding": [{"system": RXNORM, "code": code, "display": name}]}


def medication(id_: str, code: str, name: str, **content: Any) -> dict[str, Any]:
    return {"resourceType": "Medication", "id": id_, "code": drug(code, name), **content}


def record(kind: str, id_: str, **content: Any) -> dict[str, Any]:
    return {
        "resourceType": kind,
        "id": id_,
        "status": "active",
        "subject": {"reference": "Patient/ben"},
        **content,
    }


def request(id_: str, **content: Any) -> dict[str, Any]:
    return record("MedicationRequest", id_, intent="order", authoredOn="2024-02-01", **content)


INGREDIENT = medication("part", "11", "an ingredient")
PRODUCT = medication(
    "whole", "22", "the product", ingredient=[{"itemReference": {"reference": "#part"}}]
)

#: id, content, code and display by which it is known, what names it.
NAMED: list[tuple[str, dict[str, Any], str | None, str | None, str | None]] = [
    (
        "by-concept",
        {"medicationCodeableConcept": drug("33", "in itself")},
        "33",
        "in itself",
        "concept",
    ),
    ("by-text", {"medicationCodeableConcept": {"text": "in words"}}, None, "in words", "concept"),
    (
        "by-contained",
        {"contained": [INGREDIENT, PRODUCT], "medicationReference": {"reference": "#whole"}},
        "22",
        "the product",
        "contained",
    ),
    (
        "by-contained-first",
        {"contained": [PRODUCT, INGREDIENT], "medicationReference": {"reference": "#whole"}},
        "22",
        "the product",
        "contained",
    ),
    (
        "by-reference",
        {"contained": [INGREDIENT], "medicationReference": {"reference": "Medication/here"}},
        "44",
        "in the list",
        "reference",
    ),
    (
        "by-display-of-reference",
        {"medicationReference": {"reference": "Medication/nowhere", "display": "shown"}},
        None,
        "shown",
        "display",
    ),
    (
        "by-display",
        {"medicationReference": {"display": "only shown"}},
        None,
        "only shown",
        "display",
    ),
    ("by-the-only-contained", {"contained": [INGREDIENT]}, "11", "an ingredient", "contained"),
    ("by-nothing", {"medicationReference": {"reference": "#missing"}}, None, None, None),
]

TWICE_A_DAY = {
    "sequence": 1,
    "text": "one tablet twice a day",
    "patientInstruction": "with water",
    "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d", "when": ["PCM"]}},
    "asNeededBoolean": False,
    "route": {
        "coding": [{"system": "http://snomed.info/sct", "code": "26643006", "display": "Oral"}]
    },
    "doseAndRate": [{"doseQuantity": {"value": 1.5, "unit": "tablet"}}],
}
AS_NEEDED = {
    "timing": {"code": {"coding": [{"code": "QID"}], "text": "four times a day"}},
    "asNeededCodeableConcept": {"text": "pain"},
    "doseAndRate": [
        {
            "doseRange": {"low": {"value": 1, "unit": "mg"}, "high": {"value": 2, "unit": "mg"}},
            "rateRatio": {
                "numerator": {"value": 5, "unit": "mL"},
                "denominator": {"value": 1, "unit": "h"},
            },
        }
    ],
}

DROP: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "ben", "gender": "male", "birthDate": "1970"},
    medication("here", "44", "in the list"),
    *(request(id_, **content) for id_, content, _, _, _ in NAMED),
    request(
        "dosed", medicationCodeableConcept={"text": "x"}, dosageInstruction=[TWICE_A_DAY, AS_NEEDED]
    ),
    record(
        "MedicationAdministration",
        "given",
        contained=[PRODUCT],
        medicationReference={"reference": "#whole"},
        request={"reference": "MedicationRequest/dosed"},
        effectiveDateTime="2024-02-02T08:00:00Z",
        dosage={
            "text": "slowly",
            "dose": {"value": 20, "code": "mg"},
            "route": {"coding": [{"system": "urn:own", "code": "iv", "display": "Intravenous"}]},
            "rateQuantity": {"value": 4, "unit": "mL/h"},
        },
    ),
    record(
        "MedicationDispense",
        "handed",
        medicationReference={"reference": "Medication/later"},
        authorizingPrescription=[{"reference": "MedicationRequest/dosed"}],
        quantity={"value": 30, "unit": "tablet"},
        daysSupply={"value": 15, "code": "d"},
        whenHandedOver="2024-02-03",
        dosageInstruction=[TWICE_A_DAY],
    ),
    record(
        "MedicationStatement",
        "told",
        medicationReference={"display": "what the patient said"},
        context={"reference": "Encounter/none"},
        effectivePeriod={"start": "2023-01", "end": "2023-06"},
        dateAsserted="2024-02-04",
        reasonCode=[{"text": "headache"}],
        dosage=[AS_NEEDED],
    ),
    {
        "resourceType": "Specimen",
        "id": "tube",
        "status": "available",
        "subject": {"reference": "Patient/ben"},
        "type": {
            "coding": [
                {"system": "http://snomed.info/sct", "code": "119297000", "display": "Blood"}
            ]
        },
        "receivedTime": "2024-02-01T10:00:00Z",
        "collection": {
            "collectedDateTime": "2024-02-01T09:00:00Z",
            "quantity": {"value": 4, "unit": "mL"},
            "bodySite": {"text": "left arm"},
        },
        "parent": [{"reference": "Specimen/whole-blood"}],
    },
]


@pytest.fixture(scope="module")
def built(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, parsed_once: Path
) -> Iterator[Silver]:
    with fresh_silver(postgres_url, tmp_path_factory.mktemp("drugs"), parsed_once) as silver:
        silver.land([Arrival(content, "1") for content in DROP])
        silver.build()
        silver.land([Arrival(medication("later", "55", "came later"), "1")])
        silver.build()
        yield silver


def row(silver: Silver, table: str, id_: str) -> dict[str, Any]:
    found = silver.connection.execute(
        f"select * from lake.silver.{table} where {table}_id = ?", [id_]
    )
    names = [column[0] for column in found.description or []]
    [values] = found.fetchall()
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize(("id_", "code", "display", "named_by"), [(n[0], *n[2:]) for n in NAMED])
def test_a_medication_is_known_by_what_the_record_names(
    built: Silver, id_: str, code: str | None, display: str | None, named_by: str | None
) -> None:
    found = row(built, "medication_request", id_)
    assert (found["code"], found["display"], found["medication_named_by"]) == (
        code,
        display,
        named_by,
    )
    assert found["code_system"] == (RXNORM if code else None)
    assert [coding["code"] for coding in found["codings"]] == ([code] if code else [])


def test_an_instruction_is_columns(built: Silver) -> None:
    found = row(built, "medication_request", "dosed")
    assert (found["dosage_text"], found["dose"], found["dose_unit"]) == (
        "one tablet twice a day",
        1.5,
        "tablet",
    )
    assert (found["route_code"], found["route_display"]) == ("26643006", "Oral")
    assert (found["frequency"], found["period"], found["period_unit"]) == (2, 1.0, "d")
    assert (found["timing_code"], found["timing_text"]) == (None, "2 per 1 d PCM")
    assert found["as_needed"] is False


def test_every_instruction_is_kept(built: Silver) -> None:
    first, second = row(built, "medication_request", "dosed")["dosages"]
    assert first["patient_instruction"] == "with water"
    assert (second["as_needed"], second["as_needed_reason"]) == (True, "pain")
    assert (second["timing_code"], second["timing_text"]) == ("QID", "four times a day")
    assert (second["dose"], second["dose_low"], second["dose_high"]) == (None, 1.0, 2.0)
    assert (second["dose_unit"], second["rate_text"]) == ("mg", "5 mL:1 h")
    assert row(built, "medication_request", "by-text")["dosages"] == []


def test_an_administration_says_what_was_given_and_how(built: Silver) -> None:
    found = row(built, "medication_administration", "given")
    assert (found["code"], found["request_id"]) == ("22", "dosed")
    assert (found["dose"], found["dose_unit"], found["rate_text"]) == (20.0, "mg", "4 mL/h")
    assert (found["route_code"], found["dosage_text"]) == ("iv", "slowly")


def test_a_dispense_hears_of_the_medication_that_came_later(built: Silver) -> None:
    found = row(built, "medication_dispense", "handed")
    assert (found["code"], found["display"], found["request_id"]) == ("55", "came later", "dosed")
    assert (found["quantity"], found["quantity_unit"]) == (30.0, "tablet")
    assert (found["days_supply"], found["days_supply_unit"]) == (15.0, "d")
    assert (found["handed_over_at"], found["dose"]) == ("2024-02-03", 1.5)


def test_a_statement_says_what_is_taken_since_when_and_why(built: Silver) -> None:
    found = row(built, "medication_statement", "told")
    assert (found["display"], found["reason_display"]) == ("what the patient said", "headache")
    assert (found["started_at"], found["ended_at"], found["asserted_at"]) == (
        "2023-01",
        "2023-06",
        "2024-02-04",
    )
    assert found["as_needed"] is True


def test_a_specimen_says_what_was_taken_where_and_when(built: Silver) -> None:
    found = row(built, "specimen", "tube")
    assert (found["display"], found["patient_id"], found["parent_id"]) == (
        "Blood",
        "ben",
        "whole-blood",
    )
    assert (found["collected_at"], found["quantity"], found["body_site_display"]) == (
        "2024-02-01T09:00:00Z",
        4.0,
        "left arm",
    )


def test_medications_that_are_nowhere_are_counted(built: Silver) -> None:
    found = built.connection.execute(
        "select source_table, dangling_count from lake.silver.reference_integrity"
        " where column_name = 'medication_id' order by all"
    ).fetchall()
    assert found == [
        ("medication_administration", 0),
        ("medication_dispense", 0),
        ("medication_request", 2),  # one by id, one by #id that is not contained
        ("medication_statement", 0),
    ]
