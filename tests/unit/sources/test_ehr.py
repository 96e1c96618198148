"""Rows of EHR tables as FHIR resources: valid ones, stable ids, nothing made up."""

# ruff: noqa: E501 - files of tables have long lines

from __future__ import annotations

import json
from typing import Any

import pytest

from ingestion.sources import StagedFile
from ingestion.sources.ehr import EhrSource
from ingestion.sources.fhir import FhirSource

P, E = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
TABLES = {
    "synthea_patients": "Id,BIRTHDATE,DEATHDATE,SSN,FIRST,LAST,MARITAL,RACE,ETHNICITY,GENDER,CITY,STATE,ZIP\n"
    f"{P},1951-02-03,,999-12-3456,Ann,Planted,M,white,nonhispanic,F,Oslo,MA,02139\n",
    "synthea_encounters": "Id,START,STOP,PATIENT,ORGANIZATION,PROVIDER,ENCOUNTERCLASS,CODE,DESCRIPTION,REASONCODE,REASONDESCRIPTION\n"
    f"{E},2023-01-27T16:17:47Z,2023-01-27T16:32:47Z,{P},o1,d1,emergency,50849002,Emergency visit,195662009,Pharyngitis\n",
    "synthea_conditions": "START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION\n"
    f"2023-01-27,2023-02-09,{P},{E},195662009,Pharyngitis\n2023-01-27,,{P},{E},59621000,Hypertension\n",
    "synthea_allergies": "START,STOP,PATIENT,ENCOUNTER,CODE,SYSTEM,DESCRIPTION,TYPE,CATEGORY,REACTION1,DESCRIPTION1,SEVERITY1\n"
    f"2009-09-27,,{P},{E},1191,RxNorm,Aspirin,allergy,medication,247472004,Wheal,MODERATE\n",
    "synthea_medications": "START,STOP,PATIENT,PAYER,ENCOUNTER,CODE,DESCRIPTION,DISPENSES\n"
    f"2009-09-27T14:12:44Z,,{P},x,{E},665078,Loratadine,1\n2009-09-27T14:12:44Z,2010-01-01T00:00:00Z,{P},x,{E},665078,Loratadine,1\n",
    "synthea_observations": "DATE,PATIENT,ENCOUNTER,CATEGORY,CODE,DESCRIPTION,VALUE,UNITS,TYPE\n"
    f"2023-10-10T04:17:47Z,{P},{E},vital-signs,8302-2,Body Height,127.90,cm,numeric\n"
    f"2023-10-10T04:17:47Z,{P},{E},survey,72166-2,Smoking,Never smoker,,text\n"
    f"2023-10-10T04:17:47Z,{P},,,QALY,QALY,8.0,a,numeric\n",
    "synthea_procedures": "START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION,BASE_COST,REASONCODE,REASONDESCRIPTION\n"
    f"2023-10-10T04:17:47Z,2023-10-10T04:32:47Z,{P},{E},430193006,Reconciliation,1.0,,\n",
    "synthea_immunizations": f"DATE,PATIENT,ENCOUNTER,CODE,DESCRIPTION,BASE_COST\n2023-10-10T04:17:47Z,{P},{E},140,Influenza,1.0\n",
    "synthea_careplans": f"Id,START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION,REASONCODE,REASONDESCRIPTION\ncp1,2009-09-13,,{P},{E},384758001,Self-care,,\n",
    "synthea_devices": f"START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION,UDI\n1976-07-25T11:25:06Z,,{P},{E},705643001,Stent,(01)1\n",
    "synthea_imaging_studies": f"Id,DATE,PATIENT,ENCOUNTER,SERIES_UID,BODYSITE_CODE,BODYSITE_DESCRIPTION,MODALITY_CODE,SOP_CODE,PROCEDURE_CODE\nim1,2023-06-06T12:00:08Z,{P},{E},1.2.3,51185008,Chest,DX,1.2.840.10008.5.1.4.1.1.1.1,399208008\n",
    "synthea_payer_transitions": f"PATIENT,MEMBERID,START_YEAR,END_YEAR,PAYER,SECONDARY_PAYER,OWNERSHIP,OWNERNAME\n{P},m1,2014,2015,x,,Self,Ann\n",
    "synthea_payers": "Id,NAME,ADDRESS,CITY,STATE_HEADQUARTERED,ZIP,AMOUNT_COVERED,MEMBER_MONTHS,QOLS_AVG\npay1,Payer,,,MD,21244,1,2,NaN\n",
    "synthea_organizations": "Id,NAME,ADDRESS,CITY,STATE,ZIP,PHONE,REVENUE,UTILIZATION\no1,Hospital,,Oslo,MA,02139,5551234,0.0,46\n",
    "synthea_providers": "Id,ORGANIZATION,NAME,GENDER,SPECIALITY,UTILIZATION\nd1,o1,Dr. Who,F,GENERAL PRACTICE,46\n",
    "synthea_supplies": f"DATE,PATIENT,ENCOUNTER,CODE,DESCRIPTION,QUANTITY\n2020-10-07,{P},{E},409534002,Respirator,2\n",
    "plain_member": "member_id,birth_date,gender,first_name,last_name,state,zip_code\nM1,1960-05-06,male,Max,Planted,WA,98101\n",
}  # fmt: skip


def _read(reader: Any, layout: str, text: str) -> Any:
    info = reader.store.put(f"raw/s/{layout}.csv", text.encode())
    return reader.read(
        EhrSource(), [StagedFile(f"{layout}.csv", info.key, info.size, "ehr_csv", layout, "1")]
    )


def _resources(reader: Any, layout: str) -> list[dict[str, Any]]:
    outcome = _read(reader, layout, TABLES[layout])
    assert outcome.refused == []
    return [json.loads(row["resource"]) for row in outcome.rows]


@pytest.mark.parametrize("layout", TABLES)
def test_every_table_gives_resources_that_are_taken_as_fhir(reader: Any, layout: str) -> None:
    resources = _resources(reader, layout)
    lines = "\n".join(json.dumps(one) for one in resources).encode()
    outcome = reader(FhirSource(), {"again.ndjson": lines}, "fhir_ndjson")

    assert len(resources) == TABLES[layout].count("\n") - 1
    assert outcome.refused == []
    assert len({row["resource_id"] for row in outcome.rows}) == len(resources)


def test_a_patient_has_what_the_row_says(reader: Any) -> None:
    (patient,) = _resources(reader, "synthea_patients")

    assert (patient["id"], patient["birthDate"], patient["gender"]) == (P, "1951-02-03", "female")
    assert patient["extension"][0]["extension"][1]["valueString"] == "White"
    assert "deceasedDateTime" not in patient


def test_numbers_keep_their_digits_and_only_loinc_codes_are_loinc(reader: Any) -> None:
    outcome = _read(reader, "synthea_observations", TABLES["synthea_observations"])

    assert '"value":127.90' in outcome.rows[0]["resource"]
    systems = [json.loads(row["resource"])["code"]["coding"][0].get("system") for row in outcome.rows]  # fmt: skip
    assert systems == ["http://loinc.org", "http://loinc.org", None]


def test_an_end_that_came_later_is_the_same_record(reader: Any) -> None:
    row = f"2023-01-27,,{P},{E},195662009,Pharyngitis\n"
    header = TABLES["synthea_conditions"].splitlines()[0] + "\n"
    first = _read(reader, "synthea_conditions", header + row).rows
    later = _read(reader, "synthea_conditions", header + row.replace(",,", ",2023-03-01,", 1)).rows

    assert first[0]["resource_id"] == later[0]["resource_id"]
    assert json.loads(later[0]["resource"])["clinicalStatus"]["coding"][0]["code"] == "resolved"


def test_rows_that_nothing_tells_apart_stand_together(reader: Any) -> None:
    first, second = _resources(reader, "synthea_medications")

    assert first["id"] != second["id"]
    assert (first["status"], second["status"]) == ("active", "completed")


def test_a_row_without_its_patient_or_with_no_time_is_refused(reader: Any) -> None:
    header = TABLES["synthea_conditions"].splitlines()[0]
    text = f"{header}\n2023-01-27,,,{E},1,x\n2023-02-30,,{P},{E},1,x\n27/01/2023,,{P},{E},1,x\n"

    assert _read(reader, "synthea_conditions", text).refused == [
        ("line 2", "missing_value"),
        ("line 3", "invalid_value"),
        ("line 4", "invalid_value"),
    ]
