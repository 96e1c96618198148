"""Marts of hospital numbers on one small drop: stays, emergency load, orders, labs, cohorts, timeline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.dbt.bronze import Arrival, Silver
from tests.integration.dbt.conftest import fresh_silver

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


def coded(system: str, code: str, display: str | None = None) -> dict[str, Any]:
    coding = {"system": system, "code": code}
    return {"coding": [coding | ({"display": display} if display else {})]}


def visit(
    id_: str, who: str, kind: str, start: str, end: str | None, **more: Any
) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": "finished" if end else "in-progress",
        "class": {"code": kind},
        "subject": {"reference": f"Patient/{who}"},
        "period": {"start": start} | ({"end": end} if end else {}),
        **more,
    }


def lab(id_: str, who: str, code: str, day: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [{"coding": [{"code": "laboratory"}]}],
        "code": coded(LOINC, code),
        "subject": {"reference": f"Patient/{who}"},
        "effectiveDateTime": day,
        **more,
    }


def amount(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}


def had(
    id_: str, who: str, concept: dict[str, Any], onset: str | None, **more: Any
) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": id_,
        "code": concept,
        "subject": {"reference": f"Patient/{who}"},
        **({"onsetDateTime": onset} if onset else {}),
        **more,
    }


def order(id_: str, who: str, day: str | None, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": id_,
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": coded(RXNORM, "860975", "Metformin 500 MG"),
        "subject": {"reference": f"Patient/{who}"},
        **({"authoredOn": day} if day else {}),
        **more,
    }


def expired() -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
    return {"hospitalization": {"dischargeDisposition": coded(system, "exp")}}


PRESSURE = coded(SNOMED, "38341003", "Hypertension (disorder)")
DIABETES = coded(SNOMED, "44054006", "Diabetes type 2 (disorder)")
DROP: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "anna", "gender": "female", "birthDate": "1950-03-01"},
    {"resourceType": "Patient", "id": "bert", "gender": "male", "birthDate": "1980-07-07"},
    {"resourceType": "Patient", "id": "cara", "gender": "female"},
    {
        "resourceType": "Patient",
        "id": "dora",
        "gender": "female",
        "birthDate": "1940",
        "deceasedDateTime": "2023-01-12",
    },
    {"resourceType": "Patient", "id": "emil", "gender": "male", "birthDate": "2015-01-01"},
    visit("first", "anna", "IMP", "2023-01-01T10:00:00+01:00", "2023-01-05T22:00:00+01:00"),
    visit("again", "anna", "IMP", "2023-01-20T10:00:00+01:00", "2023-01-22T10:00:00+01:00"),
    visit("later", "anna", "IMP", "2023-06-01T10:00:00+02:00", "2023-06-01T22:00:00+02:00"),
    visit("ward-1", "bert", "ACUTE", "2023-02-01T08:00:00Z", "2023-02-02T08:00:00Z"),
    visit("ward-2", "bert", "IMP", "2023-02-02T08:00:00Z", "2023-02-04T08:00:00Z"),
    visit("recent", "bert", "IMP", "2023-11-20T08:00:00Z", "2023-11-25T08:00:00Z"),
    visit("endless", "cara", "IMP", "1990-01-01T00:00:00Z", "2023-01-01T00:00:00Z"),
    visit("nights", "cara", "IMP", "2023-04-01", "2023-04-03"),
    visit("still-in", "cara", "IMP", "2023-09-01T08:00:00Z", None),
    visit("last", "dora", "IMP", "2023-01-10T08:00:00Z", "2023-01-12T08:00:00Z", **expired()),
    visit("planned", "anna", "IMP", "2023-07-01T08:00:00Z", None, status="planned"),
    visit("night", "anna", "EMER", "2023-05-01T23:30:00-05:00", "2023-05-02T01:00:00-05:00"),
    visit("night-too", "bert", "EMER", "2023-05-08T23:05:00+02:00", "2023-05-08T23:55:00+02:00"),
    visit("some-time", "cara", "EMER", "2023-05-07", "2023-05-07"),
    visit("newest", "bert", "AMB", "2023-12-01T08:00:00Z", "2023-12-01T09:00:00Z"),
    visit("year-before", "bert", "AMB", "2022-11-30T08:00:00Z", "2022-11-30T09:00:00Z"),
    order("o1", "anna", "2023-01-02"),
    order("o2", "anna", "2023-03-02"),
    order("o3", "bert", None, encounter={"reference": "Encounter/newest"}),
    order("o4", "bert", "2023-12-02", status="entered-in-error"),
    lab(
        "own-range",
        "anna",
        "2345-7",
        "2023-01-03",
        valueQuantity=amount(7, "mmol/L"),
        referenceRange=[{"low": amount(3.9, "mmol/L"), "high": amount(7.5, "mmol/L")}],
    ),
    lab("usual", "anna", "2345-7", "2023-02-03", valueQuantity=amount(7, "mmol/L")),
    lab("child", "emil", "2345-7", "2023-01-03", valueQuantity=amount(7, "mmol/L")),
    lab("ageless", "cara", "2345-7", "2023-01-03", valueQuantity=amount(7, "mmol/L")),
    lab(
        "other-unit",
        "bert",
        "2345-7",
        "2023-01-03",
        valueQuantity=amount(4, "mmol/L"),
        referenceRange=[{"low": amount(70, "mg/dL"), "high": amount(99, "mg/dL")}],
    ),
    lab("her-creatinine", "anna", "2160-0", "2023-01-03", valueQuantity=amount(1.2, "mg/dL")),
    lab("his-creatinine", "bert", "2160-0", "2023-01-03", valueQuantity=amount(1.2, "mg/dL")),
    lab(
        "in-words",
        "bert",
        "5778-6",
        "2023-01-03",
        valueCodeableConcept={"text": "red"},
        interpretation=[coded("urn:any", "A")],
    ),
    lab(
        "a-limit",
        "bert",
        "1988-5",
        "2023-01-03",
        valueQuantity=amount(5, "mg/L") | {"comparator": "<"},
        interpretation=[coded("urn:any", "N")],
    ),
    had("h-anna", "anna", PRESSURE, "2020-01-01"),
    had("h-anna-2", "anna", PRESSURE, "2022-01-01"),
    had("d-anna", "anna", DIABETES, "2020-01-15"),
    had("h-bert", "bert", PRESSURE, "2021-06-01"),
    had("d-bert", "bert", DIABETES, "2020-06-01"),
    had("h-cara", "cara", PRESSURE, None),
    had("d-cara", "cara", DIABETES, "2020-06-01"),
    had("work", "anna", coded(SNOMED, "160904001", "Part-time employment (finding)"), "2020-02-02"),
    had("home", "bert", coded(ICD10, "Z59.0", "Homelessness"), "2020-02-02"),
    had(
        "told",
        "bert",
        coded("urn:own", "hungry", "Hungry"),
        "2020-02-02",
        category=[{"coding": [{"code": "sdoh"}]}],
    ),
    had("cough", "anna", coded(SNOMED, "49727002", "Cough (finding)"), "2020-02-02"),
]


@pytest.fixture(scope="module")
def built(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, parsed_once: Any
) -> Iterator[Silver]:
    with fresh_silver(postgres_url, tmp_path_factory.mktemp("hospital"), parsed_once) as silver:
        silver.land([Arrival(content, "1") for content in DROP])
        silver.build(select="", with_tests=True)
        yield silver


def select(silver: Silver, query: str) -> list[Any]:
    rows = silver.connection.execute(query).fetchall()
    return [row[0] if len(row) == 1 else row for row in rows]


def stay(silver: Silver, admitted_on: str) -> dict[str, Any]:
    found = silver.connection.execute(
        "select * from lake.marts.inpatient_stay where admitted_on = ?", [admitted_on]
    )
    names = [column[0] for column in found.description or []]
    (row,) = found.fetchall()
    return dict(zip(names, row, strict=True))


def test_encounters_without_a_gap_are_one_stay(built: Silver) -> None:
    moved = stay(built, "2023-02-01")
    assert (moved["encounter_count"], moved["stay_days"]) == (2, 3.0)
    assert moved["encounter_class"] == "inpatient acute"
    assert moved["length_group"] == "c: 3 to 6 days"
    assert select(built, "select count(*) from lake.marts.inpatient_stay") == [9]


@pytest.mark.parametrize(
    ("admitted_on", "days", "index", "readmitted", "after"),
    [
        ("2023-01-01", 4.5, True, True, 15),
        ("2023-01-20", 2.0, True, False, 130),
        ("2023-06-01", 0.5, True, False, None),
        ("2023-11-20", 5.0, False, None, None),
        ("2023-01-10", 2.0, False, None, None),
        ("2023-04-01", 2.0, True, False, 151),
        ("2023-09-01", None, False, None, None),
        ("1990-01-01", None, False, None, None),
    ],
    ids=[
        "readmitted",
        "not within thirty days",
        "never",
        "thirty days are not over",
        "died",
        "dates alone: nights",
        "still there",
        "an end that is not believed",
    ],
)
def test_length_of_a_stay_and_readmission(
    built: Silver,
    admitted_on: str,
    days: float | None,
    index: bool,
    readmitted: bool | None,
    after: int | None,
) -> None:
    found = stay(built, admitted_on)
    assert found["stay_days"] == days
    assert found["is_index"] is index
    assert found["readmitted_within_30_days"] is readmitted
    assert found["days_to_readmission"] == after


def test_an_unknown_age_is_unknown(built: Silver) -> None:
    assert stay(built, "2023-04-01")["age_group"] == "unknown"
    assert stay(built, "2023-01-01")["age_group"] == "70-79"


def test_emergency_arrivals_are_of_the_local_clock(built: Silver) -> None:
    assert select(
        built,
        "select year::varchar, weekday, hour, sex, age_group, arrival_count from lake.marts.emergency_load"
        " order by weekday, sex",
    ) == [
        ("2023-01-01", "1 Mon", "23", "female", "70-79", 1),
        ("2023-01-01", "1 Mon", "23", "male", "40-49", 1),
        ("2023-01-01", "7 Sun", "unknown", "female", "unknown", 1),
    ]


def test_an_order_without_a_date_is_of_its_encounter_and_what_does_not_count_is_not_there(
    built: Silver,
) -> None:
    assert select(
        built,
        "select ordered_on::varchar, medication, sex from lake.marts.medication_order order by 1",
    ) == [
        ("2023-01-02", "Metformin 500 MG", "female"),
        ("2023-03-02", "Metformin 500 MG", "female"),
        ("2023-12-01", "Metformin 500 MG", "male"),
    ]


def test_labs_are_judged_by_their_own_range_first(built: Silver) -> None:
    rows = select(
        built,
        "select code, range_source, sex, age_group, result_count, judged_count, below_count, above_count,"
        " abnormal_count from lake.marts.lab_reference_quarterly order by all",
    )
    assert rows == [
        ("1988-5", "of the result", "male", "40-49", 1, 1, 0, 0, 0),
        ("2160-0", "usual of adults", "female", "70-79", 1, 1, 0, 1, 0),
        ("2160-0", "usual of adults", "male", "40-49", 1, 1, 0, 0, 0),
        ("2345-7", "none", "female", "unknown", 1, 0, 0, 0, 0),
        ("2345-7", "none", "male", "0-17", 1, 0, 0, 0, 0),
        ("2345-7", "of the result", "female", "70-79", 1, 1, 0, 0, 0),
        ("2345-7", "usual of adults", "female", "70-79", 1, 1, 0, 1, 0),
        ("2345-7", "usual of adults", "male", "40-49", 1, 1, 0, 0, 0),
        ("5778-6", "of the result", "male", "40-49", 1, 1, 0, 0, 1),
    ]


def test_a_cohort_counts_each_patient_once_from_the_first_day(built: Silver) -> None:
    assert select(
        built,
        "select index_year::varchar, sex, age_group, patient_count from lake.marts.cohort_size"
        " where index_name = 'Hypertension' order by all",
    ) == [
        ("2020-01-01", "female", "60-69", 1),
        ("2021-01-01", "male", "40-49", 1),
        (None, "female", "unknown", 1),
    ]


def test_overlap_and_time_to_event(built: Silver) -> None:
    assert select(
        built,
        "select sex, index_year::varchar, patient_count, before_count, within_30_count, undated_count,"
        " days_after_sum from lake.marts.cohort_overlap"
        " where index_name = 'Hypertension' and event_name = 'Diabetes type 2' order by all",
    ) == [
        ("female", "2020-01-01", 1, 0, 1, 0, 14),
        ("female", None, 1, 0, 0, 1, None),
        ("male", "2021-01-01", 1, 1, 0, 0, None),
    ]
    assert select(
        built, "select count(*) from lake.marts.cohort_overlap where index_code = event_code"
    ) == [0]


def test_social_findings_are_apart_from_diagnoses(built: Silver) -> None:
    assert dict(
        select(built, "select distinct condition, kind from lake.marts.condition_prevalence")
    ) == {
        "Hypertension": "diagnosis",
        "Diabetes type 2": "diagnosis",
        "Part-time employment": "social finding",
        "Homelessness": "social finding",
        "Hungry": "social finding",
        "Cough": "finding",
    }


def test_years_back_count_from_the_newest_encounter(built: Silver) -> None:
    assert select(
        built,
        "select encounter_date::varchar, years_back from lake.marts.patient_encounter_summary"
        " where encounter_date >= '2022-11-30' and encounter_class = 'ambulatory' order by 1",
    ) == [("2022-11-30", 1), ("2023-12-01", 0)]


def test_a_timeline_holds_each_event_of_a_patient_in_words(built: Silver) -> None:
    (key,) = select(
        built,
        "select distinct patient_key from lake.marts.inpatient_stay where admitted_on = '2023-02-01'",
    )
    found = select(
        built,
        "select happened_on::varchar, kind, what, detail from lake.marts.patient_timeline"
        f" where patient_key = '{key}' and happened_on < '2023-02-01' order by all",
    )
    assert ("2020-02-02", "condition", "Homelessness", "") in found
    assert ("2023-01-03", "lab", "2160-0", "1.2 mg/dL") in found
    assert not any("bert" in str(value) for row in found for value in row)


def test_small_cells_hold_no_numbers(built: Silver) -> None:
    """Built again with a minimum of two patients: last in this file, since it changes the marts."""
    built.settings = built.settings.model_copy(update={"small_cell_minimum": 2})
    built.build(select="emergency_load lab_reference_quarterly cohort_size cohort_overlap")
    for mart, numbers in {
        "emergency_load": "arrival_count, patient_count",
        "lab_reference_quarterly": "result_count, judged_count, above_count, patient_count",
        "cohort_size": "patient_count",
        "cohort_overlap": "patient_count, before_count, days_after_sum",
    }.items():
        shown = select(built, f"select coalesce({numbers}) from lake.marts.{mart} where suppressed")
        assert shown and set(shown) == {None}, mart
