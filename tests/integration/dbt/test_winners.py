"""Which version of a resource is the one that Silver shows, and what references stand for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingestion.sources.fhir.identity import id_of_condition
from tests.integration.dbt.bronze import Arrival, Silver
from tests.integration.dbt.conftest import fresh_silver

UUIDS = ("f47ac10b-58cc-4372-a567-0e02b2c3d479", "1b4e28ba-2fa1-11d2-883f-0016d3cca427")
#: 88 characters, as Epic writes them.
LONG = "e" + "A1b.-" * 17 + "xY"
GENE_REPORT = {"coding": [{"system": "http://loinc.org", "code": "51969-4"}]}


def patient(id_: str, year: int, **more: Any) -> Arrival:
    content = {"resourceType": "Patient", "id": id_, "birthDate": f"{year}-01-01"}
    return Arrival(content, **more)


def deletion(id_: str, **more: Any) -> Arrival:
    return Arrival({"resourceType": "Patient", "id": id_}, deleted=True, **more)


def observed(id_: str, **references: str) -> Arrival:
    body = {element: {"reference": text} for element, text in references.items()}
    return Arrival({"resourceType": "Observation", "id": id_, "status": "final"} | body)


def observed_inside(id_: str, *contained: str) -> Arrival:
    """About Patient #p and during Encounter #e, of which it contains what is listed as `Type/id`."""
    inside = [dict(zip(("resourceType", "id"), key.split("/"), strict=True)) for key in contained]
    arrival = observed(id_, subject="#p", encounter="#e")
    return Arrival({**arrival.content, "contained": inside})


def report(id_: str, *contained: dict[str, Any], result: list[str]) -> Arrival:
    return Arrival(
        {
            "resourceType": "DiagnosticReport",
            "id": id_,
            "status": "final",
            "code": GENE_REPORT,
            "contained": list(contained),
            "result": [{"reference": text} for text in result],
        }
    )


def variant(id_: str, significance: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "69548-6"}]},
        "component": [
            {
                "code": {"coding": [{"code": "local"}, {"code": "53037-8"}]},
                "valueCodeableConcept": {"coding": [{"code": significance}]},
            }
        ],
    } | more


FIRST = [
    patient("uuid", 1901, version=UUIDS[0], updated="2024-01-01T00:00:00Z"),
    patient("number", 1901, version="9", updated="2024-01-01T00:00:00Z"),
    patient("newer first", 1999, version="2", updated="2024-06-01T00:00:00Z"),
    patient("instant", 1999, updated="2024-01-01T00:30:00Z"),
    patient("time beats version", 1999, version="3", updated="2024-06-01T00:00:00Z"),
    patient("same time", 1999, version="10", updated="2024-01-01T00:00:00Z"),
    patient("no time", 1999, version="10"),
    patient("time on one", 1999, version="2"),
    patient("long version", 1999, version="9" * 70),
    patient("whole", 1999, updated="2024-01-01T00:00:00Z"),
    patient("part only", 1999, subset=True),
    patient("CASE", 1901),
    patient("case", 1999),
    patient("created", 1999, condition="Patient?identifier=1", created=True),
    patient("created again", 1901, condition="Patient?identifier=2", created=True),
    patient("put by condition", 1901, condition="Patient?identifier=3"),
    patient("deleted bare", 1901, version="2", updated="2024-02-01T00:00:00Z"),
    patient("deleted by version", 1901, version="2", updated="2024-02-01T00:00:00Z"),
    deletion("deleted before", version="3", updated="2024-03-01T00:00:00Z"),
    patient("sent again", 1901, updated="2024-02-01T00:00:00Z"),
    # a history: newest first
    deletion("history", history=True),
    patient("history", 1901, version="2", updated="2024-02-01T00:00:00Z", history=True),
    patient("history", 1901, version="1", updated="2024-01-01T00:00:00Z", history=True),
    patient("back", 1999, version="3", updated="2024-03-01T00:00:00Z", history=True),
    deletion("back", history=True),
    patient("back", 1901, version="1", updated="2024-01-01T00:00:00Z", history=True),
    patient("nothing said", 1999, history=True),
    patient("nothing said", 1901, history=True),
    Arrival({"resourceType": "Patient", "id": LONG, "birthDate": "1999-01-01"}),
    Arrival({"resourceType": "Encounter", "id": "0ab-oid.1", "status": "finished"}),
    observed("whole id", subject=f"Patient/{LONG}"),
    observed("whole id in url", subject=f"https://a.org/fhir/Patient/{LONG}/_history/7"),
    observed("uuid in capitals", subject="urn:uuid:CASE"),
    observed("oid", subject="Patient/case", encounter="urn:oid:0ab-oid.1"),
    observed("version", subject="Patient/case/_history/3"),
    observed("group", subject="Group/case"),
    observed("nowhere", subject="Patient?identifier=urn:mrn|9"),
    observed_inside("inside", "Patient/p", "Encounter/e"),
    observed_inside("half inside", "Patient/p", "Encounter/other"),
    observed_inside("other type inside", "Practitioner/p", "Encounter/E"),
    observed_inside("nothing inside"),
    report("inside", variant("v1", "LA6668-3"), variant("v2", "benign"), result=["#v1", "#v2"]),
    report("not named", variant("v1", "LA6668-3"), result=[]),
    report("in error", variant("v1", "LA6668-3", status="entered-in-error"), result=["#v1"]),
]
SECOND = [
    patient("uuid", 1999, version=UUIDS[1], updated="2024-06-01T00:00:00Z"),
    patient("number", 1999, version="10", updated="2024-06-01T00:00:00Z"),
    patient("newer first", 1901, version="1", updated="2024-01-01T00:00:00Z"),
    patient("instant", 1901, updated="2024-01-01T01:00:00+01:00"),
    patient("time beats version", 1901, version="5", updated="2024-05-01T00:00:00Z"),
    patient("same time", 1901, version="9", updated="2024-01-01T00:00:00Z"),
    patient("no time", 1901, version="9"),
    patient("time on one", 1901, version="1", updated="2024-01-01T00:00:00Z"),
    patient("long version", 1901, version="8" * 70),
    patient("whole", 1901, updated="2024-06-01T00:00:00Z", subset=True),
    patient("created", 1901, condition="Patient?identifier=1", created=True),
    deletion(id_of_condition("Patient?identifier=2")),
    patient("put by condition", 1999, condition="Patient?identifier=3"),
    deletion("deleted bare"),
    deletion("deleted by version", version="3"),
    patient("deleted before", 1901, version="2", updated="2024-02-01T00:00:00Z"),
    deletion("sent again"),
]
THIRD = [
    patient("created again", 1999, condition="Patient?identifier=2", created=True),
    patient("sent again", 1999, updated="2024-02-01T00:00:00Z"),
]


@pytest.fixture(scope="module")
def built(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, parsed_once: Path
) -> Iterator[Silver]:
    with fresh_silver(postgres_url, tmp_path_factory.mktemp("home"), parsed_once) as silver:
        for arrivals in (FIRST, SECOND, THIRD):
            silver.land(arrivals)
        silver.build()
        yield silver


def test_the_winner_is_the_one_that_the_specification_names(built: Silver) -> None:
    found = dict(
        built.connection.execute(
            "select patient_id, birth_date[:4] from lake.silver.patient"
        ).fetchall()
    )
    gone = {"deleted bare", "deleted by version", "deleted before", "history"}
    arrived = {
        arrival.resource_id
        for arrival in (*FIRST, *SECOND, *THIRD)
        if arrival.content["resourceType"] == "Patient"
    }
    assert found == dict.fromkeys(arrived - gone, "1999") | {"CASE": "1901"}


def test_references_are_resolved_whole_or_counted(built: Silver) -> None:
    rows = built.connection.execute(
        "select observation_id, patient_id, encounter_id from lake.silver.observation"
    ).fetchall()
    assert {row[0]: row[1:] for row in rows} == {
        "whole id": (LONG, None),
        "whole id in url": (LONG, None),
        "uuid in capitals": ("case", None),
        "oid": ("case", "0ab-oid.1"),
        "version": ("case", None),
        "group": (None, None),
        "inside": ("inside#p", "inside#e"),
        "half inside": ("half inside#p", None),
        "other type inside": (None, None),
        "nothing inside": (None, None),
        "nowhere": (None, None),
    }
    counted = built.connection.execute(
        "select column_name, reference_count, resolved_count, dangling_count"
        " from lake.silver.reference_integrity"
        " where source_table = 'observation' and reference_count > 0 order by all"
    ).fetchall()
    assert counted == [("encounter_id", 5, 2, 3), ("patient_id", 11, 7, 4)]
    issues = built.connection.execute(
        "select resource_id, reason from lake.silver.data_issue"
        " where table_name = 'observation' order by all"
    ).fetchall()
    assert issues == [
        ("group", "reference to something else"),
        ("half inside", "contained reference without its target"),
        *[("nothing inside", "contained reference without its target")] * 2,
        ("nowhere", "conditional reference without its target"),
        *[("other type inside", "contained reference without its target")] * 2,
    ]


def test_results_inside_a_genomic_report_count_where_it_names_them(built: Silver) -> None:
    rows = built.connection.execute(
        "select report_id, has_pathogenic_variant, data_limitation from lake.silver.genomic_report"
        " order by all"
    ).fetchall()
    assert rows == [
        ("in error", None, "result observations are missing"),
        ("inside", True, None),
        ("not named", None, "no result observations"),
    ]
