"""Valid input that is seldom sent: what Silver and Gold make of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dbt.bronze import Arrival, Silver
from tests.integration.dbt.conftest import fresh_silver

LOINC = "http://loinc.org"
P = {"subject": {"reference": "Patient/p"}}


def coded(*codings: dict[str, Any]) -> dict[str, Any]:
    return {"coding": list(codings)}


def observation(id_: str, code: str, **more: Any) -> Arrival:
    content = {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": coded({"system": LOINC, "code": code}),
    }
    return Arrival(content | P | more)


def condition(id_: str, **more: Any) -> Arrival:
    return Arrival({"resourceType": "Condition", "id": id_} | P | more)


def encounter(id_: str, **period: str) -> Arrival:
    status = {"status": "finished", "class": {"code": "AMB"}}
    return Arrival({"resourceType": "Encounter", "id": id_, "period": period} | status | P)


def inside(id_: str, code: str, **value: Any) -> dict[str, Any]:
    found = {"code": coded({"system": "urn:local", "code": "x"}, {"system": LOINC, "code": code})}
    return {"resourceType": "Observation", "id": id_, "status": "final"} | found | value


DROP = [
    Arrival({"resourceType": "Patient", "id": "p", "birthDate": "1980-05-05"}),
    Arrival(
        {
            "resourceType": "Patient",
            "id": "p2",
            "link": [
                {"type": "replaces", "other": {"reference": text}}
                for text in ("Patient/p3", "#nobody", "Patient/nowhere")
            ],
        }
    ),
    Arrival({"resourceType": "Patient", "id": "p3"}),
    Arrival(
        {
            "resourceType": "DiagnosticReport",
            "id": "genes",
            "status": "final",
            "code": coded(
                {"system": "urn:local", "code": "panel"},
                {"system": LOINC, "code": "51969-4", "display": "Genetic analysis report"},
            ),
            "conclusionCode": [
                coded({"code": "local"}, {"system": LOINC, "code": "LA9663-1", "display": "Done"})
            ],
            "contained": [
                inside("v", "69548-6", valueCodeableConcept={"text": "Present"}),
                inside("s", "53037-8", valueCodeableConcept=coded({"code": "LA6668-3"})),
            ],
            "result": [{"reference": "#v"}, {"reference": "#s"}],
        }
        | P
    ),
    Arrival(
        {
            "resourceType": "DiagnosticReport",
            "id": "ecg",
            "status": "final",
            "code": coded({"system": LOINC, "code": "11524-6"}),
            "contained": [
                inside("rate", "8867-4", valueQuantity={"value": 1.2, "code": "/s", "unit": "/s"}),
                inside("rhythm", "8884-9", valueString="Atrial flutter"),
                inside("other", "8867-4", valueQuantity={"value": 5, "code": "/min"}),
                inside(
                    "parts",
                    "34534-8",
                    component=[
                        {
                            "code": coded({"system": LOINC, "code": "8633-0"}),
                            "valueQuantity": {"value": 0.09, "code": "s"},
                        }
                    ],
                ),
            ],
            "result": [{"reference": f"#{name}"} for name in ("rate", "rhythm", "parts")],
        }
        | P
    ),
    observation(
        "lists",
        "8867-4",
        hasMember=[{"reference": "#not there"}, {"reference": "Observation/real"}],
        derivedFrom=[{"reference": "#in"}],
        contained=[{"resourceType": "Observation", "id": "in"}],
    ),
    observation("no number", "8867-4", valueQuantity={"unit": "/min"}),
    observation(
        "unknown",
        "8867-4",
        valueQuantity={"unit": "/min"},
        dataAbsentReason=coded({"code": "unknown"}),
    ),
    observation("below", "x", valueQuantity={"value": -0.0, "comparator": "<="}),
    observation("words", "8867-4", valueQuantity={"value": "seventy"}),
    observation(
        "events",
        "8867-4",
        effectiveTiming={"event": ["2024-03-03T10:00:00Z", "2024-03-03T11:30:00+02:00", "x"]},
    ),
    observation("kilos", "29463-7", valueQuantity={"value": 80, "unit": "Kgs."}),
    observation(
        "modified",
        "8867-4",
        valueQuantity={"value": 60, "code": "/min"},
        modifierExtension=[{"url": "urn:not-so", "valueBoolean": True}],
    ),
    observation(
        "modified inside",
        "8867-4",
        contained=[{"resourceType": "Patient", "id": "x", "modifierExtension": [{"url": "u"}]}],
    ),
    observation(
        "part modified", "85354-9", component=[{"modifierExtension": [{"url": "urn:not-so"}]}]
    ),
    condition("aged", onsetAge={"value": 18, "code": "mo", "unit": "months"}),
    condition("aged about", onsetAge={"value": 40, "code": "a", "comparator": ">"}),
    condition(
        "year", code={"text": "to 2024"}, onsetDateTime="2020-01-01", abatementDateTime="2024"
    ),
    condition(
        "month", code={"text": "to May"}, onsetDateTime="2020-01-01", abatementDateTime="2024-05"
    ),
    encounter("only end", end="2024-06-30T10:00:00Z"),
    encounter("leap", start="2016-12-31T23:59:60Z", end="2017-01-01T01:00:00Z"),
    encounter("before leap", start="2016-12-31T23:59:59.5Z"),
]


@pytest.fixture(scope="module")
def built(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, parsed_once: Path
) -> Iterator[Silver]:
    with fresh_silver(postgres_url, tmp_path_factory.mktemp("home"), parsed_once) as silver:
        silver.land(DROP)
        silver.build(select=None)
        yield silver


def rows(silver: Silver, query: str) -> list[tuple[Any, ...]]:
    return silver.connection.execute(query).fetchall()


def issues(silver: Silver, table: str) -> set[tuple[Any, ...]]:
    query = f"select resource_id, column_name, reason from lake.silver.data_issue where table_name = '{table}'"
    return set(rows(silver, query))


def test_a_genomic_report_is_said_by_one_coding_and_reads_results_by_any(built: Silver) -> None:
    query = (
        "select code, code_system, panel_name, len(codings), result_summary,"
        " has_pathogenic_variant from lake.silver.genomic_report"
    )
    assert rows(built, query) == [("51969-4", LOINC, "Genetic analysis report", 2, "Done", True)]


def test_an_ecg_takes_its_numbers_from_results_inside_it(built: Silver) -> None:
    query = "select heart_rate_bpm, rhythm, qrs_duration_ms from lake.silver.ecg_metadata where ecg_id = 'ecg'"
    assert rows(built, query) == [(72.0, "Atrial flutter", 90.0)]


def test_lists_of_references_hold_what_is_there(built: Silver) -> None:
    query = "select member_ids, derived_from_ids from lake.silver.observation where observation_id = 'lists'"
    assert rows(built, query) == [(["real"], ["lists#in"])]
    assert rows(built, "select replaces_ids from lake.silver.patient where patient_id = 'p2'") == [
        (["p3", "nowhere"],)
    ]
    absent = "contained reference without its target"
    assert ("lists", "member_ids", absent) in issues(built, "observation")
    assert ("p2", "replaces_ids", absent) in issues(built, "patient")
    query = (
        "select reference_count, dangling_count from lake.silver.reference_integrity"
        " where column_name = 'replaces_ids' and reference_count > 0"
    )
    assert rows(built, query) == [(3, 2)]


def test_values_say_what_is_missing(built: Silver) -> None:
    found = issues(built, "observation")
    assert {issue for issue in found if issue[1] == "value"} == {
        ("no number", "value", "quantity without a number"),
        ("words", "value", "quantity without a number"),
    }
    query = "select value::varchar, value_text from lake.silver.observation where observation_id = 'below'"
    assert rows(built, query) == [("0.0", "<= 0")]
    query = "select standard_value, standard_unit from lake.silver.observation where observation_id = 'kilos'"
    assert rows(built, query) == [(80.0, "kg")]


def test_the_time_of_several_events_is_the_earliest(built: Silver) -> None:
    query = "select effective_at from lake.silver.observation where observation_id = 'events'"
    assert rows(built, query) == [("2024-03-03T11:30:00+02:00",)]
    assert ("events", "effective_at", "not a date") in issues(built, "observation")


def test_what_an_unknown_modifier_changes_does_not_count(built: Silver) -> None:
    query = "select observation_id from lake.silver.observation where not counts"
    assert sorted(rows(built, query)) == [("modified",), ("part modified",)]
    reason = "modifierExtension that is not known: the record does not count"
    assert {issue for issue in issues(built, "observation") if issue[1] == "counts"} == {
        ("modified", "counts", reason),
        ("part modified", "counts", reason),
    }


def test_an_age_at_onset_is_a_number_of_years_and_no_date(built: Silver) -> None:
    query = (
        "select condition_id, onset_at, onset_age_years, onset_text from lake.silver.condition"
        " where starts_with(condition_id, 'aged') order by 1"
    )
    assert rows(built, query) == [
        ("aged", None, 1.5, "18 months"),
        ("aged about", None, None, "> 40 a"),
    ]


def test_a_partial_end_is_the_last_day_that_it_can_mean(built: Silver) -> None:
    query = (
        "select encounter_date::varchar, list_sort(list_transform(conditions, lambda c: c.display))"
        " from lake.gold.encounter_summary where encounter_summary_id is not null and encounter_date > '2020-01-01'"
    )
    assert rows(built, query) == [("2024-06-30", ["to 2024"])]


def test_an_encounter_with_only_an_end_is_in_its_month(built: Silver) -> None:
    query = (
        "select distinct encounter_month::varchar from lake.marts.encounter_utilisation order by 1"
    )
    assert rows(built, query) == [("2016-12-01",), ("2024-06-01",)]


def test_a_leap_second_is_after_the_second_before_it(built: Silver) -> None:
    query = "select mean_hours from lake.marts.encounter_utilisation where encounter_month = '2016-12-01'"
    assert rows(built, query) == [(3601 / 3600,)]
