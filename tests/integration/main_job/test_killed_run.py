"""`lakehouse run` that is killed anywhere: states say no more than what readers see, and the next run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

import publishing
from installation import embedded
from lakehouse import metadata
from lakehouse.metadata.status import status
from lakehouse.settings import Settings
from tests.integration.main_job.conftest import ROOT, Lakehouse

#: `lakehouse run` in a process that kills itself at one point (the first argument).
KILLED = """
import os, signal, sys
from cli.main import app
from lakehouse.metadata import builds
from orchestration.defs.transformation import assets
from publishing import postgres

point = sys.argv.pop(1)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def dying_after(module, name):
    real = getattr(module, name)
    def call(*arguments, **named):
        real(*arguments, **named)
        die()
    setattr(module, name, call)

tell = assets.report
def report(stage, name, *rest, **named):
    if (stage, name) == TABLES.get(point):
        die()
    tell(stage, name, *rest, **named)

TABLES = {"between Silver tables": ("silver", "encounter"),
          "between Gold tables": ("gold", "encounter_summary")}
assets.report = report
if point == "Silver committed":
    dying_after(builds, "finish_build")
if point == "Gold recorded":
    dying_after(builds, "record_gold")
if point == "readers switched":
    dying_after(postgres.PostgresTarget, "switch")
app(["run", "--json"])
"""

#: Where each run is killed, the state of the drop then, and whether readers see it.
POINTS = [
    ("between Silver tables", "LANDED", False),
    ("Silver committed", "INTEGRATED", False),
    ("between Gold tables", "INTEGRATED", False),
    ("Gold recorded", "INTEGRATED", False),
    ("readers switched", "INTEGRATED", True),
]


def bundle(folder: Path, number: int) -> Path:
    """A drop of one patient with an encounter and a condition."""
    patient, encounter = f"p{number}", f"e{number}"
    resources = [
        {"resourceType": "Patient", "id": patient, "gender": "female", "birthDate": "1980-01-01"},
        {
            "resourceType": "Encounter",
            "id": encounter,
            "status": "finished",
            "class": {"code": "AMB"},
            "type": [{"coding": [{"system": "http://snomed.info/sct", "code": "185345009"}]}],
            "subject": {"reference": f"Patient/{patient}"},
            "period": {"start": "2024-04-30T20:00:00Z", "end": "2024-04-30T21:00:00Z"},
        },
        {
            "resourceType": "Condition",
            "id": f"c{number}",
            "clinicalStatus": {"coding": [{"code": "active"}]},
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "38341003"}]},
            "subject": {"reference": f"Patient/{patient}"},
            "encounter": {"reference": f"Encounter/{encounter}"},
            "onsetDateTime": "2024-01-31T21:00:00Z",
        },
    ]
    drop = folder / f"drop-{number}"
    drop.mkdir()
    content = {"resourceType": "Bundle", "type": "collection"}
    content["entry"] = [{"resource": resource} for resource in resources]  # type: ignore[assignment]
    (drop / "bundle.json").write_text(json.dumps(content), encoding="utf-8")
    return drop


#: Half a day from UTC's midnight, and not a whole number of hours: what depends on the host's zone shows.
ZONE = {"TZ": "Asia/Kolkata"}


def run_and_die(home: Path, point: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, point],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "LAKEHOUSE_HOME": str(home),
            "QUIESCENCE_MINUTES": "0",
            **ZONE,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout[-2000:] + done.stderr[-2000:]


@dataclass(frozen=True)
class Watched:
    """What the installation says of itself, read in this process."""

    settings: Settings
    engine: Engine

    def states(self) -> list[str]:
        return [line.state for line in status(self.engine).submissions]

    def verified(self) -> publishing.VerifyReport:
        return publishing.verify(self.settings, self.engine)

    def encounters(self) -> int | None:
        counts = {table.table: table.published for table in self.verified().tables}
        return counts["patient_encounter_summary"]

    def days(self) -> list[tuple[Any, ...]]:
        """Days and months of the marts, as somebody reads them who says nothing of zones."""
        with psycopg.connect(self.settings.libpq_url("marts")) as connection:
            return connection.execute(
                "select encounter_date::text, encounter_month::text,"
                " date_trunc('day', encounter_date::timestamptz)::text,"
                " (select string_agg(distinct event_month::text, ',')"
                "  from marts.clinical_event_monthly where event_type = 'condition')"
                " from marts.patient_encounter_summary"
            ).fetchall()


@pytest.fixture
def watched(lakehouse: Lakehouse, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setenv("TZ", ZONE["TZ"])  # initdb writes the host's zone into its configuration
    settings = embedded.ensure_running(Settings(LAKEHOUSE_HOME=home))
    engine = metadata.engine(settings)
    yield Watched(settings, engine)
    engine.dispose()


@pytest.mark.slow
def test_a_run_that_is_killed_at_each_commit_point_is_finished_by_the_next(
    lakehouse: Lakehouse, watched: Watched, home: Path, tmp_path: Path
) -> None:
    lakehouse("drop", str(bundle(tmp_path, 1)))
    lakehouse("run", **ZONE)
    assert watched.states() == ["PUBLISHED"]
    assert watched.days() == [("2024-04-30", "2024-04-01", "2024-04-30 00:00:00+00", "2024-01-01")]
    lakehouse("drop", str(bundle(tmp_path, 2)))

    # Nothing but the kill happens between two runs: each has to find out by itself where to go on.
    for point, state, seen in POINTS:
        run_and_die(home, point)
        assert watched.states() == [state, "PUBLISHED"], point
        found = watched.verified().submissions
        assert (len(found.missing), len(found.misstated)) == ((0, 1) if seen else (1, 0)), point

    summary = json.loads(lakehouse("run", "--json").stdout)
    assert summary["nothing_new"] is False
    assert not any(stage in summary["stages"] for stage in ("silver", "gold", "published"))
    assert watched.states() == ["PUBLISHED", "PUBLISHED"]
    assert watched.encounters() == 2
    lakehouse("verify")
    assert json.loads(lakehouse("run", "--json").stdout)["nothing_new"] is True

    # By single commands: what was withdrawn and built leaves the marts with the next run.
    newest = status(watched.engine).submissions[0].submission_id
    lakehouse("withdraw", newest, "--reason", "a test")
    assert "left the lake and are in the marts" in lakehouse("publish").stdout
    lakehouse("build")
    assert "left the lake and are in the marts" in lakehouse("verify", check=False).stdout
    assert json.loads(lakehouse("run", "--json").stdout)["nothing_new"] is False
    assert watched.encounters() == 1
    assert watched.verified().agrees

    # A rollback is truthful, and a run leaves it alone until there is something to build.
    shown = lakehouse("publish", "--rollback").stdout
    assert "withdrawn or replaced since" in " ".join(shown.split())
    assert json.loads(lakehouse("run", "--json").stdout)["rolled_back"] is True
    assert lakehouse("verify", check=False).returncode == 1
    lakehouse("publish")
    assert watched.verified().agrees
