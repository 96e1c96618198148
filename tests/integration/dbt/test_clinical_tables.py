"""One small history, and what each layer makes of it: Silver after two builds, Gold, marts."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.integration.dbt.bronze import Arrival, Silver
from tests.integration.dbt.conftest import fresh_silver
from transformation import contract, dictionary

LOINC = "http://loinc.org"
NPI = "http://hl7.org/fhir/sid/us-npi"
NOTE = "# Chief Complaint\ncough\n\n# Objective\n37.9 Cel\n\n# Assessment and Plan\nrest"
UID = "1.2.840.1"


def code(value: str, display: str | None = None) -> dict[str, Any]:
    return {
        "coding": [{"system": LOINC, "code": value, **({"display": display} if display else {})}]
    }


def text(value: str) -> dict[str, str]:
    data = base64.b64encode(value.encode()).decode()
    return {"contentType": "text/plain; charset=utf-8", "data": data}


def resource(kind: str, id_: str, **content: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": id_, **content}


def of_patient(kind: str, id_: str, encounter: str | None = "e1", **content: Any) -> dict[str, Any]:
    """A resource about patient p1, recorded in an encounter."""
    if encounter is not None:
        content["encounter"] = {"reference": f"Encounter/{encounter}"}
    return resource(kind, id_, subject={"reference": "Patient/p1"}, **content)


def visit(id_: str, started_at: str, patient: str = "Patient/p1", **content: Any) -> dict[str, Any]:
    return resource(
        "Encounter",
        id_,
        status="finished",
        subject={"reference": patient},
        period={"start": started_at, "end": started_at},
        **{"class": {"code": "AMB"}},
        **content,
    )


FIRST = [
    resource(
        "Patient",
        "p1",
        gender="female",
        birthDate="1931-06-30",
        name=[{"family": "Plantedname"}],
        identifier=[{"system": NPI, "value": "mrn-planted"}],
        address=[{"city": "Plantedtown", "state": "MA", "postalCode": "02139"}],
    ),
    visit(
        "e1",
        "2021-06-29T22:30:00-05:00",
        participant=[{"individual": {"reference": f"Practitioner?identifier={NPI}|77"}}],
        type=[code("185349003", "Check-up")],
    ),
    visit("e2", "2021-07-10T09:00:00Z", patient="urn:uuid:p1"),
    visit("e3", "2021", patient="https://fhir.example.org/r4/Patient/p1/_history/2"),
    visit("e4", "2021-07-11T09:00:00Z", patient="Patient/nobody"),
    of_patient("Condition", "c1", code=code("a", "from the start"), onsetDateTime="2020-01-01"),
    of_patient(
        "Condition",
        "c2",
        code=code("b", "over at e2"),
        onsetDateTime="2021-06-29",
        abatementDateTime="2021-07-10T00:00:00Z",
    ),
    of_patient(
        "Condition",
        "c3",
        code=code("c", "one day"),
        onsetDateTime="2021-06-29",
        abatementDateTime="2021-06-29",
    ),
    of_patient("Condition", "c4", code=code("d", "later"), onsetDateTime="2021-07-01"),
    of_patient(
        "Condition", "c5", code=code("e", "no date"), onsetDateTime="some day", recordedDate="2019"
    ),
    of_patient(
        "MedicationRequest",
        "m1",
        status="completed",
        authoredOn="2021-06-01",
        medicationCodeableConcept=code("r1", "to the 10th"),
        dispenseRequest={"validityPeriod": {"end": "2021-07-10"}},
    ),
    of_patient(
        "MedicationRequest",
        "m2",
        status="active",
        authoredOn="2021-06-01",
        medicationCodeableConcept=code("r2", "stopped later"),
    ),
    of_patient(
        "MedicationRequest",
        "m3",
        status="stopped",
        authoredOn="2021-07-01",
        medicationCodeableConcept=code("r2", "stopped later"),
    ),
    of_patient(
        "MedicationRequest",
        "m4",
        status="active",
        authoredOn="2021-06-01",
        medicationReference={"reference": "Medication/late"},
    ),
    of_patient(
        "MedicationRequest",
        "m5",
        status="active",
        authoredOn="2021-06-01",
        contained=[{"resourceType": "Medication", "id": "in", "code": code("r5", "inside")}],
        medicationReference={"reference": "#in"},
    ),
    of_patient(
        "MedicationRequest",
        "m6",
        status="draft",
        medicationReference={"reference": "Medication/never"},
    ),
    of_patient(
        "Observation",
        "bp",
        status="final",
        category=[code("vital-signs")],
        code=code("85354-9"),
        effectiveDateTime="2021-06-29T22:40:00-05:00",
        component=[
            {"code": code("8480-6"), "valueQuantity": {"value": 121.5, "unit": "mm[Hg]"}},
            {"code": code("8462-4"), "valueQuantity": {"value": 80, "unit": "mm[Hg]"}},
        ],
    ),
    of_patient(
        "Observation",
        "odd",
        status="final",
        category=[code("laboratory")],
        code=code("1-1"),
        effectiveDateTime="yesterday",
        valueQuantity={"value": "seventy", "unit": "mg"},
    ),
    of_patient(
        "Observation",
        "below",
        status="final",
        category=[code("laboratory")],
        code=code("1-2"),
        effectiveDateTime="2021-06-29",
        valueQuantity={"value": 5, "comparator": "<", "unit": "mg"},
    ),
    of_patient(
        "Observation",
        "rate",
        status="final",
        category=[code("procedure")],
        code=code("8867-4"),
        valueQuantity={"value": 64},
    ),
    of_patient(
        "Observation",
        "trace",
        status="final",
        category=[code("procedure")],
        code=code("34534-8"),
        valueSampledData={"data": "1 2 3"},
    ),
    of_patient(
        "DiagnosticReport",
        "ecg",
        status="final",
        category=[code("EC")],
        code=code("11524-6"),
        conclusion="Atrial fibrillation.",
        result=[{"reference": "Observation/rate"}, {"reference": "Observation/trace"}],
    ),
    of_patient(
        "DiagnosticReport",
        "gen",
        status="final",
        category=[code("GE")],
        code={"text": "Panel"},
        conclusion="No pathogenic variant. Limitations: few reads.",
    ),
    of_patient(
        "DiagnosticReport",
        "note-as-report",
        status="final",
        code=code("34117-2"),
        presentedForm=[text(NOTE)],
    ),
    resource(
        "DocumentReference",
        "note",
        status="current",
        subject={"reference": "Patient/p1"},
        context={"encounter": [{"reference": "Encounter/e1"}]},
        content=[{"attachment": text(NOTE)}],
    ),
    of_patient(
        "ImagingStudy",
        "i1",
        status="available",
        started="2021-06-29T23:00:00-05:00",
        identifier=[{"system": "urn:dicom:uid", "value": f"urn:oid:{UID}"}],
        numberOfSeries=2,
        series=[{"uid": "s", "modality": {"code": "CT"}}],
    ),
    of_patient(
        "ImagingStudy",
        "i-uid",
        status="available",
        started="2021-06-28T23:00:00-05:00",
        identifier=[
            {"system": "urn:ietf:rfc:3986", "value": "urn:oid:9.2"},
            {"system": "urn:dicom:uid", "value": "urn:oid:9.11"},
        ],
        series=[
            {"uid": "a", "modality": {"code": "SEG"}},
            {"uid": "b", "modality": {"code": "MR"}},
        ],
    ),
    of_patient(
        "ImagingStudy",
        "i-error",
        status="entered-in-error",
        started="2021-06-28T23:00:00-05:00",
        identifier=[{"system": "urn:dicom:uid", "value": "urn:oid:9.12"}],
    ),
    of_patient(
        "ImagingStudy",
        "i-derived",
        status="available",
        started="2021-06-28T23:00:00-05:00",
        series=[{"uid": "a", "modality": {"code": "KO"}}, {"uid": "b", "modality": {"code": "MR"}}],
    ),
    of_patient(
        "Procedure",
        "pr",
        status="completed",
        code=code("x"),
        performedPeriod={"start": "2021-06-29T22:35:00-05:00", "end": "2021-06-29T22:45:00-05:00"},
    ),
    resource(
        "AllergyIntolerance",
        "a1",
        patient={"reference": "Patient/p1"},
        code=code("peanut", "Peanut"),
    ),
]


def header(
    study: str, series: str, instance: str, modality: str | None, **more: Any
) -> dict[str, Any]:
    """What the header of one instance says."""
    uids = {"study_instance_uid": study, "series_instance_uid": f"{study}.{series}"}
    sop = {"sop_instance_uid": f"{study}.{series}.{instance}", "modality": modality}
    return {**uids, **sop, "study_date": "20200131", **more}


IMAGING_HEADERS = [
    # a study of what was taken and what was made from it
    header("9.1", "2", "1", "CT", series_number=2, manufacturer="Second", rows=256),
    header("9.1", "1", "1", "PT", series_number=1, manufacturer="Scanner", series_description="WB"),
    header("9.1", "0", "1", "SEG", series_number=0, manufacturer="Segmenter", rows=4096),
    header("9.1", "3", "1", "SR", manufacturer="Reporter", series_description="Dose"),
    # dates
    header("9.2", "1", "1", "CT", study_date="1993.04.30"),
    header("9.3", "1", "1", "CT", study_date="20200131-20200201"),
    header("9.4", "1", "1", "CT", study_date="00010101"),
    header("9.5", "1", "1", "CT", study_date="19000101"),
    header("9.6", "1", "1", "CT", study_date=""),
    header("9.7", "1", "1", "CT", study_date="20200230"),
    # a series without a number keeps its description; one instance in two folders is one
    header("9.8", "1", "1", "MR", series_description="Localiser", slice_thickness_mm=5.0),
    header("9.8", "1", "1", "MR", series_description="Localiser", slice_thickness_mm=4.0),
    # made from another only
    header("9.9", "1", "1", "SR", manufacturer="Reporter"),
    header("9.10", "1", "1", None, manufacturer="Scanner"),
    # described by resources that are not the first with an OID, or entered in error
    header("9.11", "1", "1", "CT", study_description="Of the header"),
    header("9.12", "1", "1", "CT"),
]
HEADERS = [
    {
        "study_instance_uid": UID,
        "series_instance_uid": "s",
        "sop_instance_uid": "o1",
        "modality": "MR",
        "manufacturer": "UNKNOWN",
        "study_date": "20210629",
        "magnetic_field_strength": 1.5,
        "rows": 512,
        "columns": 256,
    },
    *IMAGING_HEADERS,
    {
        "study_instance_uid": "1.2.9",
        "series_instance_uid": "t",
        "sop_instance_uid": "o2",
        "modality": "US",
        "patient_id": "mrn-planted",
        "study_date": "20200101",
    },
]
SECOND = [
    resource("Practitioner", "doctor", identifier=[{"system": NPI, "value": "77"}]),
    resource("Medication", "late", code=code("r4", "arrived later")),
]


@pytest.fixture(scope="module")
def built(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, parsed_once: Path
) -> Iterator[Silver]:
    with fresh_silver(postgres_url, tmp_path_factory.mktemp("clinical"), parsed_once) as silver:
        silver.land([Arrival(content, "1") for content in FIRST], HEADERS)
        silver.build()
        silver.land([Arrival(content, "1") for content in SECOND])
        silver.build(select="", with_tests=True)
        yield silver


def row(silver: Silver, table: str, key: str, id_: str) -> dict[str, Any]:
    found = silver.connection.execute(f"select * from lake.{table} where {key} = ?", [id_])
    names = [column[0] for column in found.description or []]
    [values] = found.fetchall()
    return dict(zip(names, values, strict=True))


def summary(silver: Silver, encounter: str) -> dict[str, Any]:
    return row(silver, "gold.encounter_summary", "encounter_id", encounter)


def displays(members: list[dict[str, Any]]) -> set[str]:
    return {member["display"] for member in members}


def test_references_resolve_in_every_form(built: Silver) -> None:
    patients = {
        e: row(built, "silver.encounter", "encounter_id", e)["patient_id"]
        for e in ("e1", "e2", "e3", "e4")
    }
    assert patients == {"e1": "p1", "e2": "p1", "e3": "p1", "e4": "nobody"}


def test_a_conditional_reference_resolves_when_its_target_arrives_later(built: Silver) -> None:
    assert row(built, "silver.encounter", "encounter_id", "e1")["provider_id"] == "doctor"


def test_a_medication_is_found_in_the_request_inside_it_or_beside_it_even_later(
    built: Silver,
) -> None:
    found = {
        m: row(built, "silver.medication_request", "medication_request_id", m)["display"]
        for m in ("m1", "m4", "m5")
    }
    assert found == {"m1": "to the 10th", "m4": "arrived later", "m5": "inside"}


def test_values_that_are_none_become_null_and_are_counted(built: Silver) -> None:
    odd = row(built, "silver.observation", "observation_id", "odd")
    assert (odd["value"], odd["unit"], odd["effective_at"]) == (None, "mg", None)
    issues = built.connection.execute(
        "select resource_id, column_name, reason from lake.silver.data_issue order by all"
    ).fetchall()
    assert issues == [
        ("c5", "onset_at", "not a date"),
        ("odd", "effective_at", "not a date"),
        ("odd", "value", "quantity without a number"),
        ("urn:oid:9.3", "study_date", "not a date"),
        ("urn:oid:9.7", "study_date", "not a date"),
    ]


def test_a_comparator_stays_beside_the_number(built: Silver) -> None:
    below = row(built, "silver.observation", "observation_id", "below")
    assert (below["value"], below["value_text"]) == (5.0, "< 5")


def test_references_that_point_nowhere_are_counted(built: Silver) -> None:
    dangling = built.connection.execute(
        "select source_table, column_name, sum(dangling_count) from lake.silver.reference_integrity"
        " where dangling_count > 0 group by all order by all"
    ).fetchall()
    assert dangling == [
        ("encounter", "patient_id", 1),
        ("medication_request", "medication_id", 1),
    ]


def test_a_note_sent_twice_is_one_row_with_its_sections(built: Silver) -> None:
    [note] = built.connection.execute(
        "select note_id, source_resource, note_text, has_subjective, has_objective, has_assessment,"
        " has_plan, char_count from lake.silver.soap_note"
    ).fetchall()
    assert note == ("note", "DocumentReference", NOTE, True, True, True, True, len(NOTE))


def test_an_ecg_takes_its_numbers_and_waveform_from_the_results_of_its_report(
    built: Silver,
) -> None:
    [ecg] = built.connection.execute(
        "select ecg_id, rhythm, heart_rate_bpm, has_waveform from lake.silver.ecg_metadata"
    ).fetchall()
    assert ecg == ("ecg", "Atrial fibrillation", 64.0, True)


def test_a_genomic_report_says_what_was_not_found_and_its_limits(built: Silver) -> None:
    report = row(built, "silver.genomic_report", "report_id", "gen")
    assert report["has_pathogenic_variant"] is False
    assert (report["panel_name"], report["data_limitation"]) == ("Panel", "few reads.")


def test_header_values_win_and_placeholders_are_null(built: Silver) -> None:
    study = row(built, "silver.imaging_study", "study_id", "i1")
    assert (study["modality"], study["manufacturer"], study["rows"]) == ("MR", None, 512)
    assert (study["series_count"], study["dicom_extracted"]) == (2, True)


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        (
            "urn:oid:9.1",
            {
                "modality": "PT",
                "manufacturer": "Scanner",
                "rows": 256,
                "series_description": "WB",
                "series_count": 4,
            },
        ),
        ("urn:oid:9.2", {"study_date": "1993-04-30"}),
        ("urn:oid:9.3", {"study_date": None}),
        ("urn:oid:9.4", {"study_date": None}),
        ("urn:oid:9.5", {"study_date": None}),
        ("urn:oid:9.6", {"study_date": None}),
        ("urn:oid:9.7", {"study_date": None}),
        (
            "urn:oid:9.8",
            {"series_description": "Localiser", "instance_count": 1, "slice_thickness_mm": 4.0},
        ),
        ("urn:oid:9.9", {"modality": "SR", "manufacturer": None}),
        ("urn:oid:9.10", {"modality": None, "manufacturer": "Scanner"}),
        (
            "i-uid",
            {
                "study_instance_uid": "9.11",
                "dicom_extracted": True,
                "modality": "CT",
                "study_description": "Of the header",
            },
        ),
        ("i-derived", {"modality": "MR", "dicom_extracted": False}),
    ],
)
def test_an_imaging_study_is_what_its_acquired_series_say(
    built: Silver, study: str, expected: dict[str, Any]
) -> None:
    found = row(built, "silver.imaging_study", "study_id", study)
    assert {name: found[name] for name in expected} == expected


def test_a_study_that_was_entered_in_error_counts_nowhere(built: Silver) -> None:
    assert row(built, "silver.imaging_study", "study_id", "i-error")["status"] == "entered-in-error"
    [(inventory, silver)] = built.connection.execute(
        "select (select count(*) from lake.marts.imaging_inventory),"
        " (select count(*) from lake.silver.imaging_study)"
    ).fetchall()
    assert inventory == silver - 1


def test_a_study_without_a_resource_is_kept_without_a_patient(built: Silver) -> None:
    study = row(built, "silver.imaging_study", "study_id", "urn:oid:1.2.9")
    assert (study["modality"], study["patient_id"], study["study_date"]) == (
        "US",
        None,
        "2020-01-01",
    )


def test_a_table_that_is_only_its_view_is_there(built: Silver) -> None:
    assert (
        row(built, "silver.allergy_intolerance", "allergy_intolerance_id", "a1")["patient_id"]
        == "p1"
    )


def test_the_date_of_an_encounter_is_the_local_date_and_the_age_is_that_of_the_day(
    built: Silver,
) -> None:
    first = summary(built, "e1")
    assert (first["encounter_date"], first["age_years"]) == (date(2021, 6, 29), 89)
    assert summary(built, "e2")["age_years"] == 90
    assert summary(built, "e3")["encounter_date"] is None


def test_conditions_are_those_active_on_the_date(built: Silver) -> None:
    assert displays(summary(built, "e1")["conditions"]) == {
        "from the start",
        "over at e2",
        "one day",
        "no date",
    }
    assert displays(summary(built, "e2")["conditions"]) == {"from the start", "later", "no date"}
    assert summary(built, "e3")["conditions"] == []


def test_medications_end_with_their_validity_or_a_later_stop(built: Silver) -> None:
    assert displays(summary(built, "e1")["medications"]) == {
        "to the 10th",
        "stopped later",
        "arrived later",
        "inside",
    }
    assert displays(summary(built, "e2")["medications"]) == {
        "to the 10th",
        "arrived later",
        "inside",
    }


def test_blood_pressure_comes_from_components(built: Silver) -> None:
    vitals = {vital["vital_sign"]: vital["value"] for vital in summary(built, "e1")["vitals"]}
    assert vitals == {"systolic_bp": 121.5, "diastolic_bp": 80.0}


def test_each_encounter_has_the_uuid_that_python_would_give_it(built: Silver) -> None:
    namespace = uuid.UUID("0b6fd5d1-6a5c-5c0e-9d0f-6c5f3c1d7a42")
    for id_, encounter in built.connection.execute(
        "select encounter_summary_id, encounter_id from lake.gold.encounter_summary"
    ).fetchall():
        assert id_ == uuid.uuid5(namespace, f"Encounter/{encounter}")


def test_rows_of_gold_satisfy_the_published_schema(built: Silver) -> None:
    schema = json.loads(contract.SCHEMA_FILE.read_text(encoding="utf-8"))
    rows = built.connection.execute(
        "select to_json(s) from lake.gold.encounter_summary as s"
    ).fetchall()
    for (document,) in rows:
        jsonschema.validate(json.loads(document), schema)


def test_the_corpus_manifest_counts_coverage(built: Silver, tmp_path: Path) -> None:
    manifest = contract.write_corpus_manifest(built.connection, tmp_path / "manifest.json")
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    assert (manifest["encounter_count"], manifest["with_note"], manifest["without_date"]) == (
        4,
        1,
        1,
    )
    assert manifest["coverage"]["note"] == 0.25


def plain(data_type: str) -> str:
    """A type as both DuckDB and dbt's YAML could write it: without quotes, and spaces after commas."""
    return data_type.replace('"', "").replace(", ", ",")


def test_every_table_has_exactly_the_documented_columns(built: Silver) -> None:
    for table in dictionary.read_tables():
        described = built.connection.execute(
            f"describe lake.{table.schema}.{table.name}"
        ).fetchall()
        found = [(name, plain(data_type)) for name, data_type, *_ in described]
        written = [(column.name, plain(column.data_type)) for column in table.columns]
        assert found == written, f"{table.schema}.{table.name}"


def test_marts_hold_no_identifier_and_group_high_ages(built: Silver) -> None:
    tables = built.connection.execute(
        "select table_name from duckdb_tables() where database_name = 'lake' and schema_name = 'marts'"
    ).fetchall()
    shown = "\n".join(repr(built.rows(f"marts.{name}")) for (name,) in tables)
    for planted in ("Plantedname", "Plantedtown", "02139", "mrn-planted", "'p1'", "'e1'", UID):
        assert planted not in shown
    ages = built.connection.execute(
        "select age_at_encounter, age_group from lake.marts.patient_encounter_summary"
        " where encounter_date is not null and sex = 'female' order by encounter_date"
    ).fetchall()
    assert ages == [(89, "80-89"), (90, "90+")]


def test_small_cells_are_hidden_when_a_minimum_is_set(built: Silver) -> None:
    limited = Silver(
        built.settings.model_copy(update={"small_cell_minimum": 2}), built.engine, built.connection
    )
    limited.build(select="path:models/marts")
    rows = built.connection.execute(
        "select suppressed, patient_count, prevalence from lake.marts.condition_prevalence"
    ).fetchall()
    assert rows and all(row == (True, None, None) for row in rows)
    sexes = built.connection.execute(
        "select distinct sex, age_at_encounter from lake.marts.patient_encounter_summary"
    ).fetchall()
    assert sexes == [("unknown", None)]
    built.build(select="path:models/marts")


def test_withdrawing_the_drop_empties_silver(built: Silver) -> None:
    built.withdraw(built.submissions[0])
    built.build()
    left = {
        name for name, rows in built.content().items() if rows and name != "reference_integrity"
    }
    assert left == {"medication", "resource_identifier"}
