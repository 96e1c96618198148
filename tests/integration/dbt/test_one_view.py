"""What a change of one view makes anew: its table and those that read it, nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dbt.bronze import Arrival, Silver
from transformation import dbt_runner, fingerprints

#: Written in every build in which one of Silver's tables is made anew; they remember and count.
_SUPPORT = {"data_issue", "resource_identifier", "resource_identity", "resource_link"}
_ECG = {"coding": [{"system": "http://loinc.org", "code": "11524-6"}]}


@pytest.fixture
def changed_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of dbt's project, which builds from now on."""
    project = tmp_path / "dbt"
    shutil.copytree(dbt_runner.PROJECT, project)
    monkeypatch.setattr(dbt_runner, "PROJECT", project)
    return project


def test_one_view_makes_one_table_anew(silver: Silver, changed_project: Path) -> None:
    report = {"resourceType": "DiagnosticReport", "id": "r1", "code": _ECG}
    silver.land(
        [
            Arrival({"resourceType": "Patient", "id": "p1"}),
            Arrival(
                {**report, "subject": {"reference": "Patient/p1"}, "conclusion": "Sinus rhythm."}
            ),
            Arrival({"resourceType": "Observation", "id": "o1", "effectiveDateTime": "no date"}),
        ]
    )
    silver.build()
    before = silver.content()
    assert [node.name for node in silver.build().nodes if node.rows] == []

    path = changed_project / "views" / "ecg_report.json"
    view = json.loads(path.read_text(encoding="utf-8"))
    view["where"].append({"path": "true"})
    path.write_text(json.dumps(view), encoding="utf-8")
    made = {node.name for node in silver.build().nodes if node.rows}
    # diagnostic_report and soap_note are of the same resources, and keep their rows.
    assert made - _SUPPORT == {"ecg_metadata"}
    assert silver.content() == before


def test_a_table_s_fingerprint_is_of_all_that_decides_its_rows_and_of_nothing_else(
    silver: Silver,
) -> None:
    def changed(change: Any) -> set[str]:
        manifest = dbt_runner._parsed(silver.settings.home)
        before = fingerprints.of_tables(manifest)
        change(manifest)
        after = fingerprints.of_tables(manifest)
        return {
            table.removeprefix("silver.")
            for table in before
            if before[table] != after[table] and table.startswith("silver.")
        }

    def of_view(manifest: Any) -> None:
        manifest.nodes["model.lakehouse.stg_fhir__observation"].raw_code += "--"

    def of_macro(manifest: Any) -> None:
        manifest.macros["macro.lakehouse.note_counts"].macro_sql += " "

    def of_declaration(manifest: Any) -> None:
        manifest.sources["source.lakehouse.bronze.dicom_instance"].config.meta["order"] = ["rows"]

    def of_words(manifest: Any) -> None:
        manifest.nodes["model.lakehouse.patient"].description += " Really."

    def of_the_build(manifest: Any) -> None:
        manifest.macros["macro.lakehouse.latest_versions"].macro_sql += " "

    every = changed(of_the_build)
    assert changed(of_view) == {
        "observation",
        "ecg_metadata",
        "genomic_report",
        "reference_integrity",
    }
    assert "soap_note" in changed(of_macro) and "condition" not in changed(of_macro)
    assert changed(of_declaration) == {"imaging_study", "reference_integrity"}
    assert changed(of_words) == set()
    assert {"patient", "imaging_study", "data_issue"} <= every
