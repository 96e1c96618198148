"""Every kind of value that an Observation may have, and numbers in the unit of their measure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dbt.bronze import Arrival, Silver
from tests.integration.dbt.conftest import fresh_silver
from transformation import coverage

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
VITAL = [{"coding": [{"code": "vital-signs"}]}]
SENT_AT = "2024-05-02T10:00:00+02:00"


def concept(*codings: tuple[str, str, str | None], text: str | None = None) -> dict[str, Any]:
    listed = [{"system": s, "code": c, **({"display": d} if d else {})} for s, c, d in codings]
    return {"coding": listed, **({"text": text} if text else {})}


def loinc(code: str) -> dict[str, Any]:
    return concept((LOINC, code, None))


def quantity(value: float, unit: str | None = None, **more: Any) -> dict[str, Any]:
    coded = {"unit": unit, "system": UCUM, "code": unit} if unit else {}
    return {"value": value, **coded, **more}


def observed(id_: str, code: dict[str, Any] | str, **content: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": loinc(code) if isinstance(code, str) else code,
        "subject": {"reference": "Patient/anna"},
        "encounter": {"reference": "Encounter/visit"},
        "effectiveDateTime": SENT_AT,
        **content,
    }


def vital(
    id_: str, code: dict[str, Any] | str, value: dict[str, Any], **more: Any
) -> dict[str, Any]:
    return observed(id_, code, category=VITAL, valueQuantity=value, **more)


#: id, LOINC code, value, unit as sent; the number and unit that it is shown in, or why there is none.
UNITS: list[tuple[str, str, float, str | None, float | None, str | None]] = [
    ("fever", "8310-5", 102.2, "[degF]", 39.0, None),
    ("cool", "8310-5", 36.4, "Cel", 36.4, None),
    ("kelvin", "8310-5", 310.15, "K", 37.0, None),
    ("warm-word", "8331-1", 98.6, "Fahrenheit", 37.0, None),
    ("warm-f", "8310-5", 99.5, "F", 37.5, None),
    ("frost", "8310-5", 14, "[degF]", -10.0, None),
    ("heavy", "29463-7", 150, "[lb_av]", 68.0388555, None),
    ("lbs", "29463-7", 1, "lbs", 0.45359237, None),
    ("newborn", "29463-7", 2950, "g", 2.95, None),
    ("tall", "8302-2", 70, "[in_i]", 177.8, None),
    ("metre", "8302-2", 1.85, "m", 185.0, None),
    ("kilopascal", "8480-6", 13.3322, "kPa", 100.0, None),
    ("mmhg", "8462-4", 81, "mmHg", 81.0, None),
    ("beats", "8867-4", 71, "{beats}/min", 71.0, None),
    ("bpm", "8867-4", 72, "bpm", 72.0, None),
    ("bare-rate", "9279-1", 14, None, 14.0, None),
    ("fraction", "59408-5", 0.96, "1", 96.0, None),
    ("white-cells", "6690-2", 4, "10*3/uL", 4.0, None),
    ("white-cells-k", "6690-2", 4.1, "K/uL", 4.1, None),
    ("white-cells-all", "6690-2", 4300, "/uL", 4.3, None),
    ("sugar", "2345-7", 5.5, "mmol/L", 99.0858, None),
    ("sodium", "2951-2", 140, "mEq/L", 140.0, None),
    ("calcium", "17861-6", 5, "meq/L", 10.0195, None),
    ("enzyme", "1742-6", 30, "u/L", 30.0, None),
    ("katal", "1742-6", 0.5, "ukat/L", 30.0, None),
    ("thyroid", "3016-3", 2.5, "u[iU]/mL", 2.5, None),
    ("bare-weight", "29463-7", 70, None, None, "number without a unit"),
    ("weight-in-cm", "29463-7", 70, "cm", None, "unit does not fit the measure"),
    ("weight-in-stones-throw", "29463-7", 70, "throws", None, "unknown unit"),
    ("enzyme-in-iu", "1742-6", 30, "[iU]/L", None, "unit does not fit the measure"),
    ("hemoglobin-mol", "718-7", 8.7, "mmol/L", None, "unit does not fit the measure"),
    ("too-large", "29463-7", 9e29, "g", None, "number too large to convert"),
]

COMPONENTS = [
    {"code": loinc("8480-6"), "valueQuantity": quantity(16, "kPa")},
    {"code": loinc("8462-4"), "valueQuantity": quantity(80, "mm[Hg]", comparator=">")},
    {"code": loinc("1-1"), "valueRange": {"low": {"value": 1}, "high": {"value": 2}}},
    {"code": loinc("1-2"), "valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 64}}},
    {"code": loinc("1-3"), "valuePeriod": {"start": "2024-01-01"}},
    {"code": loinc("1-4"), "valueTime": "07:30:00"},
    {"code": loinc("1-5"), "valueDateTime": "2024-02"},
    {"code": loinc("1-6"), "valueBoolean": False},
    {
        "code": loinc("1-7"),
        "valueSampledData": {"origin": {"value": 0}, "period": 2, "data": "1 E 3"},
    },
    {"code": loinc("1-8"), "valueCodeableConcept": concept(("urn:own", "y", "Yes"))},
    {"code": loinc("1-9"), "dataAbsentReason": concept(("urn:own", "unknown", None))},
    {
        "code": loinc("29463-7"),
        "valueInteger": 7,
        "interpretation": [concept(("urn:own", "L", None))],
        "referenceRange": [{"low": {"value": 50, "unit": "kg"}, "text": "adults"}],
    },
]

KINDS: list[tuple[str, dict[str, Any], str | None, str | None]] = [
    (
        "is-range",
        {"valueRange": {"low": quantity(5, "mg"), "high": quantity(9, "mg")}},
        "Range",
        "5 - 9 mg",
    ),
    ("is-open-range", {"valueRange": {"high": quantity(9.5, "mg")}}, "Range", "<= 9.5 mg"),
    (
        "is-ratio",
        {"valueRatio": {"numerator": quantity(1), "denominator": quantity(128)}},
        "Ratio",
        "1:128",
    ),
    (
        "is-amount-ratio",
        {
            "valueRatio": {
                "numerator": quantity(5, "mg", comparator="<"),
                "denominator": quantity(2, "mL"),
            }
        },
        "Ratio",
        "< 5 mg:2 mL",
    ),
    (
        "is-period",
        {"valuePeriod": {"start": "2024-01-01", "end": "2024-01-03"}},
        "Period",
        "2024-01-01/2024-01-03",
    ),
    ("is-time", {"valueTime": "12:30:05"}, "time", "12:30:05"),
    ("is-date", {"valueDateTime": "2024-03"}, "dateTime", "2024-03"),
    ("is-text", {"valueString": "cloudy"}, "string", "cloudy"),
    ("is-false", {"valueBoolean": False}, "boolean", "false"),
    ("is-integer", {"valueInteger": 3}, "integer", None),
    ("is-below", {"valueQuantity": quantity(0.50, "mg/L", comparator="<")}, "Quantity", "< 0.5"),
    (
        "is-concept",
        {"valueCodeableConcept": concept((LOINC, "LA1-1", "Absent"))},
        "CodeableConcept",
        "Absent",
    ),
    ("is-told", {"valueCodeableConcept": {"text": "in words"}}, "CodeableConcept", "in words"),
    (
        "is-trace",
        {
            "valueSampledData": {
                "origin": {"value": 0},
                "period": 4,
                "dimensions": 1,
                "data": "1 2 L",
            }
        },
        "SampledData",
        "SampledData",
    ),
    ("is-absent", {"dataAbsentReason": concept(("urn:own", "not-performed", None))}, None, None),
]

DROP: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "anna", "gender": "female", "birthDate": "1980-01-01"},
    {
        "resourceType": "Encounter",
        "id": "visit",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": "Patient/anna"},
        "period": {"start": SENT_AT, "end": SENT_AT},
    },
    *(vital(f"unit-{id_}", code, quantity(value, unit)) for id_, code, value, unit, _, _ in UNITS),
    vital(
        "second-coding",
        concept(("urn:own", "T", "Temp"), (LOINC, "8310-5", None)),
        quantity(100.4, "[degF]"),
    ),
    vital("own-code", concept(("urn:own", "8310-5", "another thing")), quantity(1, "[degF]")),
    vital(
        "shown-unit",
        "8310-5",
        {
            "value": 37.2,
            "unit": "degrees C",
            "system": "http://snomed.info/sct",
            "code": "258710007",
        },
    ),
    vital("not-a-number", "8310-5", {"value": "high", "unit": "Cel"}),
    *(observed(id_, "99-9", **content) for id_, content, _, _ in KINDS),
    observed("pressure", "85354-9", category=VITAL, component=COMPONENTS),
    observed(
        "linked",
        "1975-2",
        category=[{"coding": [{"code": "exam"}]}, {"coding": [{"code": "laboratory"}]}],
        valueQuantity=quantity(1.7, "mg/dL"),
        specimen={"reference": "Specimen/tube"},
        device={"reference": "Device/analyser"},
        hasMember=[{"reference": "Observation/is-text"}, {"reference": "Observation/is-time"}],
        derivedFrom=[{"reference": "Observation/is-false"}],
        method=concept(("urn:own", "photometry", "Photometry")),
        bodySite=concept(("urn:own", "arm", "Arm")),
        interpretation=[concept(("urn:own", "H", "High"))],
        referenceRange=[
            {"low": quantity(9), "type": concept(("urn:own", "therapeutic", None))},
            {"low": quantity(0.1, "mg/dL"), "high": quantity(1.2, "mg/dL"), "text": "0.1 to 1.2"},
        ],
    ),
]


#: Sent in this order; by the text of the time "late" would be the last of the first day.
DROP += [
    vital("noon", "8867-4", quantity(90, "/min"), effectiveDateTime="2024-05-02T12:00:00+02:00"),
    vital("late", "8867-4", quantity(61, "/min"), effectiveDateTime="2024-05-02T11:30:00Z"),
    vital("later", "8867-4", quantity(62, "/min"), effectiveDateTime="2024-05-02T08:00:00-04:00"),
    vital("undated", "8867-4", quantity(63, "/min"), effectiveDateTime=None),
    observed("no-category", "8310-5", valueQuantity=quantity(101.3, "[degF]")),
    vital("limit", "2708-6", quantity(50, "%", comparator="<")),
    vital("score", "72514-3", quantity(4, "{score}")),
]


@pytest.fixture(scope="module")
def built(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, parsed_once: Path
) -> Iterator[Silver]:
    with fresh_silver(postgres_url, tmp_path_factory.mktemp("values"), parsed_once) as silver:
        silver.land([Arrival(content, "1") for content in DROP])
        silver.build(select="", with_tests=True)
        yield silver


def row(silver: Silver, table: str, key: str, id_: str) -> dict[str, Any]:
    found = silver.connection.execute(f"select * from lake.{table} where {key} = ?", [id_])
    names = [column[0] for column in found.description or []]
    [values] = found.fetchall()
    return dict(zip(names, values, strict=True))


def observation(silver: Silver, id_: str) -> dict[str, Any]:
    return row(silver, "silver.observation", "observation_id", id_)


@pytest.mark.parametrize(
    ("id_", "value", "unit", "standard"), [(u[0], u[2], u[3], u[4]) for u in UNITS]
)
def test_a_number_is_shown_in_the_unit_of_its_measure_and_kept_as_sent(
    built: Silver, id_: str, value: float, unit: str | None, standard: float | None
) -> None:
    found = observation(built, f"unit-{id_}")
    assert (found["value"], found["unit"], found["standard_value"]) == (value, unit, standard)


def test_a_number_that_has_no_unit_of_its_measure_is_an_issue(built: Silver) -> None:
    issues = built.connection.execute(
        "select resource_id, reason from lake.silver.data_issue"
        " where table_name = 'observation' and column_name = 'standard_value' order by all"
    ).fetchall()
    assert issues == sorted((f"unit-{u[0]}", u[5]) for u in UNITS if u[5] is not None)


def test_a_measure_is_found_by_any_coding_of_its_code_system(built: Silver) -> None:
    assert observation(built, "second-coding")["standard_value"] == 38.0
    assert observation(built, "own-code")["measure"] is None


def test_a_unit_whose_code_is_of_another_system_is_read_as_it_is_shown(built: Silver) -> None:
    found = observation(built, "shown-unit")
    assert (found["standard_value"], found["standard_unit"]) == (37.2, "Cel")


@pytest.mark.parametrize(("id_", "kind", "text"), [(k[0], k[2], k[3]) for k in KINDS])
def test_every_type_of_value_lands(
    built: Silver, id_: str, kind: str | None, text: str | None
) -> None:
    found = observation(built, id_)
    assert (found["value_type"], found["value_text"]) == (kind, text)


def test_structured_values_are_kept_whole(built: Silver) -> None:
    assert '"data":"1 2 L"' in observation(built, "is-trace")["value_json"]
    assert '"comparator":"<"' in observation(built, "is-amount-ratio")["value_json"]


def test_a_value_that_is_not_there_says_why(built: Silver) -> None:
    assert observation(built, "is-absent")["data_absent_reason"] == "not-performed"


def test_components_have_values_of_every_type_too(built: Silver) -> None:
    components = observation(built, "pressure")["components"]
    assert [c["value_text"] for c in components] == [
        None,
        "> 80",
        "1 - 2",
        "1:64",
        "2024-01-01/..",
        "07:30:00",
        "2024-02",
        "false",
        "SampledData",
        "Yes",
        None,
        None,
    ]
    assert components[10]["data_absent_reason"] == "unknown"
    weight = components[11]
    assert (weight["value"], weight["interpretation"]) == (7.0, "L")
    assert (weight["reference_low"], weight["reference_high"], weight["reference_text"]) == (
        50.0,
        None,
        "adults",
    )


def test_components_are_shown_in_the_unit_of_their_measure(built: Silver) -> None:
    systolic, diastolic = observation(built, "pressure")["components"][:2]
    assert systolic["measure"] == "systolic_bp"
    assert systolic["standard_value"] == pytest.approx(120.010, abs=0.001)
    assert (systolic["value"], systolic["unit"], systolic["standard_unit"]) == (
        16.0,
        "kPa",
        "mm[Hg]",
    )
    assert (diastolic["standard_value"], diastolic["comparator"]) == (80.0, ">")


def test_what_an_observation_refers_to_and_is_judged_by_is_kept(built: Silver) -> None:
    found = observation(built, "linked")
    assert found["categories"] == ["exam", "laboratory"]
    assert (found["specimen_id"], found["device_id"]) == ("tube", "analyser")
    assert (found["member_ids"], found["derived_from_ids"]) == (
        ["is-text", "is-time"],
        ["is-false"],
    )
    assert (found["method_display"], found["body_site_code"]) == ("Photometry", "arm")
    assert found["interpretation"] == "H"
    assert (found["reference_low"], found["reference_high"]) == (0.1, 1.2)
    assert (found["reference_unit"], found["reference_text"]) == ("mg/dL", "0.1 to 1.2")


def vitals(silver: Silver) -> dict[str, dict[str, Any]]:
    found = row(silver, "gold.encounter_summary", "encounter_id", "visit")["vitals"]
    return {f"{v['observation_id']} {v['vital_sign']}": v for v in found}


def test_vital_signs_of_an_encounter_are_in_one_unit_with_the_original_beside(
    built: Silver,
) -> None:
    found = vitals(built)
    fever = found["unit-fever body_temperature"]
    assert (fever["value"], fever["unit"]) == (39.0, "Cel")
    assert (fever["source_value"], fever["source_unit"]) == (102.2, "[degF]")
    assert {v["unit"] for v in found.values() if v["vital_sign"] == "body_temperature"} == {"Cel"}
    assert {v["unit"] for v in found.values() if v["vital_sign"] == "body_weight"} == {"kg"}
    assert not {key for key in found if key.startswith("unit-weight-in-cm")}
    assert found["score None"]["value"] == 4.0


def test_a_vital_sign_is_one_without_a_category_too(built: Silver) -> None:
    assert vitals(built)["no-category body_temperature"]["value"] == 38.5


def test_vital_signs_are_in_the_order_of_their_instants(built: Silver) -> None:
    rates = [key.split()[0] for key in vitals(built) if key.endswith("heart_rate")]
    assert [id_ for id_ in rates if not id_.startswith("unit-")] == [
        "undated",
        "noon",
        "late",
        "later",
    ]
    [(latest,)] = built.connection.execute(
        "select heart_rate from lake.marts.patient_encounter_summary"
    ).fetchall()
    assert latest == 62.0


def test_the_monthly_mart_has_one_unit_for_each_vital_sign(built: Silver) -> None:
    found = built.connection.execute(
        "select vital_sign, unit, measurement_count from lake.marts.vital_sign_monthly order by all"
    ).fetchall()
    assert {(sign, unit) for sign, unit, _ in found} == {
        ("body_height", "cm"),
        ("body_temperature", "Cel"),
        ("body_weight", "kg"),
        ("diastolic_bp", "mm[Hg]"),
        ("heart_rate", "/min"),
        ("oxygen_saturation", "%"),
        ("respiratory_rate", "/min"),
        ("systolic_bp", "mm[Hg]"),
    }
    assert len(found) == 8


def test_a_limit_is_no_part_of_a_mean(built: Silver) -> None:
    [(count, mean)] = built.connection.execute(
        "select measurement_count, mean_value from lake.marts.vital_sign_monthly"
        " where vital_sign = 'oxygen_saturation'"
    ).fetchall()
    assert (count, mean) == (1, 96.0)


def test_laboratory_results_keep_what_was_sent_and_say_it_in_the_unit_of_their_measure(
    built: Silver,
) -> None:
    [lab] = row(built, "gold.encounter_summary", "encounter_id", "visit")["labs"]
    assert (lab["measure"], lab["standard_value"], lab["standard_unit"]) == (
        "bilirubin",
        1.7,
        "mg/dL",
    )
    assert (lab["reference_high"], lab["interpretation"]) == (1.2, "H")


def test_what_arrived_is_listed_with_the_column_that_takes_it_and_without_any_value(
    built: Silver,
) -> None:
    found = {
        (e.resource_type, e.path): e
        for e in coverage.coverage(built.connection, built.submissions[0])
    }
    number = found["Observation", "valueQuantity.value"]
    assert number.columns == ("silver.observation (value_quantity)",)
    assert number.resource_count == sum(
        "valueQuantity" in r for r in DROP if r["resourceType"] == "Observation"
    )
    assert found["Observation", "component.valueRatio.denominator.value"].columns == (
        "silver.observation.components",
    )
    assert found["Observation", "hasMember.reference"].value_count == 2
    assert found["Observation", "hasMember.reference"].resource_count == 1
    assert found["Observation", "valueQuantity.system"].columns == ()
    assert not any("cloudy" in path or "anna" in path for _, path in found)
