"""What a condition names is found by its identifier, whatever came first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingestion.sources.fhir.identity import id_of_condition
from tests.integration.dbt.bronze import Arrival, Silver
from tests.integration.dbt.conftest import fresh_silver

MRN = "urn:oid:2.16.840.1"


def condition(value: str, kind: str = "Patient") -> str:
    return f"{kind}?identifier={MRN}|{value}"


def made(value: str, kind: str = "Patient") -> str:
    return id_of_condition(condition(value, kind))


def patient(id_: str, year: int, *values: str, **more: Any) -> Arrival:
    """A patient with these identifiers; with ``condition`` its id is the one made from it."""
    content = {
        "resourceType": "Patient",
        "id": id_,
        "birthDate": f"{year}-01-01",
        "identifier": [{"system": MRN, "value": value} for value in values],
    }
    return Arrival(content, **more)


def put(value: str, year: int, *values: str, **more: Any) -> Arrival:
    return patient("", year, *(values or (value,)), condition=condition(value), **more)


def created(value: str, year: int, **more: Any) -> Arrival:
    return put(value, year, created=True, **more)


def deleted(value: str) -> Arrival:
    return put(value, 1900, deleted=True)


def encounter(id_: str, value: str, **more: Any) -> Arrival:
    """An encounter of the patient that an entry of the same bundle names by condition."""
    content = {
        "resourceType": "Encounter",
        "id": id_,
        "subject": {"reference": f"Patient/{made(value)}"},
    }
    return Arrival(content, names=[condition(value)], **more)


def report(id_: str, result: str) -> Arrival:
    """A genomic report, whose result its bundle created by condition."""
    content = {
        "resourceType": "DiagnosticReport",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "51969-4"}]},
        "result": [{"reference": f"Observation/{made(result, 'Observation')}"}],
    }
    return Arrival(content, names=[condition(result, "Observation")])


def variant(id_: str, value: str, **more: Any) -> Arrival:
    content = {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "identifier": [{"system": MRN, "value": value}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "69548-6"}]},
        "component": [
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": "53037-8"}]},
                "valueCodeableConcept": {"coding": [{"code": "LA6668-3"}]},
            }
        ],
    }
    return Arrival(content, **more)


FIRST = [
    patient("updated", 1901, "u"),
    patient("stays", 1999, "s"),
    patient("gone", 1901, "g"),
    patient("twin-1", 1999, "t"),
    patient("twin-2", 1999, "t"),
    patient("other", 1999, "other"),
    patient("deleted", 1901, "d"),
    put("alone", 1901),
    put("n1", 1901, "n1", "n2"),
    put("m1", 1901, "m1", "m2"),
    put("k1", 1901),
    variant("r1", "r"),
    patient('odd"id', 1901, "odd"),
    patient("by-id", 1901, "i"),
]
SECOND = [
    put("u", 1999, "u", "second"),
    created("s", 1901),
    deleted("g"),
    put("t", 1901),
    Arrival({"resourceType": "Patient", "id": "deleted"}, deleted=True),
    put("alone", 1999),
    put("n2", 1999, "n1", "n2"),
    put("m2", 1999, "m2"),
    deleted("k1"),
    put("odd", 1999),
    patient("", 1999, "i", condition="Patient?_id=by-id"),
    encounter("of updated", "u"),
    encounter("of stays", "s"),
    encounter("of alone", "alone"),
    encounter("of odd", "odd"),
    encounter("of twins", "t"),
    encounter("", "u", condition=condition("e", "Encounter")),
    Arrival(
        {
            "resourceType": "Encounter",
            "id": "by reference",
            "subject": {"reference": condition("second")},
        }
    ),
    variant("", "r", condition=condition("r", "Observation"), created=True),
    report("report", "r"),
]
#: Who is there in the end: their ids and years of birth.
RIGHT = {
    "updated": "1999",
    "stays": "1999",
    "twin-1": "1999",
    "twin-2": "1999",
    "other": "1999",
    made("alone"): "1999",
    min(made("n1"), made("n2")): "1999",
    made("m1"): "1999",
    'odd"id': "1999",
    "by-id": "1999",
}


def at(time: str, arrivals: Sequence[Arrival]) -> list[Arrival]:
    return [replace(arrival, updated=f"{time}T00:00:00Z") for arrival in arrivals]


@pytest.fixture(scope="module", params=["in one drop", "later one first"])
def built(
    request: pytest.FixtureRequest,
    postgres_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    parsed_once: Path,
) -> Iterator[Silver]:
    first, second = at("2024-01-01", FIRST), at("2024-06-01", SECOND)
    with fresh_silver(postgres_url, tmp_path_factory.mktemp("home"), parsed_once) as silver:
        if request.param == "in one drop":
            silver.land([*first, *second])
        else:
            silver.land(second)
            silver.build()
            silver.land(first)
        silver.build()
        yield silver


def rows(silver: Silver, query: str) -> dict[str, Any]:
    return dict(silver.connection.execute(query).fetchall())


def test_what_a_condition_names_is_one_resource(built: Silver) -> None:
    assert rows(built, "select patient_id, birth_date[:4] from lake.silver.patient") == RIGHT


def test_references_go_to_what_the_condition_names(built: Silver) -> None:
    assert rows(built, "select encounter_id, patient_id from lake.silver.encounter") == {
        "of updated": "updated",
        "of stays": "stays",
        "of alone": made("alone"),
        "of odd": 'odd"id',
        "of twins": made("t"),
        made("e", "Encounter"): "updated",
        "by reference": "updated",
    }
    assert rows(
        built, "select report_id, has_pathogenic_variant from lake.silver.genomic_report"
    ) == {"report": True}
    query = (
        "select column_name, dangling_count from lake.silver.reference_integrity"
        " where source_table = 'encounter' and reference_count > 0"
    )
    assert rows(built, query) == {"patient_id": 1}


def test_a_condition_that_names_several_is_an_issue(built: Silver) -> None:
    query = "select resource_id, reason from lake.silver.data_issue where column_name = 'condition'"
    assert rows(built, query) == {
        made("t"): "a condition that names several resources: what was asked was not done"
    }


def test_without_the_resource_it_found_a_condition_names_its_own(silver: Silver) -> None:
    drops = [silver.land(at("2024-01-01", FIRST)), silver.land(at("2024-06-01", SECOND))]
    silver.build()
    silver.withdraw(drops[0])
    silver.build()
    assert rows(silver, "select patient_id, birth_date[:4] from lake.silver.patient") == {
        **{made(value): "1999" for value in ("u", "alone", "n2", "m2", "odd")},
        **{made(value): "1901" for value in ("s", "t")},
        "by-id": "1999",
    }
    in_steps = silver.content()
    silver.build(full_refresh=True)
    assert in_steps == silver.content()
