"""dbt works in the DuckDB that this process holds open, and leaves nothing behind in it."""

from __future__ import annotations

import threading

import duckdb

from lakehouse import lake
from lakehouse.metadata import builds
from tests.integration.dbt.bronze import Arrival, Silver
from transformation import dbt_runner


def databases_and_schemas(connection: duckdb.DuckDBPyConnection) -> tuple[set[str], set[str]]:
    databases = connection.execute("select database_name from duckdb_databases()").fetchall()
    schemas = connection.execute(
        "select schema_name from duckdb_schemas() where database_name = 'memory'"
    ).fetchall()
    return {name for (name,) in databases}, {name for (name,) in schemas}


def test_a_build_uses_the_open_duckdb_and_tidies_up(silver: Silver) -> None:
    silver.land([Arrival({"resourceType": "Patient", "id": "p1", "gender": "female"})])
    during: list[tuple[set[str], set[str]]] = []
    with lake.kept_open(silver.settings), lake.connect(silver.settings) as connection:
        before = databases_and_schemas(connection)
        for _ in range(2):
            build = builds.start_build(
                silver.engine, full_refresh=False, run_id=None, actor="a test"
            )
            done = dbt_runner.build(
                silver.settings,
                select="patient",
                with_tests=False,
                on_event=lambda _: during.append(databases_and_schemas(connection)),
            )
            assert done.nodes
            assert not done.failed
            builds.finish_build(silver.engine, build.build_id, "failed", None, actor="a test")
        assert all("metadata" in names and "scratch" in schemas for names, schemas in during)
        assert len(during) >= 2
        assert databases_and_schemas(connection) == before
        assert connection.execute("select count(*) from lake.silver.patient").fetchone() == (1,)


def test_a_build_works_on_one_node_at_a_time(silver: Silver) -> None:
    """Two threads that make tables in one DuckDB may put them into a wrong schema (decision 0029)."""
    silver.land([Arrival({"resourceType": "Patient", "id": "p1", "gender": "female"})])
    threads: set[int] = set()
    build = builds.start_build(silver.engine, full_refresh=True, run_id=None, actor="a test")
    done = dbt_runner.build(
        silver.settings,
        select="patient encounter condition procedure",  # nothing orders one before another
        with_tests=False,
        on_event=lambda _: threads.add(threading.get_ident()),
    )
    builds.finish_build(silver.engine, build.build_id, "failed", None, actor="a test")
    assert len(done.nodes) >= 4
    assert not done.failed
    assert len(threads) == 1
