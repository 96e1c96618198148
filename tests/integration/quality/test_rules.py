"""Each kind of rule on a real lake: what it counts, when it passes, what it says."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import spawn
from pathlib import Path
from textwrap import dedent
from typing import Any

import duckdb
import psutil  # type: ignore[import-untyped]
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

import quality
from lakehouse.errors import QualityError
from lakehouse.metadata import models
from lakehouse.settings import Settings
from quality import data_docs
from quality.suites import Suite

Check = Callable[..., dict[str, quality.CheckResult]]
MakeSuite = Callable[..., Suite]


@pytest.fixture
def observations(con: duckdb.DuckDBPyConnection) -> None:
    """100 heart rates: 97 plausible, one 999, one 12, one null; one key twice."""
    con.execute(
        """
        create table lake.silver.observation as
        select
            case when i = 99 then 'o98' else 'o' || i end as observation_id,
            '8867-4' as code,
            case i when 0 then 999 when 1 then 12 when 2 then null else 60 + i % 40 end::double as value,
            case when i < 90 then 'final' else 'odd' end as status,
            case when i % 2 = 0 then [{'code': '8480-6', 'value': 120.0}, {'code': 'x', 'value': 9.0}]
                 when i = 7 then [{'code': '8480-6', 'value': 900.0}] end as components
        from range(100) t(i)
        """
    )


KINDS = """
    rules:
      - {kind: row_count, minimum: 1, severity: error, why: w}
      - {kind: row_count, name: too_many, maximum: 10, severity: warning, why: w}
      - {kind: not_null, column: observation_id, severity: error, why: w}
      - {kind: not_null, column: value, severity: error, tolerance: 0.02, why: w}
      - {kind: not_null, name: strict, column: value, severity: error, why: w, advice: Ask the sender.}
      - {kind: unique, columns: [observation_id], severity: error, why: w}
      - {kind: between, name: heart_rate, column: value, where: "code = '8867-4'", minimum: 30,
         maximum: 250, limits: {warning: 0, error: 0.05}, why: w}
      - {kind: between, name: systolic, minimum: 50, maximum: 300, severity: error, why: w,
         list: "[c.value for c in components if c.code = '8480-6']"}
      - {kind: accepted, column: status, values: [final, amended], severity: warning, why: w}
      - {kind: share, name: mostly_final, condition: "status = 'final'", at_least: 0.8,
         severity: error, why: w}
      - {kind: share, name: few_odd, condition: "status = 'odd'", at_most: 0.05, severity: error, why: w}
      - {kind: ratio, name: odd_ratio, numerator: "sum((status = 'odd')::int)", denominator: count(*),
         at_most: 0.2, severity: error, why: w}
      - {kind: same_count, other: gold.encounter_summary, severity: error, why: w}
      - {kind: row_count, name: only_sometimes, minimum: 1000, when: "1 = 2", severity: error, why: w}
"""


def test_every_kind_of_rule_counts_and_judges(
    observations: None, con: duckdb.DuckDBPyConnection, suite: MakeSuite, check: Check
) -> None:
    con.execute("create table lake.gold.encounter_summary as select 1 as a from range(98)")

    results = check(suite("silver.observation", KINDS))

    verdicts = {name: result.passed for name, result in results.items()}
    assert verdicts == {
        "row_count": True,
        "too_many": False,
        "not_null_observation_id": True,
        "not_null_value": True,
        "strict": False,
        "unique_observation_id": False,
        "heart_rate": False,
        "heart_rate_mostly": True,
        "systolic": False,
        "accepted_status": False,
        "mostly_final": True,
        "few_odd": False,
        "odd_ratio": True,
        "same_count_gold_encounter_summary": False,
        "only_sometimes": True,
    }
    assert results["heart_rate"].observed == {
        "rows": 100,
        "checked": 99,
        "unexpected": 2,
        "share": round(2 / 99, 6),
    }
    assert results["systolic"].observed["checked"] == 51
    assert results["systolic"].observed["unexpected"] == 1
    assert results["unique_observation_id"].observed["unexpected"] == 1
    assert results["same_count_gold_encounter_summary"].observed["difference"] == 2
    assert results["only_sometimes"].observed["skipped"]


def test_a_broken_rule_says_what_was_found_what_was_expected_and_what_to_do(
    observations: None, con: duckdb.DuckDBPyConnection, suite: MakeSuite, check: Check
) -> None:
    con.execute("create table lake.gold.encounter_summary as select 1 as a from range(98)")
    results = check(suite("silver.observation", KINDS))
    assert results["strict"].message == (
        "1 of 100 (1.00%) break the rule; expected: value has a value. Ask the sender."
    )
    assert "where code = '8867-4'" in results["heart_rate"].expected
    assert "unit" in results["heart_rate"].message


def test_only_failed_errors_block(
    observations: None, con: duckdb.DuckDBPyConnection, suite: MakeSuite, check: Check
) -> None:
    con.execute("create table lake.gold.encounter_summary as select 1 as a from range(98)")
    results = check(suite("silver.observation", KINDS))
    reasons = quality.blocking(results.values())
    assert [reason.split()[1] for reason in reasons] == [
        "strict:",
        "unique_observation_id:",
        "systolic:",
        "few_odd:",
        "same_count_gold_encounter_summary:",
    ]
    assert reasons[0].startswith("silver.observation ")


def test_results_are_stored_with_their_numbers(
    observations: None, suite: MakeSuite, check: Check, engine: Engine
) -> None:
    check(
        suite(
            "silver.observation",
            "rules: [{kind: not_null, column: value, severity: warning, why: w}]",
        )
    )
    with Session(engine) as session:
        row = session.scalars(select(models.CheckResult)).one()
    assert (row.layer, row.table_name, row.rule) == ("silver", "observation", "not_null_value")
    assert (row.column_name, row.severity, row.passed) == ("value", "warning", False)
    assert row.observed == {"rows": 100, "checked": 100, "unexpected": 1, "share": 0.01}
    assert row.run_id == "run-1"


ONE_RULE = "rules: [{kind: not_null, column: observation_id, severity: error, why: w}]"


def test_an_empty_table_breaks_only_a_row_minimum(
    con: duckdb.DuckDBPyConnection, suite: MakeSuite, check: Check
) -> None:
    con.execute("create table lake.silver.observation as select 'a' as observation_id where false")
    results = check(
        suite(
            "silver.observation",
            """
            rules:
              - {kind: row_count, minimum: 1, severity: error, why: w}
              - {kind: row_count, name: may_be_empty, minimum: 0, severity: error, why: w}
              - {kind: not_null, column: observation_id, severity: error, why: w}
              - {kind: unique, columns: [observation_id], severity: error, why: w}
              - {kind: share, name: s, condition: "true", at_least: 0.8, severity: error, why: w}
            """,
        )
    )
    assert [name for name, result in results.items() if not result.passed] == ["row_count"]


def test_a_missing_table_fails_unless_it_is_optional(suite: MakeSuite, check: Check) -> None:
    missing = check(suite("silver.observation", ONE_RULE))["not_null_observation_id"]
    assert not missing.passed
    assert "silver.observation is not there" in missing.message

    optional = check(suite("silver.observation", "optional: true\n" + ONE_RULE))
    assert optional["not_null_observation_id"].passed
    assert "Skipped" in optional["not_null_observation_id"].message


def test_a_missing_column_or_wrong_sql_fails_its_own_rule_only(
    observations: None, suite: MakeSuite, check: Check
) -> None:
    results = check(
        suite(
            "silver.observation",
            """
            rules:
              - {kind: not_null, column: nowhere, severity: error, why: w}
              - {kind: share, name: wrong, condition: "nowhere > 1", at_least: 1, severity: error, why: w}
              - {kind: not_null, column: observation_id, severity: error, why: w}
            """,
        )
    )
    assert [name for name, result in results.items() if result.passed] == [
        "not_null_observation_id"
    ]
    assert "column nowhere is not there" in results["not_null_nowhere"].message
    assert "could not be evaluated (BinderException)" in results["wrong"].message


def test_accepted_and_quarantined_must_be_what_arrived(
    engine: Engine, suite: MakeSuite, check: Check
) -> None:
    from quality import suites

    loaded = next(item for item in suites.load("bronze") if item.table == "submission_file")
    with Session(engine) as session, session.begin():
        session.add(_submission())
        session.flush()
        session.add(_file("a.json", arrived=10, accepted=8, quarantined=2))
    assert quality.blocking(check(loaded).values()) == []

    with Session(engine) as session, session.begin():
        session.add(_file("b.json", arrived=10, accepted=8, quarantined=1))
    reasons = quality.blocking(check(loaded).values())
    assert len(reasons) == 1
    assert "accounted_for" in reasons[0]


def _submission() -> models.Submission:
    from datetime import UTC, datetime

    values: dict[str, Any] = {
        "submission_id": "20260101T000000000-aaaaaa",
        "group_key": "a/b/c",
        "submitter": "a",
        "file_type": "fhir_bundle",
        "drop_id": "c",
        "state": "LANDED",
        "content_sha256": "0" * 64,
        "file_count": 1,
        "byte_count": 1,
        "received_at": datetime.now(UTC),
    }
    return models.Submission(**values)


def _file(path: str, **counts: int) -> models.SubmissionFile:
    return models.SubmissionFile(
        submission_id="20260101T000000000-aaaaaa",
        path=path,
        raw_key=f"raw/{path}",
        sha256="0" * 64,
        size=1,
        file_type="fhir_bundle",
        outcome="landed",
        **counts,
    )


@pytest.mark.parametrize("file", ["great_expectations.yml", "expectations/silver/observation.json"])
def test_a_file_that_was_left_half_written_is_made_again(
    file: str, observations: None, suite: MakeSuite, check: Check, settings: Settings
) -> None:
    from quality import worker

    check(suite("silver.observation", ONE_RULE))
    worker.close()  # a new process reads the files
    broken = settings.home / "gx" / file
    broken.write_text(broken.read_text(encoding="utf-8")[:100], encoding="utf-8")
    assert check(suite("silver.observation", ONE_RULE))["not_null_observation_id"].passed


def test_a_process_that_died_is_replaced(
    observations: None, suite: MakeSuite, check: Check
) -> None:
    from quality import worker

    check(suite("silver.observation", ONE_RULE))
    (dead,) = multiprocessing.active_children()
    dead.kill()
    dead.join()
    assert check(suite("silver.observation", ONE_RULE))["not_null_observation_id"].passed
    assert multiprocessing.active_children() != [dead]
    worker.close()
    assert multiprocessing.active_children() == []


def test_a_process_that_cannot_start_is_named(
    observations: None, suite: MakeSuite, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quality import worker

    worker.close()
    monkeypatch.setattr(spawn, "_python_exe", str(shutil.which("false")).encode())
    with pytest.raises(QualityError, match=r"process of Great Expectations ended"):
        check(suite("silver.observation", ONE_RULE))


#: Starts the process, tells which it is, and is killed.
KILLED = """
import multiprocessing, os, signal
from quality import worker
if __name__ == "__main__":
    worker.warm_up()
    print(multiprocessing.active_children()[0].pid, flush=True)
    worker._process().submit(int).result()  # it is up
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_process_ends_with_who_started_it(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    killed = subprocess.run(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, timeout=120, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    left = [
        psutil.Process(pid) for pid in map(int, killed.stdout.split()) if psutil.pid_exists(pid)
    ]
    assert psutil.wait_procs(left, timeout=60)[1] == []


#: A process that has loaded Great Expectations has a fork check, as the code location has its runs.
FORKED = """
import multiprocessing, pathlib, sys
import quality.expectations
from quality import suites, worker

def check(home, file):
    suite = suites.read(file, "silver")
    return worker.ask("validate", home, [(suite, {rule.name: 0.0 for rule in suite.rules})], "forked")

if __name__ == "__main__":
    home, file = map(pathlib.Path, sys.argv[1:])
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.apply(check, [home, file]))
        pool.close()
        pool.join()
    print(multiprocessing.active_children())
"""


def test_where_it_is_loaded_no_process_is_started_and_the_site_is_completed(tmp_path: Path) -> None:
    (tmp_path / "forked.py").write_text(FORKED)
    (tmp_path / "observation.yml").write_text(dedent(ONE_RULE))
    arguments = [str(tmp_path / name) for name in ("forked.py", "home", "observation.yml")]
    done = subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines() == [
        "{'observation': {'not_null_observation_id': True}}",
        "[]",
    ]
    assert (tmp_path / "home" / data_docs.SITE / "index.html").exists()
