"""Rules and limits of an installation's own: what they change, for whom, and how a wrong file is told."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from lakehouse.errors import QualityError
from quality import own_rules
from quality.own_rules import OwnRules
from quality.suites import Rule

FILE = """
    minimum_rows: 50
    limits:
      - submitter: shifted
        file_type: fhir
        why: Dates are shifted.
        rules:
          silver.patient.birth_date_plausible: {latest: 2210}
          silver.observation.heart_rate: {maximum: 300}
          silver.encounter.age_plausible: off
        add:
          silver.patient:
            - {kind: not_null, column: zip, severity: error, tolerance: 0.5, why: Needed.}
      - rules:
          silver.patient.accepted_gender: {tolerance: 0.2}
"""


def read(tmp_path: Path, text: str) -> OwnRules:
    file = tmp_path / "quality.yml"
    file.write_text(dedent(text), encoding="utf-8")
    return own_rules.read(file)


def rules(own: OwnRules, table: str, submitter: str, *types: str) -> dict[str, Rule]:
    suite = next(one for one in own.suites("silver") if one.table == table)
    return {rule.name: rule for rule in own.suite_of(suite, submitter, types).rules}


def test_a_submitter_and_file_type_have_limits_of_their_own(tmp_path: Path) -> None:
    own = read(tmp_path, FILE)

    theirs = rules(own, "patient", "shifted", "mixed", "fhir")
    assert theirs["birth_date_plausible"].latest == "2210"
    assert theirs["not_null_zip"].tolerance == 0.5
    pulse = rules(own, "observation", "shifted", "fhir")
    assert {pulse[name].maximum for name in ("heart_rate", "heart_rate_mostly")} == {300}
    assert "age_plausible_mostly" not in rules(own, "encounter", "shifted", "fhir")

    for submitter, kind in (("shifted", "dicom"), ("other", "fhir")):
        others = rules(own, "patient", submitter, kind)
        assert others["birth_date_plausible"].latest == "today"
        assert "not_null_zip" not in others
        assert "age_plausible_mostly" in rules(own, "encounter", submitter, kind)


def test_an_entry_for_all_changes_the_rules_themselves(tmp_path: Path) -> None:
    own = read(tmp_path, FILE)

    gender = rules(own, "patient", "other", "fhir")["accepted_gender"]
    assert (gender.tolerance, gender.minimum_rows) == (0.2, 50)


def test_without_a_file_the_rules_are_those_of_the_suites() -> None:
    assert own_rules.read(None) == OwnRules()
    assert rules(own_rules.read(None), "patient", "any")["accepted_gender"].minimum_rows == 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("]", "not YAML"),
        ("[]\n", "may have"),
        ("minimum_rows: 0", "no number of rows"),
        ("limits: [{submitter: a}]", "neither `rules` nor `add`"),
        ("limits: [{colour: a, rules: {}}]", "may have"),
        ("limits: [{rules: {silver.patient.nothing: off}}]", "no such rule"),
        ("limits: [{rules: {silver.nowhere.x: off}}]", "no table"),
        ("limits: [{rules: {gold.encounter_summary.age_years: off}}]", "no table of Bronze"),
        ("limits: [{rules: {silver.patient.row_count: {minimum: 2}}}]", "whole table"),
        ("limits: [{rules: {silver.patient.accepted_gender: {colour: 1}}}]", "changes some of"),
        ("limits: [{rules: {silver.patient.accepted_gender: {tolerance: 2}}}]", "share between"),
        ("limits: [{rules: {silver.patient.accepted_gender: {latest: 2000}}}]", "no latest"),
        ("limits: [{rules: {silver.patient.birth_date_plausible: {latest: soon}}}]", "no date"),
        ("limits: [{add: {silver.patient: [{kind: shiny}]}}]", "none of"),
    ],
)
def test_a_wrong_file_is_told_by_its_entry(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(QualityError, match=message) as refused:
        read(tmp_path, text)
    assert "quality.yml" in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(QualityError, match="nowhere"):
        own_rules.read(tmp_path / "nowhere.yml")
