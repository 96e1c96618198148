"""What a record says of itself: whether it is so, by which codings, where and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dbt.bronze import Arrival, Silver
from tests.integration.dbt.conftest import fresh_silver

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
LOCAL = "https://hospital.example/codes"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def resource(kind: str, id_: str, **content: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": id_, **content}


def coding(system: str | None, code: str | None, display: str | None = None, **more: Any) -> Any:
    found = {"system": system, "code": code, "display": display, **more}
    return {name: value for name, value in found.items() if value is not None}


def concept(*codings: Any, text: str | None = None) -> dict[str, Any]:
    return {"coding": list(codings), **({"text": text} if text else {})}


def about(
    kind: str, id_: str, patient: str, encounter: str | None = None, **content: Any
) -> dict[str, Any]:
    if encounter is not None:
        content["encounter"] = {"reference": f"Encounter/{encounter}"}
    return resource(kind, id_, subject={"reference": f"Patient/{patient}"}, **content)


def visit(id_: str, patient: str, started_at: str, status: str = "finished", **content: Any) -> Any:
    content.setdefault("type", [concept(coding(SNOMED, "185349003", "Check-up"))])
    return about(
        "Encounter",
        id_,
        patient,
        status=status,
        period={"start": started_at, "end": started_at},
        **{"class": {"code": "AMB"}},
        **content,
    )


def condition(
    id_: str, patient: str, code: str, verification: str | None = None, **more: Any
) -> Any:
    if verification is not None:
        more["verificationStatus"] = concept(
            coding(SNOMED, "000", "said elsewhere"), coding(VERIFICATION, verification)
        )
    more.setdefault("onsetDateTime", "2023-01-01")
    return about(
        "Condition", id_, patient, code=concept(coding(SNOMED, code, f"name {code}")), **more
    )


def request(id_: str, patient: str, medication: dict[str, Any], **more: Any) -> Any:
    content = {"status": "active", "intent": "order", "authoredOn": "2023-06-01"} | more
    return about("MedicationRequest", id_, patient, medicationCodeableConcept=medication, **content)


def categorised(id_: str, patient: str, encounter: str, *categories: str, **more: Any) -> Any:
    content = {
        "status": "final",
        "category": [concept(coding(CATEGORY, category)) for category in categories],
        "code": concept(coding(LOINC, "2345-7", "Glucose")),
        "effectiveDateTime": "2024-03-10T10:00:00Z",
        "valueQuantity": {"value": 90, "unit": "mg/dL", "code": "mg/dL"},
    } | more
    return about("Observation", id_, patient, encounter, **content)


ASKED = [
    # Who: modifiers of each kind, beside one that counts.
    resource("Patient", "so", gender="female", birthDate="1970-05-05"),
    visit("so-visit", "so", "2024-03-10T09:00:00-05:00"),
    condition("so-yes", "so", "1", "confirmed"),
    condition("so-refuted", "so", "2", "refuted"),
    condition("so-error", "so", "3", "entered-in-error"),
    condition("so-maybe", "so", "4", "provisional"),
    resource(
        "AllergyIntolerance",
        "so-allergy",
        patient={"reference": "Patient/so"},
        code={"text": "latex"},
        category=["environment", "medication"],
        verificationStatus=concept(
            coding(
                "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "refuted"
            )
        ),
    ),
    request("so-take", "so", concept(coding(LOCAL, "m1", "taken"))),
    request("so-not", "so", concept(coding(LOCAL, "m2", "not to be given")), doNotPerform=True),
    request("so-draft", "so", concept(coding(LOCAL, "m3", "drafted")), status="draft"),
    request("so-withdrawn", "so", concept(coding(LOCAL, "m4", "withdrawn")), status="cancelled"),
    request("so-idea", "so", concept(coding(LOCAL, "m5", "an idea")), intent="proposal"),
    *(
        about(
            "Procedure",
            f"so-{status}",
            "so",
            "so-visit",
            status=status,
            code=concept(coding(SNOMED, f"p-{status}", status)),
            performedDateTime="2024-03-10",
        )
        for status in ("completed", "stopped", "not-done", "preparation", "entered-in-error")
    ),
    *(
        about(
            "ImagingStudy", f"img-{status}", "so", "so-visit", status=status, started="2024-03-10"
        )
        for status in ("available", "cancelled", "entered-in-error")
    ),
    categorised("so-lab", "so", "so-visit", "exam", "laboratory"),
    categorised("so-void", "so", "so-visit", "laboratory", status="entered-in-error"),
    categorised("so-none", "so", "so-visit", "laboratory", status="registered"),
    # Encounters that did not take place.
    *(
        visit(f"visit-{status}", "so", "2030-01-05T09:00:00Z", status=status)
        for status in ("planned", "cancelled", "entered-in-error", "finished", "in-progress")
    ),
    # One person, three records: the middle one replaced from both sides.
    resource(
        "Patient",
        "old",
        link=[{"other": {"reference": "Patient/mid"}, "type": "replaced-by"}],
        active=False,
    ),
    resource("Patient", "mid", gender="male"),
    resource(
        "Patient",
        "new",
        gender="male",
        birthDate="1980",
        link=[{"other": {"reference": "Patient/mid"}, "type": "replaces"}],
    ),
    visit("merged-visit", "old", "2024-05-01T08:00:00Z"),
    condition("merged-1", "old", "5"),
    condition("merged-2", "new", "5"),
    # Codings.
    resource("Patient", "coded"),
    visit(
        "coded-visit",
        "coded",
        "2024-04-01T08:00:00Z",
        type=[
            {"text": "only words"},
            concept(
                coding(LOCAL, "L", "local"),
                coding("urn:oid:2.16.840.1.113883.6.96", "T", "the type"),
            ),
        ],
    ),
    about(
        "Condition",
        "two-systems",
        "coded",
        code=concept(
            coding(ICD, "E11.9", "T2DM", userSelected=True),
            coding(SNOMED, "44054006"),
            text="my words",
        ),
        category=[concept(coding(LOCAL, "x")), concept(coding(LOCAL, "y"), coding(LOCAL, "x"))],
        onsetDateTime="2024-01-01",
    ),
    about(
        "Condition",
        "selected",
        "coded",
        code=concept(
            coding(LOCAL, None, "no code"),
            coding(LOCAL, "a", "first"),
            coding(LOCAL, "b", "second", userSelected=True),
        ),
        onsetDateTime="2024-01-01",
    ),
    about("Condition", "words", "coded", code={"text": "only words"}, onsetDateTime="2024-01-01"),
    *(
        about(
            "Condition",
            f"named-{number}",
            "coded",
            code=concept(coding(SNOMED, "77", display)),
            onsetDateTime="2024-01-01",
        )
        for number, display in enumerate(["Zebra", "Zebra", "Aardvark"])
    ),
    # Where somebody lives.
    resource(
        "Patient",
        "moved",
        address=[
            {"use": "old", "city": "Oldtown", "state": "OT", "postalCode": "1"},
            {"use": "home", "city": "Lefttown", "state": "LT", "period": {"end": "2020-12-31"}},
            {"use": "billing", "city": "Billtown", "state": "BT", "postalCode": "3"},
            {"use": "home", "state": "NT", "postalCode": "4", "period": {"end": "2999-12-31"}},
        ],
    ),
    # When.
    resource("Patient", "timed", birthDate="some time"),
    visit("timed-visit", "timed", "2024-06-01T09:00:00-04:00"),
    visit("timed-later", "timed", "2024-07-01T09:00:00-04:00"),
    about(
        "Condition", "undated", "timed", "timed-visit", code=concept(coding(SNOMED, "8", "undated"))
    ),
    request("t-warfarin", "timed", {"text": "Warfarin  as told"}, authoredOn="2024-01-01"),
    request(
        "t-other",
        "timed",
        {"text": "a week of another"},
        status="completed",
        authoredOn="2024-02-01",
    ),
    request("t-again", "timed", {"text": "third drug"}, authoredOn="2024-02-01"),
    request("t-over", "timed", {"text": "Third  drug"}, status="stopped", authoredOn="2024-03-01"),
    {
        **request("t-undated", "timed", concept(coding(LOCAL, "u", "undated drug"))),
        "authoredOn": None,
        "encounter": {"reference": "Encounter/timed-visit"},
    },
    *(
        about(
            "Procedure",
            id_,
            "timed",
            "timed-visit",
            status="completed",
            code=concept(coding(SNOMED, id_, id_)),
            performedDateTime=at,
        )
        for id_, at in (
            ("third", "2024-06-01T09:40:00-04:00"),
            ("second", "2024-06-01T13:10:00Z"),
            ("first", "2024-06"),
        )
    ),
    # What is known in part.
    resource("Patient", "vague", birthDate="1960"),
    visit("vague-visit", "vague", "2025-02"),
    visit("vague-later", "vague", "2025-06-10T09:00:00Z", type=[{"text": "came by the ferry"}]),
    *(
        about(
            "Condition",
            f"since-{number}",
            "vague",
            code=concept(coding(SNOMED, f"v{number}", f"over {number}")),
            onsetDateTime="2024-01-01",
            **end,
        )
        for number, end in enumerate(
            [
                {"abatementString": "when the war was over"},
                {"abatementAge": {"value": 31, "unit": "years", "code": "a"}},
                {"abatementRange": {"low": {"value": 30}, "high": {"value": 32, "unit": "a"}}},
                {"abatementDateTime": "2024-06"},
            ]
        )
    ),
    about(
        "Condition",
        "began-once",
        "vague",
        code=concept(coding(SNOMED, "v9", "began once")),
        onsetAge={"value": 12, "comparator": "<", "unit": "a"},
        recordedDate="2024-01-01",
    ),
    about("Condition", "told-1", "vague", code={"text": "the shakes"}, onsetDateTime="2025-05"),
    about("Condition", "told-2", "vague", code={"text": "the chills"}, onsetDateTime="2025-05-09"),
    about(
        "Condition",
        "some-year",
        "vague",
        code=concept(coding(SNOMED, "v-year", "some year")),
        onsetDateTime="2022",
    ),
    *(
        {
            name: value
            for name, value in categorised(
                f"lab-{number}",
                "vague",
                "vague-later",
                "laboratory",
                effectiveDateTime=None,
                **when,
            ).items()
            if value is not None
        }
        for number, when in enumerate(
            [
                {"effectivePeriod": {"end": "2025-07-01"}},
                {
                    "effectiveTiming": {
                        "repeat": {"boundsPeriod": {"start": "2025-08-01", "end": "2025-08-09"}}
                    }
                },
                {
                    "effectiveInstant": "2025-09-30T23:00:00-05:00",
                    "referenceRange": [
                        {"type": {"text": "therapeutic"}, "low": {"value": 1}},
                        {"low": {"value": 70}, "high": {"value": 110}},
                    ],
                },
            ]
        )
    ),
    request(
        "v-dosed",
        "vague",
        concept(coding(LOCAL, "d", "dosed")),
        dosageInstruction=[
            {"sequence": 2, "text": "then rest"},
            {"sequence": 1, "text": "first one", "route": {"text": "by mouth"}},
        ],
    ),
    *(
        categorised(
            f"pulse-{number}",
            "vague",
            "vague-later",
            "vital-signs",
            code=concept(coding(LOINC, "8867-4")),
            effectiveDateTime=f"2025-06-10T09:0{number}:00Z",
            valueQuantity={"value": value, "unit": "/min", "code": "/min", **more},
        )
        for number, (value, more) in enumerate(
            [(60, {}), (70, {}), (200, {"comparator": ">"}), (30, {"comparator": "<="})]
        )
    ),
]


@pytest.fixture(scope="module")
def built(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, parsed_once: Path
) -> Iterator[Silver]:
    with fresh_silver(postgres_url, tmp_path_factory.mktemp("says"), parsed_once) as silver:
        contents = [
            {name: value for name, value in content.items() if value is not None}
            for content in ASKED
        ]
        silver.land([Arrival(content, "1") for content in contents])
        silver.build(select="", with_tests=True)
        yield silver


def select(silver: Silver, query: str) -> list[Any]:
    """The rows of a query; of one column its values."""
    rows = silver.connection.execute(query).fetchall()
    return [row[0] if len(row) == 1 else row for row in rows]


def listed(silver: Silver, encounter: str, members: str, field: str = "display") -> list[str]:
    return select(
        silver,
        f"select unnest({members}).{field} from lake.gold.encounter_summary"
        f" where encounter_id = '{encounter}'",
    )


def test_what_is_refuted_or_an_error_is_in_silver_and_counts_nowhere(built: Silver) -> None:
    counting = select(
        built,
        "select condition_id, verification_status, counts from lake.silver.condition"
        " where starts_with(condition_id, 'so-') order by all",
    )
    assert counting == [
        ("so-error", "entered-in-error", False),
        ("so-maybe", "provisional", True),
        ("so-refuted", "refuted", False),
        ("so-yes", "confirmed", True),
    ]
    assert listed(built, "so-visit", "conditions", "condition_id") == ["so-maybe", "so-yes"]
    for mart in ("condition_prevalence", "clinical_event_monthly"):
        codes = select(built, f"select distinct code from lake.marts.{mart}")
        assert {"1", "4"} <= set(codes) and not {"2", "3"} & set(codes), mart
    assert select(built, "select categories, counts from lake.silver.allergy_intolerance") == [
        (["environment", "medication"], False)
    ]


def test_only_what_is_to_be_given_is_a_medication(built: Silver) -> None:
    assert listed(built, "so-visit", "medications") == ["taken"]
    events = "select code from lake.marts.clinical_event_monthly where event_type = 'medication'"
    assert not {"m2", "m3", "m4", "m5"} & set(select(built, events))


def test_procedures_studies_and_results_that_did_not_happen_are_not_listed(built: Silver) -> None:
    assert set(listed(built, "so-visit", "procedures")) == {"completed", "stopped"}
    assert listed(built, "so-visit", "imaging", "study_id") == ["img-available"]
    assert select(built, "select status from lake.marts.imaging_inventory") == ["available"]
    assert listed(built, "so-visit", "labs", "observation_id") == ["so-lab"]
    labs = "select sum(event_count) from lake.marts.clinical_event_monthly where event_type = 'lab'"
    assert select(built, labs) == [1 + 3]  # so-lab, and those of `vague`


def test_encounters_that_did_not_take_place_are_no_use_of_the_hospital(built: Silver) -> None:
    month = "where encounter_month = date '2030-01-01'"
    assert select(
        built, f"select sum(encounter_count) from lake.marts.encounter_utilisation {month}"
    ) == [2]
    assert select(built, f"select count(*) from lake.marts.patient_encounter_summary {month}") == [
        2
    ]
    gold = "select encounter_id from lake.gold.encounter_summary where starts_with(encounter_id, 'visit-')"
    assert set(select(built, gold)) == {"visit-finished", "visit-in-progress"}


def test_a_patient_whose_record_was_replaced_is_the_one_who_replaced_it(built: Silver) -> None:
    merged = select(built, "select * from lake.gold.patient_merge order by all")
    assert merged == [("mid", "new"), ("old", "new")]
    assert select(
        built,
        "select patient_id, sex, age_years from lake.gold.encounter_summary"
        " where encounter_id = 'merged-visit'",
    ) == [("new", "male", 44)]
    prevalence = "select sum(patient_count) from lake.marts.condition_prevalence where code = '5'"
    assert select(built, prevalence) == [1]
    people = select(built, "select sum(patient_count) from lake.marts.patient_demographics")
    assert people == [6]  # so, new, coded, moved, timed, vague


def test_code_system_and_display_are_those_of_one_coding(built: Silver) -> None:
    found = select(
        built,
        "select condition_id, code, code_system, display, len(codings) from lake.silver.condition"
        " where condition_id in ('two-systems', 'selected', 'words') order by all",
    )
    assert found == [
        ("selected", "b", LOCAL, "second", 3),
        ("two-systems", "44054006", SNOMED, "my words", 2),
        ("words", None, None, "only words", 0),
    ]
    [codings] = select(
        built, "select codings from lake.silver.condition where condition_id = 'two-systems'"
    )
    assert codings[0] == {
        "system": ICD,
        "code": "E11.9",
        "display": "T2DM",
        "user_selected": True,
    }
    assert select(
        built, "select categories from lake.silver.condition where condition_id = 'two-systems'"
    ) == [["x", "y"]]


def test_of_repeated_concepts_the_first_with_a_coding_stands_for_them(built: Silver) -> None:
    assert select(
        built,
        'select type_code, type_system, type_display, [c."system" for c in type_codings]'
        " from lake.silver.encounter where encounter_id = 'coded-visit'",
    ) == [("T", SNOMED, "the type", [LOCAL, "urn:oid:2.16.840.1.113883.6.96"])]


def test_marts_give_a_code_one_name_and_never_somebodys_words(built: Silver) -> None:
    names = "select code, condition from lake.marts.condition_prevalence where code in ('77', '44054006')"
    assert set(select(built, names)) == {("77", "Zebra"), ("44054006", "44054006")}
    shown = repr(
        [built.rows(f"marts.{mart}") for mart in ("condition_prevalence", "clinical_event_monthly")]
    )
    assert "my words" not in shown and "only words" not in shown


def test_an_address_is_the_current_one_and_all_of_it_from_one(built: Silver) -> None:
    assert select(
        built, "select city, state, zip from lake.silver.patient where patient_id = 'moved'"
    ) == [(None, "NT", "4")]


def test_what_has_no_date_belongs_to_its_encounter_and_counts(built: Silver) -> None:
    assert listed(built, "timed-visit", "conditions") == ["undated"]
    assert listed(built, "timed-later", "conditions") == []
    assert "undated drug" in listed(built, "timed-visit", "medications")
    assert "undated drug" not in listed(built, "timed-later", "medications")
    events = select(
        built,
        "select event_type, event_month from lake.marts.clinical_event_monthly"
        " where display in ('undated') order by all",
    )
    assert events == [("condition", date(2024, 6, 1))]


def test_medications_known_by_text_are_told_apart_by_it(built: Silver) -> None:
    assert [
        text for text in listed(built, "timed-visit", "medications") if text != "undated drug"
    ] == ["Warfarin  as told"]


def test_lists_are_in_the_order_of_instants(built: Silver) -> None:
    assert listed(built, "timed-visit", "procedures") == ["first", "second", "third"]


def test_an_unknown_age_is_unknown(built: Silver) -> None:
    ages = select(
        built,
        "select age_at_encounter, age_group from lake.marts.patient_encounter_summary"
        " where encounter_date = date '2024-07-01'",
    )
    assert ages == [(None, "unknown")]


def test_a_condition_is_over_when_anything_is_said_of_its_end(built: Silver) -> None:
    said = select(
        built,
        "select onset_text, abatement_text from lake.silver.condition"
        " where patient_id = 'vague' and starts_with(code, 'v') order by condition_id",
    )
    assert said == [
        ("< 12 a", None),
        (None, "when the war was over"),
        (None, "31 years"),
        (None, "30 - 32 a"),
        (None, None),
        (None, None),
    ]
    assert set(listed(built, "vague-later", "conditions", "condition_id")) == {
        "began-once",
        "some-year",
        "told-1",
        "told-2",
    }
    active = select(
        built,
        "select code, active_patient_count from lake.marts.condition_prevalence"
        " where starts_with(code, 'v') order by code",
    )
    assert active == [("v-year", 1), ("v0", 0), ("v1", 0), ("v2", 0), ("v3", 0), ("v9", 1)]


def test_text_without_a_code_is_one_group_in_the_marts(built: Silver) -> None:
    label = "text only, no code"
    prevalence = (
        "select code_system, condition, patient_count from lake.marts.condition_prevalence"
        f" where code = '{label}' and age_group = '60-69'"
    )
    assert select(built, prevalence) == [("unknown", label, 1)]
    events = (
        "select event_month, display, event_count from lake.marts.clinical_event_monthly"
        f" where code = '{label}' and event_type = 'condition' and event_month >= date '2025-01-01'"
    )
    assert select(built, events) == [(date(2025, 5, 1), label, 2)]
    type_ = (
        "select encounter_type from lake.marts.encounter_utilisation"
        " where encounter_month = date '2025-06-01'"
    )
    assert select(built, type_) == [label]
    assert "the chills" in listed(built, "vague-later", "conditions")


def test_only_a_known_month_is_one_in_the_marts(built: Silver) -> None:
    years = "select count(*) from lake.marts.clinical_event_monthly where code = 'v-year'"
    assert select(built, years) == [0]
    visits = (
        "select age_group, encounter_count from lake.marts.encounter_utilisation"
        " where encounter_month = date '2025-02-01'"
    )
    assert select(built, visits) == [("unknown", 1)]
    labs = (
        "select event_month from lake.marts.clinical_event_monthly"
        " where event_type = 'lab' and event_month >= date '2025-01-01' order by all"
    )
    assert select(built, labs) == [date(2025, month, 1) for month in (7, 8, 9)]


def test_every_form_of_effective_is_a_time(built: Silver) -> None:
    times = select(
        built,
        "select effective_at, effective_end_at, reference_low, reference_high"
        " from lake.silver.observation where starts_with(observation_id, 'lab-') order by observation_id",
    )
    assert times == [
        (None, "2025-07-01", None, None),
        ("2025-08-01", "2025-08-09", None, None),
        ("2025-09-30T23:00:00-05:00", None, 70.0, 110.0),
    ]


def test_dosages_are_in_their_own_sequence(built: Silver) -> None:
    [(text, route, timing, texts)] = select(
        built,
        "select dosage_text, route_display, timing_text, list_transform(dosages, lambda d: d.text)"
        " from lake.silver.medication_request where medication_request_id = 'v-dosed'",
    )
    assert (text, route, timing) == ("first one", "by mouth", None)
    assert texts == ["first one", "then rest"]


def test_a_limit_is_no_measurement(built: Silver) -> None:
    assert select(
        built,
        "select measurement_count, patient_count, mean_value, limit_count"
        " from lake.marts.vital_sign_monthly where month = date '2025-06-01'",
    ) == [(2, 1, 65.0, 2)]
    assert select(
        built,
        "select heart_rate from lake.marts.patient_encounter_summary"
        " where encounter_date = date '2025-06-10'",
    ) == [70.0]
