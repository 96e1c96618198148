"""What readers and people's own views go through while publishes happen."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import duckdb
import psycopg
import pytest
from sqlalchemy import Engine

import publishing
from installation.databases import READER_ROLE
from lakehouse.errors import PublishError
from lakehouse.settings import Settings

Publish = Callable[..., publishing.PublishReport]
Marts = psycopg.Connection[Any]
WriteMarts = Callable[..., None]

ROWS = 5_000

#: Reads in a loop until its standard input is closed. Every read is one statement over both marts,
#: or two statements in one repeatable-read transaction; what it saw is printed as JSON.
READER = """
import json, random, select, sys, time
import psycopg

url, mode = sys.argv[1:]
joined = '''
    select
        (select count(*) from marts.encounters),
        (select count(*) from marts.patients),
        (select array_agg(distinct generation) from marts.patients),
        (select array_agg(distinct generation) from marts.encounters),
        (select max(publish) from marts.publication)
'''
single = "select count(*), min(generation), max(generation) from marts.{}"
problems, generations, reads, slowest = [], set(), 0, 0.0
with psycopg.connect(url, autocommit=True) as connection:
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    print("reading", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        started = time.perf_counter()
        try:
            if mode == "statement":
                encounters, patients, first, second, n = connection.execute(joined).fetchone()
            else:
                with connection.transaction():
                    connection.execute("select 1")  # a snapshot before any mart is looked up
                    time.sleep(random.choice([0, 0.3]))
                    read = lambda query: connection.execute(query).fetchone()
                    encounters, low, high = read(single.format("encounters"))
                    patients, *rest = read(single.format("patients"))
                    first, second = [low], sorted({high, *rest})
                    n = read("select max(publish) from marts.publication")[0]
        except psycopg.Error as error:
            problems.append(f"{type(error).__name__}: {error}")
            continue
        slowest = max(slowest, time.perf_counter() - started)
        reads += 1
        generations.add(first[0])
        if (encounters, patients) != (5000, 5000) or first != second or first != [n]:
            problems.append(f"{encounters}, {patients} rows of {first}, {second}, publish {n}")
print(json.dumps({"problems": problems[:5], "generations": sorted(generations),
                  "reads": reads, "slowest": slowest}))
"""


@pytest.mark.parametrize("mode", ["statement", "transaction"])
def test_readers_in_a_tight_loop_see_whole_publishes_only(
    mode: str,
    write_marts: WriteMarts,
    publish: Publish,
    settings: Settings,
) -> None:
    write_marts(1)
    publish()
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, settings.libpq_url("marts"), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"

    for generation in range(2, 12):
        # A column comes and goes, so that views are also dropped and made again.
        write_marts(generation, more=", 'x' as extra" if generation % 3 == 0 else "")
        publish()

    for reader in readers:
        seen = json.loads(reader.communicate("stop\n", timeout=60)[0])
        assert seen["problems"] == []
        assert seen["reads"] > 10
        assert len(seen["generations"]) > 5
        assert seen["slowest"] < 1.5


def test_a_transaction_older_than_the_publish_never_finds_an_empty_table(
    write_marts: WriteMarts, publish: Publish, settings: Settings, marts: Marts
) -> None:
    write_marts(1)
    publish()
    with psycopg.connect(settings.libpq_url("marts")) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("select 1")  # a snapshot, but no lock on any mart
        write_marts(2)
        with pytest.raises(PublishError, match=r"older than this publish.*pid"):
            publish(wait_seconds=0.3)
        assert reader.execute("select count(*) from marts.patients").fetchone() == (ROWS,)
    assert marts.execute("select max(publish) from marts.publication").fetchone() == (1,)
    assert publish().changed


def test_a_publish_waits_for_a_reader_and_holds_nobody_else_up(
    write_marts: WriteMarts, publish: Publish, settings: Settings
) -> None:
    write_marts(1)
    publish()
    write_marts(2)
    slowest = 0.0
    with (
        psycopg.connect(settings.libpq_url("marts")) as long_reader,
        psycopg.connect(settings.libpq_url("marts"), autocommit=True) as other,
    ):
        long_reader.execute("select count(*) from marts.patients").fetchone()
        publisher = threading.Thread(target=publish)
        publisher.start()
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            started = time.perf_counter()
            assert other.execute("select min(generation) from marts.patients").fetchone() == (1,)
            slowest = max(slowest, time.perf_counter() - started)
        long_reader.rollback()
        publisher.join(timeout=30)
        assert not publisher.is_alive()
        assert other.execute("select min(generation) from marts.patients").fetchone() == (2,)
    assert slowest < 1.0


def test_readers_that_never_end_make_the_publish_give_up(
    write_marts: WriteMarts, publish: Publish, settings: Settings, marts: Marts
) -> None:
    write_marts(1)
    publish()
    write_marts(2)
    with psycopg.connect(settings.libpq_url("marts")) as reader:
        reader.execute("select count(*) from marts.patients").fetchone()
        with pytest.raises(PublishError, match=r"kept the published views locked.*pid"):
            publish(wait_seconds=0.5)
    assert marts.execute("select min(generation) from marts.patients").fetchone() == (1,)


def own_views(marts: Marts) -> None:
    marts.execute("create schema analysts")
    marts.execute(
        "create view analysts.by_k with (security_barrier) as"
        " select k, count(*) as n from marts.encounters group by k"
    )
    marts.execute("create view analysts.top as select k from analysts.by_k where n > 1")
    marts.execute("comment on view analysts.by_k is 'counts'")
    marts.execute("comment on column analysts.by_k.n is 'how many'")
    marts.execute(f"grant usage on schema analysts to {READER_ROLE}")
    marts.execute(f"grant select on analysts.by_k, analysts.top to {READER_ROLE}")


def privileges(marts: Marts) -> list[Any]:
    return marts.execute(
        "select table_schema, table_name, grantee, privilege_type, is_grantable"
        " from information_schema.role_table_grants where grantee <> 'postgres'"
        " and table_schema in ('marts', 'analysts') and table_name <> 'publication'"
        " order by 1, 2, 3, 4"
    ).fetchall()


@pytest.mark.parametrize(
    "more", ["", ", 'new' as extra", ", 1.5 as extra"], ids=["same", "added", "retyped"]
)
def test_grants_and_peoples_own_views_survive(
    more: str, write_marts: WriteMarts, publish: Publish, marts: Marts
) -> None:
    write_marts(1, more=", 7 as extra" if more.startswith(", 1.5") else "")
    publish()
    own_views(marts)
    marts.execute("create role test_auditor nologin")
    try:
        marts.execute("grant select on marts.encounters to test_auditor with grant option")
        marts.execute("grant select (k) on marts.encounters to test_auditor")
        marts.execute("comment on view marts.encounters is 'one row an encounter'")
        before = privileges(marts)
        write_marts(2, more=more)

        report = publish()

        assert privileges(marts) == before
        assert marts.execute("select count(*) from analysts.top").fetchone() == (10,)
        comments = marts.execute(
            "select obj_description('analysts.by_k'::regclass),"
            " col_description('analysts.by_k'::regclass, 2),"
            " obj_description('marts.encounters'::regclass),"
            " (select reloptions from pg_class where oid = 'analysts.by_k'::regclass)"
        ).fetchone()
        assert comments == ("counts", "how many", "one row an encounter", ["security_barrier=true"])
        rebuilt = more.startswith(", 1.5")
        assert report.switch.rebuilt == (("encounters",) if rebuilt else ())
        assert report.switch.recreated == (("analysts.by_k", "analysts.top") if rebuilt else ())
    finally:
        marts.execute("drop owned by test_auditor")
        marts.execute("drop role test_auditor")


def test_what_was_revoked_from_the_reader_role_stays_revoked(
    write_marts: WriteMarts, publish: Publish, marts: Marts
) -> None:
    write_marts(1, more=", 7 as extra")
    publish()
    marts.execute(f"revoke select on marts.encounters from {READER_ROLE}")
    write_marts(2)
    assert publish().switch.rebuilt == ("encounters",)
    allowed = marts.execute(
        "select has_table_privilege(%s, 'marts.encounters', 'select')", [READER_ROLE]
    ).fetchone()
    assert allowed == (False,)


def test_a_view_that_cannot_survive_stops_the_publish_and_is_named(
    con: duckdb.DuckDBPyConnection, write_marts: WriteMarts, publish: Publish, marts: Marts
) -> None:
    write_marts(1)
    publish()
    own_views(marts)
    write_marts(2)
    con.execute("alter table lake.marts.encounters drop column k")

    with pytest.raises(PublishError) as stopped:
        publish()
    assert "analysts.by_k" in str(stopped.value)
    assert "analysts.top" in str(stopped.value)
    assert marts.execute("select count(*) from analysts.top").fetchone() == (10,)
    assert marts.execute("select min(generation) from marts.encounters").fetchone() == (1,)

    report = publish(drop_broken_views=True)
    assert set(report.switch.dropped) == {"analysts.by_k", "analysts.top"}
    assert "group by" in report.switch.dropped["analysts.by_k"].lower()
    assert marts.execute("select min(generation) from marts.encounters").fetchone() == (2,)


def test_a_materialized_view_on_changed_columns_is_refused_by_name(
    write_marts: WriteMarts, publish: Publish, marts: Marts
) -> None:
    write_marts(1, more=", 7 as extra")
    publish()
    marts.execute("create materialized view public.kept as select k from marts.encounters")
    write_marts(2)
    with pytest.raises(PublishError, match=r"materialized view public\.kept"):
        publish()
    marts.execute("drop materialized view public.kept")
    assert publish().changed


def test_a_view_of_somebodys_own_in_schema_marts_is_left_alone(
    con: duckdb.DuckDBPyConnection, write_marts: WriteMarts, publish: Publish, marts: Marts
) -> None:
    write_marts(1)
    publish()
    marts.execute("create view marts.mine as select count(*) as n from marts.patients")
    write_marts(2)
    publish()
    assert marts.execute("select n from marts.mine").fetchone() == (ROWS,)

    con.execute("create table lake.marts.mine as select 1 as a")
    with pytest.raises(PublishError, match=r"publishing did not make is called marts\.mine"):
        publish()


def test_rollback_over_changed_columns_brings_the_old_columns_back(
    write_marts: WriteMarts,
    publish: Publish,
    marts: Marts,
    settings: Settings,
    engine: Engine,
) -> None:
    write_marts(1)
    publish()
    write_marts(2, more=", 7 as extra")
    publish()
    publishing.rollback(settings, engine, actor="test")
    columns = marts.execute("select * from marts.encounters limit 0").description
    assert columns is not None
    assert [column.name for column in columns] == ["encounter_key", "generation", "k"]
