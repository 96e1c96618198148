"""What a publish makes, refuses and leaves behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

import publishing
from installation.databases import READER_ROLE
from lakehouse.errors import PublishError
from lakehouse.metadata import builds, models, publishes, submissions, work
from lakehouse.settings import Settings

Publish = Callable[..., publishing.PublishReport]
Marts = psycopg.Connection[Any]
WriteMarts = Callable[..., None]

ROWS = 5_000


def generation(marts: Marts) -> int:
    """The one generation that all rows of both marts have."""
    rows = marts.execute(
        "select generation from marts.encounters union select generation from marts.patients"
    ).fetchall()
    assert len(rows) == 1
    return int(rows[0][0])


def states(engine: Engine) -> dict[int, str]:
    with Session(engine) as session:
        return {row.n: row.state for row in session.scalars(select(models.Publish))}


def schemas(marts: Marts) -> list[str]:
    rows = marts.execute("select nspname from pg_namespace where nspname like 'marts_%' order by 1")
    return [row[0] for row in rows]


def test_every_mart_of_the_lake_is_published_with_its_rows(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    marts: Marts,
    engine: Engine,
) -> None:
    write_marts(1)
    con.execute("create table lake.marts.nothing_yet as select 1 as a where false")

    report = publish()

    assert report.row_counts == {"encounters": ROWS, "patients": ROWS, "nothing_yet": 0}
    assert report.changed
    assert generation(marts) == 1
    assert marts.execute("select count(*) from marts.nothing_yet").fetchone() == (0,)
    assert marts.execute(
        "select publish, build_id, snapshot_id from marts.publication"
    ).fetchall() == [(report.n, report.build_id, report.snapshot_id)]
    assert states(engine) == {report.n: "current"}


def test_values_arrive_as_they_are_in_types_that_postgres_has(
    con: duckdb.DuckDBPyConnection, publish: Publish, marts: Marts
) -> None:
    con.execute(
        """
        create table lake.marts.odd as select
            sum(i) as hugeint_sum, 18446744073709551::ubigint as big, 1.50::decimal(10, 2) as money,
            'a' || chr(0) || 'b' as with_nul, '' as empty, null::varchar as nothing,
            date '1899-12-31' as day, timestamptz '2024-02-29 23:59:59+00' as moment,
            [1, 2] as numbers, {'a': 1} as document, 'NaN'::double as not_a_number,
            'Zoë 日本 😀' as text, true as yes
        from range(5) t(i)
        """
    )

    publish()

    row = marts.execute("select * from marts.odd").fetchone()
    assert row is not None
    assert row[0] == 10
    assert row[1] == 18446744073709551
    assert str(row[2]) == "1.50"
    assert row[3] == "ab"
    assert row[4] == ""
    assert row[5] is None
    assert row[6].isoformat() == "1899-12-31"
    assert row[7].isoformat() == "2024-02-29T23:59:59+00:00"
    assert row[8] == [1, 2]
    assert row[9] == {"a": 1}
    assert row[10] != row[10]
    assert row[11] == "Zoë 日本 😀"
    types = dict(
        marts.execute(
            "select column_name, data_type from information_schema.columns"
            " where table_schema = 'marts' and table_name = 'odd'"
        ).fetchall()
    )
    assert types["hugeint_sum"] == "bigint"
    assert types["document"] == "jsonb"


def test_published_tables_are_indexed_where_the_data_says(
    write_marts: WriteMarts, con: duckdb.DuckDBPyConnection, publish: Publish, marts: Marts
) -> None:
    write_marts(1)
    report = publish()
    rows = marts.execute(
        "select tablename, indexdef from pg_indexes where schemaname = %s", [report.schema]
    ).fetchall()
    assert [(table, definition.split("USING")[1]) for table, definition in rows] == [
        ("patients", " btree (patient_key)")
    ]


def test_publishing_unchanged_marts_again_does_nothing_and_says_so(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    marts: Marts,
    engine: Engine,
) -> None:
    write_marts(1)
    first = publish()
    con.execute("create table lake.silver.something_else as select 1 as a")

    second = publish()

    assert not second.changed
    assert second.n == first.n
    assert "not changed" in second.message
    assert second.row_counts == first.row_counts
    assert schemas(marts) == [first.schema]
    # The marts are those of the newer build too, and readers are told so.
    assert second.build_id != first.build_id
    assert marts.execute("select build_id, snapshot_id from marts.publication").fetchall() == [
        (second.build_id, second.snapshot_id)
    ]
    assert not publishes.behind(engine)


def test_a_deleted_row_or_a_dropped_mart_counts_as_a_change(
    write_marts: WriteMarts, con: duckdb.DuckDBPyConnection, publish: Publish, marts: Marts
) -> None:
    write_marts(1)
    publish()
    con.execute("delete from lake.marts.patients where patient_key = 7")
    second = publish()
    con.execute("drop table lake.marts.encounters")
    third = publish()

    assert second.row_counts == {"encounters": ROWS, "patients": ROWS - 1}
    assert third.row_counts == {"patients": ROWS - 1}
    assert marts.execute("select to_regclass('marts.encounters')").fetchone() == (None,)


def test_a_failed_check_blocks_the_publish_and_its_message_says_why(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    new_build: Callable[..., str],
    marts: Marts,
    engine: Engine,
) -> None:
    write_marts(1)
    first = publish()
    write_marts(2)

    with pytest.raises(PublishError) as blocked:
        publish(new_build(error_passed=False))

    assert "gold.encounter_summary rule_error: the error rule says what to do" in str(blocked.value)
    assert "rule_warning" not in str(blocked.value)
    assert generation(marts) == 1
    assert states(engine) == {first.n: "current"}


def test_a_failed_warning_does_not_block(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    new_build: Callable[..., str],
) -> None:
    write_marts(1)
    assert publish(new_build(warning_passed=False)).changed


def test_a_build_that_nobody_checked_or_that_is_not_in_gold_is_not_published(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    new_build: Callable[..., str],
    engine: Engine,
) -> None:
    write_marts(1)
    with pytest.raises(PublishError, match="has not been checked"):
        publish(new_build(checked=False))
    silver_only = builds.start_build(engine, full_refresh=True, run_id=None, actor="test").build_id
    builds.finish_build(engine, silver_only, "succeeded", 1)
    with pytest.raises(PublishError, match="not built and checked with build"):
        publish(silver_only)


def test_reasons_found_on_the_loaded_marts_block_before_readers_see_them(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    marts: Marts,
    engine: Engine,
) -> None:
    write_marts(1)
    publish()
    write_marts(2)
    seen: list[Any] = []

    def inspect(schema: str) -> list[str]:
        seen.append(marts.execute(f"select min(generation) from {schema}.patients").fetchone())
        return ["patients: too few"]

    with pytest.raises(PublishError, match="patients: too few"):
        publish(inspect=inspect)

    assert seen == [(2,)]
    assert generation(marts) == 1
    assert schemas(marts) == ["marts_1"]
    assert states(engine) == {1: "current", 2: "failed"}


def test_the_marts_of_one_snapshot_are_published_even_while_a_build_goes_on(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    new_build: Callable[..., str],
    marts: Marts,
) -> None:
    write_marts(1)
    whole = new_build()
    con.execute(
        "create or replace table lake.marts.patients as select 1 as patient_key, 2 as generation"
    )

    report = publish(whole)

    assert generation(marts) == 1
    assert report.row_counts == {"encounters": ROWS, "patients": ROWS}
    assert publish().row_counts == {"encounters": ROWS, "patients": 1}


def test_rollback_shows_the_publish_before_and_can_be_taken_back(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    marts: Marts,
    settings: Settings,
    engine: Engine,
) -> None:
    for number in (1, 2):
        write_marts(number)
        publish()

    back = publishing.rollback(settings, engine, actor="test", reason="wrong codes")
    assert back.n == 1
    assert generation(marts) == 1
    assert marts.execute("select publish from marts.publication").fetchall() == [(1,)]
    assert states(engine) == {1: "current", 2: "previous"}

    publishing.rollback(settings, engine, actor="test", to=2)
    assert generation(marts) == 2

    with pytest.raises(PublishError, match="no publish 9"):
        publishing.rollback(settings, engine, actor="test", to=9)


def test_after_a_rollback_the_same_marts_are_published_anew(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    marts: Marts,
    settings: Settings,
    engine: Engine,
) -> None:
    for number in (1, 2):
        write_marts(number)
        publish()
    publishing.rollback(settings, engine, actor="test")

    assert publish().n == 3
    assert generation(marts) == 2


def test_rollback_with_nothing_before_says_so(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    settings: Settings,
    engine: Engine,
) -> None:
    with pytest.raises(PublishError, match="Nothing has been published"):
        publishing.rollback(settings, engine, actor="test")
    write_marts(1)
    publish()
    with pytest.raises(PublishError, match="no publish before 1"):
        publishing.rollback(settings, engine, actor="test")


def test_only_the_newest_publishes_are_kept(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    marts: Marts,
    engine: Engine,
) -> None:
    for number in range(1, 6):
        write_marts(number)
        publish()
    assert schemas(marts) == ["marts_3", "marts_4", "marts_5"]
    assert states(engine) == {
        1: "dropped",
        2: "dropped",
        3: "previous",
        4: "previous",
        5: "current",
    }


def test_a_publication_that_a_reader_still_uses_is_dropped_later(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    marts: Marts,
    settings: Settings,
    engine: Engine,
) -> None:
    for number in range(1, 4):
        write_marts(number)
        publish()
    with psycopg.connect(settings.libpq_url("marts")) as reader:
        reader.execute("select * from marts_1.patients limit 1").fetchone()
        write_marts(4)
        report = publish()
        assert report.busy == ["marts_1"]
        assert "marts_1" in schemas(marts)
        assert states(engine)[1] == "previous"
    write_marts(5)
    assert publish().discarded == ["marts_1", "marts_2"]
    assert schemas(marts) == ["marts_3", "marts_4", "marts_5"]


def test_verify_compares_what_readers_see_with_the_lake(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    marts: Marts,
    settings: Settings,
    engine: Engine,
) -> None:
    write_marts(1)
    report = publish()
    write_marts(2, rows=3)  # the lake moves on; the published snapshot counts

    verified = publishing.verify(settings, engine, con=con)
    assert verified.agrees
    assert {t.table: (t.lake, t.published) for t in verified.tables} == {
        "encounters": (ROWS, ROWS),
        "patients": (ROWS, ROWS),
    }

    marts.execute(f"delete from {report.schema}.patients where patient_key = 1")
    verified = publishing.verify(settings, engine, con=con)
    assert not verified.agrees


def test_verify_uses_the_recorded_counts_when_the_snapshot_has_expired(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    settings: Settings,
    engine: Engine,
) -> None:
    write_marts(1)
    publish()
    write_marts(2)
    con.execute("call ducklake_expire_snapshots('lake', older_than => now() + interval 1 day)")

    verified = publishing.verify(settings, engine, con=con)

    assert verified.agrees
    assert "recorded" in verified.source
    assert len(verified.tables) == 2


CRASH = """
import os, signal, sys
from pathlib import Path
import publishing
from publishing import PostgresTarget, loading
from lakehouse.metadata import publishes
from lakehouse import metadata
from lakehouse.settings import Settings

home, url, prefix, act, point = sys.argv[1:]
settings = Settings(LAKEHOUSE_HOME=Path(home), postgres_url=url, database_prefix=prefix)

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Dying(PostgresTarget):
    def switch(self, n, **options):
        if point == "before the switch":
            die()
        done = super().switch(n, **options)
        if point == "after the switch":
            die()
        return done

copy, index = loading.copy, loading.index

def copy_or_die(lake, database, schema, table, snapshot):
    if point == "between marts" and table == "patients":
        die()
    copy(lake, database, schema, table, snapshot)

loading.copy = copy_or_die
if point == "while loading":
    loading.index = die
if point == "while states are marked":
    publishes.mark_shown = die
if act == "rollback":
    publishing.rollback(settings, metadata.engine(settings), actor="test", target=Dying(settings))
else:
    publishing.publish(settings, metadata.engine(settings), build_id=act, run_id=None, actor="test",
                       target=Dying(settings))
"""

AFTER = ("after the switch", "while states are marked")


def die(settings: Settings, act: str, point: str) -> None:
    """A process that publishes (``act`` is the build) or rolls back, and is killed at ``point``."""
    killed = subprocess.run(
        [
            *(sys.executable, "-c", CRASH, str(settings.home), str(settings.postgres_url)),
            *(settings.database_prefix, act, point),
        ],
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL


@pytest.mark.parametrize("point", ["between marts", "while loading", "before the switch", *AFTER])
def test_a_publisher_that_is_killed_leaves_a_whole_publish(
    point: str,
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    new_build: Callable[..., str],
    landed: Callable[[], str],
    marts: Marts,
    settings: Settings,
    engine: Engine,
) -> None:
    first = landed()
    write_marts(1)
    publish()
    second = landed()
    write_marts(2)
    die(settings, new_build(), point)

    # Readers see one whole publish, no state promises more, and that there is work is known.
    assert generation(marts) == (2 if point in AFTER else 1)
    assert (state_of(engine, first), state_of(engine, second)) == ("PUBLISHED", "INTEGRATED")
    assert work.pending(engine)

    publishing.reconcile(settings, engine, actor="test")
    assert not publishes.is_unsure(engine)
    seen = "PUBLISHED" if point in AFTER else "INTEGRATED"
    assert state_of(engine, second) == seen
    assert bool(work.pending(engine)) == (point not in AFTER)
    if point not in AFTER:
        assert publishing.publish(settings, engine, run_id=None, actor="test", con=con).changed
    assert generation(marts) == 2
    assert (state_of(engine, first), state_of(engine, second)) == ("PUBLISHED", "PUBLISHED")
    assert not work.pending(engine)
    current = [n for n, state in states(engine).items() if state == "current"]
    assert schemas(marts) == ["marts_1", f"marts_{current[0]}"]
    assert publishing.verify(settings, engine, con=con).agrees


@pytest.mark.parametrize("point", ["before the switch", "after the switch"])
def test_a_rollback_that_is_killed_is_whole_or_has_not_happened(
    point: str,
    write_marts: WriteMarts,
    publish: Publish,
    landed: Callable[[], str],
    marts: Marts,
    settings: Settings,
    engine: Engine,
) -> None:
    for number in (1, 2):
        submission = landed()
        write_marts(number)
        publish()
    die(settings, "rollback", point)

    # It is INTEGRATED before readers may lose it, never PUBLISHED without being seen.
    assert state_of(engine, submission) == "INTEGRATED"
    assert work.pending(engine).readers_unsure
    publishing.reconcile(settings, engine, actor="test")
    back = point == "after the switch"
    assert generation(marts) == (1 if back else 2)
    assert state_of(engine, submission) == ("INTEGRATED" if back else "PUBLISHED")
    assert publishes.rolled_back(engine) == back
    assert not work.pending(engine)


def test_after_a_rollback_only_what_readers_see_is_published_and_verify_says_what_is_not(
    write_marts: WriteMarts,
    publish: Publish,
    landed: Callable[[], str],
    marts: Marts,
    settings: Settings,
    engine: Engine,
) -> None:
    first = landed()
    write_marts(1)
    publish()
    withdraw(engine, first)
    second = landed()
    write_marts(2)
    publish()
    assert publishing.verify(settings, engine).agrees

    report = publishing.rollback(settings, engine, actor="test")

    assert (report.no_longer, report.gone) == ([second], [first])
    assert "INTEGRATED again" in report.message
    assert "withdrawn" in report.message
    assert state_of(engine, second) == "INTEGRATED"
    verified = publishing.verify(settings, engine)
    assert not verified.agrees
    assert verified.rolled_back
    assert (verified.submissions.missing, verified.submissions.gone) == ([second], [first])
    assert verified.submissions.misstated == []

    report = publish()
    assert report.submissions == [second]
    assert publishing.verify(settings, engine).agrees


def withdraw(engine: Engine, submission_id: str) -> None:
    with Session(engine) as session, session.begin():
        submissions.transition(session, submission_id, "WITHDRAWN", actor="test", reason="a test")


def state_of(engine: Engine, submission_id: str) -> str:
    with Session(engine) as session:
        return submissions.get(session, submission_id).state


def test_two_publishers_take_turns(
    write_marts: WriteMarts,
    con: duckdb.DuckDBPyConnection,
    publish: Publish,
    settings: Settings,
    engine: Engine,
) -> None:
    write_marts(1)
    target = publishing.PostgresTarget(settings)
    with target.exclusive(1), pytest.raises(PublishError, match="Another publish"):
        publish(wait_seconds=0.2)
    target.close()
    assert publish(wait_seconds=0.2).changed


def test_the_reader_role_reads_views_and_nothing_else(
    write_marts: WriteMarts, con: duckdb.DuckDBPyConnection, publish: Publish, marts: Marts
) -> None:
    write_marts(1)
    report = publish()
    with marts.transaction(force_rollback=True):
        marts.execute(f"set local role {READER_ROLE}")
        assert marts.execute("select count(*) from marts.patients").fetchone() == (ROWS,)
        for refused in (
            f"select count(*) from {report.schema}.patients",
            "delete from marts.patients",
            "create table marts.mine (a int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), marts.transaction():
                marts.execute(refused)


def test_forgetting_earlier_publishes_leaves_the_current_one_only(
    write_marts: WriteMarts,
    publish: Publish,
    marts: Marts,
    settings: Settings,
    engine: Engine,
) -> None:
    for number in (1, 2, 3):
        write_marts(number)
        publish()

    dropped, busy = publishing.forget_earlier(
        settings, engine, actor="test", reason="a submission was withdrawn"
    )

    assert (dropped, busy) == (["marts_1", "marts_2"], [])
    assert schemas(marts) == ["marts_3"]
    assert generation(marts) == 3
    assert states(engine) == {1: "dropped", 2: "dropped", 3: "current"}
    with pytest.raises(PublishError, match="no publish before 3"):
        publishing.rollback(settings, engine, actor="test")


def test_a_database_that_goes_away_is_a_publish_error_and_the_next_publish_works(
    write_marts: WriteMarts, publish: Publish, marts: Marts, settings: Settings, engine: Engine
) -> None:
    write_marts(1)
    publish()
    write_marts(2)

    class CutOff(publishing.PostgresTarget):
        def complete(self, publication: Any, counts: Any) -> None:
            marts.execute(
                "select pg_terminate_backend(%s)", [self._database.connection.info.backend_pid]
            )
            super().complete(publication, counts)

    target = CutOff(settings)
    with pytest.raises(PublishError, match="refused or went away"):
        publish(target=target)
    target.close()

    assert generation(marts) == 1
    assert publish().changed
    assert generation(marts) == 2
    assert len(schemas(marts)) == 2
