"""One bad drop stops nobody: what a person does and sees about held submissions, by command."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.main_job.conftest import command

pytestmark = pytest.mark.slow

_PEOPLE = 40
_RULES = """
limits:
  - submitter: archive-known
    why: All dates are shifted into the years 2100 to 2200.
    rules:
      silver.patient.birth_date_plausible: {latest: "2210"}
"""


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"reference": f"{kind}/{name}"}


def patient(name: str, **parts: Any) -> dict[str, Any]:
    known = {"gender": "female", "birthDate": "1950-03-01", **parts}
    return {"resourceType": "Patient", "id": f"p-{name}", **known}


def encounter(name: str, day: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": f"e-{name}",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": _reference("Patient", f"p-{name}"),
        "period": {"start": f"{day}T08:00:00+00:00", "end": f"{day}T09:00:00+00:00"},
    }


def temperature(name: str, day: str, value: float, unit: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"t-{name}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5"}]},
        "subject": _reference("Patient", f"p-{name}"),
        "encounter": _reference("Encounter", f"e-{name}"),
        "effectiveDateTime": f"{day}T08:30:00+00:00",
        "valueQuantity": {
            "value": value,
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
    }


def undated_condition(name: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": f"c-{name}",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"}]},
        "subject": _reference("Patient", f"p-{name}"),
        "encounter": _reference("Encounter", f"e-{name}"),
    }


def clinic() -> list[dict[str, Any]]:
    """A drop that nobody would object to."""
    names = [f"clinic-{number}" for number in range(_PEOPLE)]
    return [
        part
        for name in names
        for part in (
            patient(name),
            encounter(name, "2024-05-01"),
            temperature(name, "2024-05-01", 36.8, "Cel"),
        )
    ]


def archive(prefix: str) -> list[dict[str, Any]]:
    """De-identified: dates shifted by a century and more, Fahrenheit, conditions without dates."""
    names = [f"{prefix}-{number}" for number in range(_PEOPLE)]
    return [
        part
        for name in names
        for part in (
            patient(name, birthDate="2102-07-09", deceasedDateTime="2180-01-01"),
            encounter(name, "2179-11-30"),
            temperature(name, "2179-11-30", 98.6, "[degF]"),
            undated_condition(name),
        )
    ]


def registry(gender: str, prefix: str = "registry") -> list[dict[str, Any]]:
    """Patients whose sex is coded in a way of its own, or as the standard says."""
    return [patient(f"{prefix}-{number}", gender=gender) for number in range(_PEOPLE)]


def ward() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Encounters, and their patients, which come in a later drop."""
    names = [f"ward-{number}" for number in range(_PEOPLE)]
    return [encounter(name, "2024-06-01") for name in names], [patient(name) for name in names]


@dataclass
class Story:
    """What each command said, in the order in which a person ran them."""

    home: Path
    folder: Path
    said: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    marts: dict[str, int] = field(default_factory=dict)

    def run(self, step: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        rules = self.folder / "rules.yml"
        self.said[step] = command(
            self.home, *arguments, check=False, COLUMNS="80", QUALITY_RULES=str(rules)
        )
        return self.said[step]

    def drop(self, submitter: str, content: list[dict[str, Any]], name: str, *more: str) -> None:
        source = self.folder / f"{submitter}-{name}" / "resources.ndjson"
        source.parent.mkdir(exist_ok=True)
        source.write_text("\n".join(json.dumps(one) for one in content), encoding="utf-8")
        options = ("--submitter", submitter, "--file-type", "fhir", "--as", name, *more)
        done = self.run("drop", "drop", str(source.parent), *options)
        assert done.returncode == 0, done.stderr

    def look(self, step: str) -> None:
        """Where everything stands after a step, and whether readers see what they should."""
        self.states[step] = json.loads(self.run(f"{step}: status", "status", "--json").stdout)
        self.run(f"{step}: verify", "verify")
        published = self.states[step]["last_publish"]["row_counts"]
        self.marts[step] = published["patient_encounter_summary"]

    def state(self, step: str, submitter: str) -> str:
        """The state of the newest submission of a submitter after a step."""
        lines = [one for one in self.states[step]["submissions"] if one["submitter"] == submitter]
        return str(max(lines, key=lambda one: one["submission_id"])["state"])

    def held(self, step: str) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for line in self.states[step]["held"]:
            found.setdefault(line["submitter"], []).append(line)
        return found


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    """Drops good and bad together, then everything that ends a hold."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-held-") as place:
        told = Story(Path(place) / "home", Path(place))
        (told.folder / "rules.yml").write_text(_RULES, encoding="utf-8")
        encounters, patients = ward()

        told.drop("clinic", clinic(), "may")
        told.drop("archive", archive("unknown"), "all")
        told.drop("archive-known", archive("known"), "all")
        told.drop("registry", registry("F"), "export")
        told.drop("ward", encounters, "encounters")
        told.run("together", "run")
        told.look("together")
        told.run("check", "check")
        told.run("shown", "status")

        archived = told.held("together")["archive"][0]["submission_id"]
        told.run("release", "release", archived, "--reason", "dates are shifted on purpose")
        told.drop("registry", registry("female"), "export", "--supersede")
        told.drop("ward", patients, "patients")
        told.drop("other", registry("M", "other"), "export")
        told.run("ended", "run")
        told.look("ended")

        other = told.held("ended")["other"][0]["submission_id"]
        told.run("withdraw", "withdraw", other, "--reason", "sent by mistake")
        told.run("rebuilt", "build", "--full-refresh")
        told.look("rebuilt")

        told.drop("last", registry("W", "last"), "export")
        told.run("alone", "run")
        told.look("alone")
        told.run("audit", "audit", f"submission:{archived}")
        yield told
        command(told.home, "down")


def test_one_that_breaks_a_rule_is_held_alone_and_all_others_are_published(story: Story) -> None:
    done = story.said["together"]
    assert done.returncode == 0, done.stdout + done.stderr
    held = story.held("together")
    assert sorted(held) == ["archive", "registry"]
    for submitter in ("clinic", "archive-known", "ward"):
        assert story.state("together", submitter) == "PUBLISHED", submitter
    assert story.marts["together"] == 3 * _PEOPLE, "clinic, archive-known and ward"


def test_who_is_held_is_told_with_rule_numbers_denominator_and_next_step(story: Story) -> None:
    (of_registry,) = story.held("together")["registry"]
    assert (of_registry["table_name"], of_registry["rule"]) == ("patient", "accepted_gender")
    observed = of_registry["observed"]
    assert (observed["unexpected"], observed["checked"]) == (_PEOPLE, _PEOPLE)
    (of_archive,) = story.held("together")["archive"]
    assert of_archive["rule"] == "birth_date_plausible"
    for step in ("together", "shown", "check"):
        shown = " ".join(story.said[step].stdout.split())
        for line in (of_registry, of_archive):
            assert f"Held: {line['submission_id']}" in shown, step
            assert f"silver.patient {line['rule']}: 40 of 40 (100.00%) break the rule" in shown
            assert f"lakehouse release {line['submission_id']} --reason" in shown, step
    assert story.said["check"].returncode == 0, "what is held fails no rule of what is there"


def test_what_refers_to_patients_of_a_later_drop_is_not_held(story: Story) -> None:
    failing = {check["rule"]: check for check in story.states["together"]["failed_checks"]}
    dangling = failing["dangling_patient_references"]
    assert (dangling["severity"], dangling["observed"]["unexpected"]) == ("warning", _PEOPLE)
    after = {check["rule"] for check in story.states["ended"]["failed_checks"]}
    assert "dangling_patient_references" not in after


def test_a_release_takes_it_in_for_good(story: Story) -> None:
    assert story.said["release"].returncode == 0, story.said["release"].stderr
    assert "silver.patient birth_date_plausible" in story.said["release"].stdout
    assert story.state("ended", "archive") == "PUBLISHED"
    assert story.marts["ended"] == 4 * _PEOPLE
    assert story.said["rebuilt"].returncode == 0, story.said["rebuilt"].stderr
    assert story.state("rebuilt", "archive") == "PUBLISHED"
    trail = story.said["audit"].stdout
    assert "submission.held" in trail
    assert "submission.released" in trail


def test_a_correction_and_a_withdrawal_end_a_hold(story: Story) -> None:
    assert story.state("ended", "registry") == "PUBLISHED"
    assert sorted(story.held("ended")) == ["other"]
    assert story.state("rebuilt", "other") == "WITHDRAWN"
    assert story.held("rebuilt") == {}


def test_a_run_that_landed_only_what_is_held_exits_with_three(story: Story) -> None:
    assert story.said["alone"].returncode == 3, story.said["alone"].stdout
    assert "All that this run landed is held: 1 submission(s)." in story.said["alone"].stderr
    assert sorted(story.held("alone")) == ["last"]
    assert story.marts["alone"] == 4 * _PEOPLE


def test_readers_see_what_they_should_after_each_step(story: Story) -> None:
    for step in story.states:
        seen = story.said[f"{step}: verify"]
        assert seen.returncode == 0, step + seen.stdout + seen.stderr


def test_what_a_person_sees_fits_into_80_columns(story: Story) -> None:
    for step in ("together", "shown", "check", "release", "ended", "alone"):
        lines = story.said[step].stdout.splitlines()
        assert max(len(line) for line in lines) <= 80, step
