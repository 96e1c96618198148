"""Submissions whose rows make a dbt node of Silver fail are told from the others, and held alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from installation.platform import Platform
from lakehouse.errors import BuildError
from lakehouse.metadata import builds
from lakehouse.metadata.status import held, latest_checks
from lakehouse.store import open_store
from orchestration.defs.transformation import assets
from tests.integration.dbt.bronze import Arrival
from tests.integration.dbt.conftest import fresh_silver
from transformation import dbt_runner

#: Tests of an installation of its own: one that the database cannot carry out on some rows, one that fails.
_TESTS = {
    "gender_is_readable": "select error(gender) from {{ ref('patient') }} where gender = 'x'",
    "gender_is_allowed": "select patient_id from {{ ref('patient') }} where gender = 'y'",
}
#: A run of dbt in which a model of Gold could not be made.
_FAILED = dbt_runner.DbtReport(
    nodes=(dbt_runner.DbtNode("model.a", "a", "model", "error", 0.0, message="Conversion Error"),),
    seconds=0.0,
    startup_seconds=0.0,
)


def _patients(gender: str) -> list[Arrival]:
    return [
        Arrival({"resourceType": "Patient", "id": f"{gender}-{number}", "gender": gender})
        for number in range(3)
    ]


@pytest.mark.slow
def test_rows_that_make_a_dbt_node_fail_hold_their_submission_and_nobody_else(
    postgres_url: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = tmp_path / "dbt"
    shutil.copytree(dbt_runner.PROJECT, project)
    for name, query in _TESTS.items():
        (project / "tests" / f"{name}.sql").write_text(query, encoding="utf-8")
    monkeypatch.setattr(dbt_runner, "PROJECT", project)
    parsed = tmp_path_factory.mktemp("parsed")
    with fresh_silver(postgres_url, tmp_path / "home", parsed) as silver:
        unreadable, forbidden, good = (silver.land(_patients(one)) for one in ("x", "y", "robot"))
        platform = Platform(silver.settings, silver.engine, open_store(silver.settings))
        build = builds.start_build(silver.engine, full_refresh=False, run_id=None, actor="test")

        assets._without_those_that_break_rules(platform, build, "run")
        done = builds.finish_build(silver.engine, build.build_id, "succeeded", None)

        assert (done.integrated, done.removed) == ([good], [unreadable, forbidden])
        patients = silver.connection.execute("select submission_id from lake.silver.patient")
        assert set(patients.fetchall()) == {(good,)}
        lines = {line.submission_id: line for line in held(silver.engine)}
        assert lines[unreadable].rule == "dbt_test_gender_is_readable"
        assert "fails with its rows, and not without them" in (lines[unreadable].message or "")
        assert lines[forbidden].rule == "dbt_test_gender_is_allowed"
        assert lines[forbidden].observed == {"unexpected": 3}

        checks = {line.rule: line for line in latest_checks(silver.engine)}
        unknown_codes = checks["dbt_silver_codes_are_known"]
        assert (unknown_codes.layer, unknown_codes.passed) == ("silver", False)
        assert unknown_codes.severity == "warning"
        assert unknown_codes.message.startswith("1 rows break the rule; expected: ")
        assert checks["dbt_silver_keys_are_unique"].passed

        assert builds.not_in_gold(silver.engine) == [good]
        with pytest.raises(BuildError, match=f"New in Gold: {good}[.]"):
            assets._refuse_errors(_FAILED, assets._new_in_gold(platform))
        builds.record_gold(silver.engine, build.build_id, 1, actor="test")
        assert builds.not_in_gold(silver.engine) == []
