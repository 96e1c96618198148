"""The suites as data: what they hold, and how a wrong one is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from lakehouse.errors import QualityError
from quality import suites
from quality.suites import LAYERS, Rule, Suite

ALL = [rule for layer in LAYERS for rule in suites.rules(layer)]
TEN_TABLES = {
    *("patient", "encounter", "condition", "observation", "procedure", "medication_request"),
    *("soap_note", "imaging_study", "genomic_report", "ecg_metadata"),
}


def read(tmp_path: Path, text: str) -> Suite:
    file = tmp_path / "patient.yml"
    file.write_text(dedent(text), encoding="utf-8")
    return suites.read(file, "silver")


def rules_of(layer: str, table: str) -> dict[str, Rule]:
    return {rule.name: rule for rule in ALL if (rule.layer, rule.table) == (layer, table)}


def test_importing_quality_and_listing_rules_loads_neither_great_expectations_nor_pandas() -> None:
    code = (
        "import sys, quality, quality.suites as s; [s.rules(layer) for layer in s.LAYERS];"
        "assert not {'great_expectations', 'pandas', 'dagster'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_every_silver_table_of_the_contract_has_a_key_that_is_present_and_unique() -> None:
    for table in TEN_TABLES:
        kinds = {(rule.kind, rule.severity) for rule in rules_of("silver", table).values()}
        assert {("not_null", "error"), ("unique", "error")} <= kinds, table


@pytest.mark.parametrize(
    ("table", "name", "minimum", "maximum"),
    [
        ("observation", "heart_rate", 30, 250),
        ("observation", "systolic_pressure", 50, 300),
        ("observation", "diastolic_pressure", 20, 200),
        ("observation", "body_temperature", 25, 45),
        ("observation", "oxygen_saturation", 40, 100),
        ("observation", "body_weight", 0.2, 650),
        ("observation", "body_height", 20, 275),
        ("observation", "body_mass_index", 5, 150),
        ("ecg_metadata", "between_heart_rate_bpm", 30, 250),
    ],
)
def test_vital_signs_have_ranges_that_warn_and_block(
    table: str, name: str, minimum: float, maximum: float
) -> None:
    rules = rules_of("silver", table)
    one, most = rules[name], rules[f"{name}_mostly"]
    assert (one.minimum, one.maximum, one.severity, one.tolerance) == (
        minimum,
        maximum,
        "warning",
        0,
    )
    assert (most.minimum, most.maximum, most.severity) == (minimum, maximum, "error")


def test_the_required_rules_are_there() -> None:
    notes = rules_of("silver", "soap_note")
    assert notes["notes_with_the_four_sections"].at_least == 0.8
    assert notes["short_notes"].at_most == 0.2
    assert "< 100" in (notes["short_notes"].condition or "")
    assert rules_of("silver", "reference_integrity")["dangling_patient_references"].at_most == 0.01
    accounted = rules_of("bronze", "submission_file")["accounted_for"]
    assert (accounted.severity, accounted.at_least) == ("error", 1)
    same = rules_of("gold", "encounter_summary")["same_count_silver_encounter"]
    assert (same.other, same.severity) == ("silver.encounter", "error")
    assert rules_of("silver", "patient")["row_count"].minimum == 1


def test_every_rule_says_why_and_what_it_requires() -> None:
    for rule in ALL:
        assert rule.why.strip().endswith("."), rule
        assert rule.requirement, rule


def test_limits_make_a_warning_and_an_error_of_one_rule(tmp_path: Path) -> None:
    suite = read(
        tmp_path,
        """
        rules:
          - {kind: not_null, column: a, limits: {warning: 0, error: 0.1}, why: w}
        """,
    )
    assert [(r.name, r.severity, r.tolerance) for r in suite.rules] == [
        ("not_null_a", "warning", 0),
        ("not_null_a_mostly", "error", 0.1),
    ]


def test_a_share_at_least_allows_the_rest_to_break_it(tmp_path: Path) -> None:
    suite = read(
        tmp_path,
        """
        rules:
          - {kind: share, name: a, condition: x, at_least: 0.8, severity: error, why: w}
          - {kind: share, name: b, condition: x, at_most: 0.2, severity: error, why: w}
        """,
    )
    assert [rule.allowed_share for rule in suite.rules] == [0.2, 0.2]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{kind: shiny, severity: error, why: w}", "`kind` is none of"),
        ("{kind: not_null, severity: error, why: w}", "missing column"),
        ("{kind: not_null, column: a, severity: error}", "missing why"),
        ("{kind: not_null, column: a, colour: b, severity: error, why: w}", "unknown colour"),
        ("{kind: not_null, column: a, severity: bad, why: w}", "neither error nor warning"),
        ("{kind: not_null, column: a, why: w}", "neither error nor warning"),
        ("{kind: between, column: a, severity: error, why: w}", "neither `minimum` nor"),
        ("{kind: between, minimum: 1, severity: error, why: w}", "`column` or `list`"),
        ("{kind: share, name: s, condition: c, severity: error, why: w}", "give `at_least`"),
        ("{kind: not_null, column: a, tolerance: 5, severity: error, why: w}", "share between"),
        ("{kind: not_null, column: a, name: No no, severity: error, why: w}", "the name may"),
        ("{kind: not_null, column: a, limits: {warning: 0}, why: w}", "`limits` has"),
        ("{kind: not_null, column: a, severity: error, why: w}, " * 2, "names a rule twice"),
        ("]", "is not YAML"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place(tmp_path: Path, rule: str, message: str) -> None:
    with pytest.raises(QualityError, match=message) as refused:
        read(tmp_path, f"rules: [{rule}]")
    assert "silver/patient.yml" in str(refused.value)


def test_an_unknown_layer_is_refused_by_name() -> None:
    with pytest.raises(QualityError, match="no layer platinum"):
        suites.load("platinum")  # type: ignore[arg-type]
