"""Which Silver columns take the elements of a resource."""

from __future__ import annotations

import json

import duckdb
import pytest

from transformation.coverage import CoveredElement, TakenElement, coverage, taken_elements


@pytest.fixture
def bronze() -> duckdb.DuckDBPyConnection:
    patient = {
        "resourceType": "Patient",
        "id": "planted-id",
        "name": [{"family": "Planted", "given": ["Ann", "Beth"]}],
        "gender": "female",
        "John Planted": 1,
        "photo": None,
    }
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as lake")
    connection.execute("create schema lake.bronze")
    connection.execute(
        "create table lake.bronze.fhir_resource as select 's1' as submission_id,"
        " 'Patient' as resource_type, ?::varchar as resource",
        [json.dumps(patient)],
    )
    return connection


def test_every_element_that_arrived_is_counted_and_no_value_is_told(
    bronze: duckdb.DuckDBPyConnection,
) -> None:
    found = coverage(bronze, "s1")
    assert found == [
        CoveredElement("Patient", "(no element name)", 1, 1, ()),
        CoveredElement("Patient", "gender", 1, 1, ("silver.patient.gender",)),
        CoveredElement(
            "Patient", "id", 1, 1, ("bronze.fhir_resource.resource_id", "silver.patient.patient_id")
        ),
        CoveredElement("Patient", "name.family", 1, 1, ()),
        CoveredElement("Patient", "name.given", 1, 2, ()),
    ]
    assert "lanted" not in repr(found)


def test_another_submission_holds_nothing_of_it(bronze: duckdb.DuckDBPyConnection) -> None:
    assert coverage(bronze, "s2") == []


def test_elements_below_one_that_is_taken_whole_are_taken() -> None:
    whole = TakenElement("component", True, "c")
    assert whole.takes("component.code.text")
    assert not whole.takes("componentry")
    assert not TakenElement("component", False, "c").takes("component.code")


def test_columns_are_named_as_in_their_table() -> None:
    columns = {(e.path, e.column) for e in taken_elements()["Observation"]}
    assert ("subject.reference", "silver.observation.patient_id") in columns
    assert ("interpretation", "silver.observation.interpretation") in columns
    assert ("interpretation", "silver.ecg_metadata (interpretation_concepts)") in columns
