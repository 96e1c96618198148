"""What a publish works with: the marts database, and the lake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from lakehouse import lake as lakes
from lakehouse.lake import catalog
from lakehouse.quoting import identifier
from lakehouse.settings import Settings
from publishing.postgres import PostgresTarget
from publishing.target import Target

#: How long a publish waits for another publisher, and for readers of old snapshots.
WAIT_SECONDS = 60.0


@contextmanager
def opened_target(settings: Settings, given: Target | None) -> Iterator[Target]:
    if given is not None:
        yield given
        return
    target = PostgresTarget(settings)
    try:
        yield target
    finally:
        target.close()


@contextmanager
def opened_lake(
    settings: Settings, given: duckdb.DuckDBPyConnection | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    if given is not None:
        yield given
        return
    connection = lakes.connect(settings)
    try:
        yield connection
    finally:
        connection.close()


def lake_counts(lake: duckdb.DuckDBPyConnection, snapshot: int) -> dict[str, int]:
    counts = {}
    for table in catalog.tables(lake, "marts", snapshot):
        row = lake.execute(
            f"select count(*) from {lakes.LAKE}.marts.{identifier(table)} at (version => {snapshot})"
        ).fetchone()
        counts[table] = int(row[0]) if row else 0
    return counts
