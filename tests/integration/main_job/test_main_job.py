"""The main job end to end, by command: a drop becomes published marts; again, nothing changes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tarfile
from collections import defaultdict
from pathlib import Path

import pytest

from lakehouse.privacy import pseudonym
from tests.integration.main_job.conftest import ROOT, Lakehouse, rows

SAMPLES = ROOT / "samples"

#: Silver table → resource types whose distinct ids it holds one row for.
SILVER = {
    "patient": "Patient",
    "encounter": "Encounter",
    "condition": "Condition",
    "observation": "Observation",
    "procedure": "Procedure",
    "medication_request": "MedicationRequest",
    "imaging_study": "ImagingStudy",
}


def snapshots(lakehouse: Lakehouse) -> int:
    found = rows(lakehouse, "select max(snapshot_id) as newest from ducklake_snapshots('lake')")
    return int(found[0]["newest"])


@pytest.mark.slow
def test_the_sample_drops_become_published_marts_and_a_second_demo_changes_nothing(
    lakehouse: Lakehouse, home: Path
) -> None:
    first = lakehouse("demo").stdout
    assert "Published marts" in first
    told = [line.split()[1] for line in first.splitlines() if line.startswith(" ✓ ")]
    assert list(dict.fromkeys(told)) == ["intake", "landing", "silver", "check", "gold", "publish"]
    expected = json.loads((SAMPLES / "expected.json").read_text(encoding="utf-8"))
    live = expected["live_after_all_drops"]
    counted = {
        table: rows(lakehouse, f"select count(*) as n from silver.{table}")[0]["n"]
        for table in SILVER
    }
    # A study known from DICOM headers alone has a row too.
    orphans = rows(
        lakehouse,
        "select count(distinct study_instance_uid) as n from bronze.dicom_instance "
        "where study_instance_uid not in "
        "(select study_instance_uid from silver.imaging_study where study_instance_uid is not null)",
    )[0]["n"]
    assert orphans in (0, 1)
    for table, resource_type in SILVER.items():
        if table == "imaging_study":
            assert counted[table] >= live[resource_type]
        else:
            assert counted[table] == live[resource_type], table

    before = snapshots(lakehouse)
    second = lakehouse("demo").stdout
    assert "Nothing new" in second
    assert snapshots(lakehouse) == before
    what_people_look_at_next(lakehouse, home)

    # Each model is in its own schema, and nothing is elsewhere (docs/decisions/0029).
    tables = rows(
        lakehouse,
        "select table_schema, table_name from information_schema.tables "
        "where table_catalog = 'lake' and table_schema <> 'bronze'",
    )
    assert {(row["table_schema"], row["table_name"]) for row in tables} == {
        (layer, model.stem)
        for layer in ("silver", "gold", "marts")
        for model in (ROOT / "dbt" / "models" / layer).rglob("*.sql")
        if "ephemeral" not in model.read_text(encoding="utf-8")
    }


def what_people_look_at_next(lakehouse: Lakehouse, home: Path) -> None:
    """Quarantine, checks and the walkthrough, in a terminal of 80 columns."""
    quarantined = json.loads(lakehouse("quarantine", "--json").stdout)
    assert len(quarantined) > 20
    assert all(item["next_step"] and item["path"].startswith("ref:") for item in quarantined)
    for words in (["status"], ["quarantine"], ["check"], ["check", "--all"], ["walkthrough"]):
        shown = lakehouse(*words, COLUMNS="80").stdout
        assert shown
        assert max(len(line) for line in shown.splitlines()) <= 80, words

    what_the_readme_says(lakehouse)
    what_dashboards_call_things(lakehouse)

    key = (home / "secrets" / "privacy_key").read_text(encoding="utf-8").strip().encode()
    gold = rows(lakehouse, "select encounter_id from gold.encounter_summary")
    marts = rows(lakehouse, "select encounter_key from marts.patient_encounter_summary")
    assert {row["encounter_key"] for row in marts} == {
        pseudonym(f"Encounter/{row['encounter_id']}", key) for row in gold
    }


def what_dashboards_call_things(lakehouse: Lakehouse) -> None:
    """One name for each code, in words, and no length that no encounter has."""
    summary = "marts.patient_encounter_summary"
    several = f"""select encounter_type_code from {summary} group by all
                  having count(distinct encounter_type) > 1"""
    assert rows(lakehouse, several) == []
    classes = {
        row["encounter_class"]
        for row in rows(lakehouse, f"select distinct encounter_class from {summary}")
    }
    assert {"ambulatory", "emergency", "inpatient"} <= classes
    longest = rows(lakehouse, "select max(mean_hours) as h from marts.encounter_utilisation")
    assert longest[0]["h"] <= 87_600


#: Commands of the README that start services or other containers, or take what a reader names.
NOT_RUN_HERE = {"up", "down", "drop", "run", "demo", "credentials"}


def what_the_readme_says(lakehouse: Lakehouse) -> None:
    """Every command and every query of the README, as it stands there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    found = re.findall(r"\.venv/bin/lakehouse ((?:[^\"\n#]|\"[^\"]*\")+)", block)
    assert any(words.startswith("sql") for words in found)
    for words in found:
        arguments = shlex.split(words)
        if arguments[0] not in NOT_RUN_HERE:
            assert lakehouse(*arguments).stdout, words


@pytest.mark.slow
@pytest.mark.real_data
def test_each_silver_table_holds_the_distinct_ids_counted_from_real_files(
    lakehouse: Lakehouse, test_data: Path, tmp_path: Path
) -> None:
    ids: dict[str, set[str]] = defaultdict(set)
    for name in ("fhir_synthea_100", "fhir_synthea_notes_79"):
        folder = tmp_path / name
        with tarfile.open(test_data / f"{name}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
        for file in folder.rglob("*.json"):
            bundle = json.loads(file.read_bytes())
            for entry in bundle.get("entry", []) or [{"resource": bundle}]:
                ids[entry["resource"]["resourceType"]].add(entry["resource"]["id"])
        lakehouse("drop", str(folder), "--drop-id", name)
    lakehouse("run")
    for table, resource_type in SILVER.items():
        counted = rows(
            lakehouse,
            f"select count(*) as n, count(distinct {_key(table)}) as d from silver.{table}",
        )
        assert counted[0]["n"] == counted[0]["d"] == len(ids[resource_type]), table
    marts = rows(lakehouse, "select count(*) as n from marts.patient_encounter_summary")
    assert marts[0]["n"] == len(ids["Encounter"])
    lakehouse("verify")


def _key(table: str) -> str:
    return "study_id" if table == "imaging_study" else f"{table}_id"


@pytest.mark.slow
def test_a_withdrawn_submission_leaves_no_row_in_silver_gold_or_marts(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    lakehouse("drop", str(SAMPLES / "drops/cohort-b/fhir/2026-01-cohort-b"))
    lakehouse("run")
    submission = json.loads(lakehouse("status", "--json").stdout)["submissions"][0]
    lakehouse("withdraw", submission["submission_id"], "--reason", "sent by mistake")
    lakehouse("run")
    for table in (
        "silver.patient",
        "silver.observation",
        "gold.encounter_summary",
        "marts.patient_encounter_summary",
    ):
        assert rows(lakehouse, f"select count(*) as n from {table}")[0]["n"] == 0, table
    assert (
        "submission.withdrawn"
        in lakehouse("audit", f"submission:{submission['submission_id']}").stdout
    )
    assert "intact" in lakehouse("audit").stdout


@pytest.mark.slow
def test_a_query_that_is_wrong_says_so_and_fails(lakehouse: Lakehouse) -> None:
    lakehouse("init")
    done: subprocess.CompletedProcess[str] = lakehouse(
        "sql", "select nonsense from nowhere", check=False
    )
    assert done.returncode == 1
    assert "The query failed" in done.stderr
