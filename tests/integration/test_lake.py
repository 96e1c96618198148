"""Connections to the lake: each its own DuckDB, or inside ``kept_open`` one for all."""

from __future__ import annotations

import multiprocessing

import duckdb
import pytest

from lakehouse import lake
from lakehouse.errors import LakeError
from lakehouse.settings import Settings


def add_one(settings: Settings) -> None:
    """Run in a process of its own: one more row in bronze.number."""
    with lake.connect(settings) as connection:
        lake.append(
            connection,
            lambda c: c.execute("insert into bronze.number values (2)"),
            author="other",
            message="one more",
        )


@pytest.fixture
def numbers(settings: Settings) -> Settings:
    """A lake with the table bronze.number, which holds 1."""
    lake.initialise(settings)
    with lake.connect(settings) as connection:
        connection.execute("create table bronze.number as select 1 as n")
    return settings


def same_duckdb(one: duckdb.DuckDBPyConnection, other: duckdb.DuckDBPyConnection) -> bool:
    one.execute("create or replace table memory.main.mark as select 1")
    row = other.execute(
        "select count(*) from duckdb_tables() where database_name = 'memory' and table_name = 'mark'"
    ).fetchone()
    return row == (1,)


def count(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute("select count(*) from bronze.number").fetchone()
    assert row is not None
    return int(row[0])


def test_connections_share_one_duckdb_inside_the_block_only(numbers: Settings) -> None:
    with lake.connect(numbers) as one, lake.connect(numbers) as other:
        assert not same_duckdb(one, other)
    with lake.kept_open(numbers):
        with lake.connect(numbers) as one, lake.kept_open(numbers), lake.connect(numbers) as other:
            assert same_duckdb(one, other)
        with lake.connect(numbers) as later:
            assert count(later) == 1
    with lake.connect(numbers) as one, lake.connect(numbers) as other:
        assert not same_duckdb(one, other)


def test_shared_connections_have_transactions_of_their_own(numbers: Settings) -> None:
    with (
        lake.kept_open(numbers),
        lake.connect(numbers) as writer,
        lake.connect(numbers) as reader,
    ):
        writer.execute("begin")
        writer.execute("insert into bronze.number values (2)")
        assert (count(writer), count(reader)) == (2, 1)
        writer.execute("rollback")
        assert count(writer) == 1


def test_a_shared_connection_sees_what_other_processes_commit(numbers: Settings) -> None:
    with lake.kept_open(numbers), lake.connect(numbers) as connection:
        assert count(connection) == 1
        other = multiprocessing.get_context("spawn").Process(target=add_one, args=(numbers,))
        other.start()
        other.join(timeout=60)
        assert other.exitcode == 0
        assert count(connection) == 2
        with lake.connect(numbers) as another:
            assert count(another) == 2


def test_the_lake_of_the_past_is_never_shared(numbers: Settings) -> None:
    with lake.kept_open(numbers), lake.connect(numbers) as now:
        before = lake.snapshot_id(now)
        now.execute("insert into bronze.number values (2)")
        with lake.connect(numbers, snapshot=before) as then:
            assert (count(then), count(now)) == (1, 2)


def test_a_lake_that_cannot_be_opened_is_tried_anew(numbers: Settings) -> None:
    nowhere = numbers.model_copy(update={"postgres_url": "postgresql://nobody@127.0.0.1:1"})
    with lake.kept_open(nowhere):
        for _ in range(2):
            with pytest.raises(LakeError, match="cannot be opened"):
                lake.connect(nowhere)
