"""Writing to the lake: transactions, the lock of one writer a table, another try on conflict.

DuckLake silently duplicates rows when two processes delete and insert, or merge, the same new key.
Appends are safe. So every write that is not an append goes through :func:`write` (or runs under
:func:`layer_lock`, as dbt does): one Postgres advisory lock per table, one transaction, one commit
message, and the whole transaction again on conflict.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import duckdb
import psycopg

from lakehouse.errors import LakeError, WriteConflict
from lakehouse.lake.connection import LAKE
from lakehouse.quoting import literal
from lakehouse.settings import Settings

T = TypeVar("T")

_WRITE_ATTEMPTS = 12
_BACKOFF_SECONDS = 0.05
#: First half of the advisory lock's two keys: keeps the lake's locks apart from other users'.
_LOCK_SPACE = 0x1A4E


def write(
    settings: Settings,
    connection: duckdb.DuckDBPyConnection,
    work: Callable[[duckdb.DuckDBPyConnection], T],
    *,
    tables: Sequence[str],
    author: str,
    message: str,
    extra: Mapping[str, object] | None = None,
) -> T:
    """Run ``work`` in one transaction while holding the lock of each of ``tables``.

    ``tables`` are named ``schema.table``. For anything that is not a pure append. Waits while
    somebody holds the :func:`layer_lock` of their layer. The whole transaction is tried again on
    conflict; :class:`WriteConflict` after the last try.
    """
    layers = {f"{table.partition('.')[0]}.*" for table in tables}
    with advisory_lock(settings, tables, shared=layers):
        return append(connection, work, author=author, message=message, extra=extra)


def append(
    connection: duckdb.DuckDBPyConnection,
    work: Callable[[duckdb.DuckDBPyConnection], T],
    *,
    author: str,
    message: str,
    extra: Mapping[str, object] | None = None,
) -> T:
    """Run ``work`` in one transaction without a lock: only for appends, which are safe in parallel.

    ``work`` may be called several times; each time in a transaction of its own.
    """
    for attempt in range(_WRITE_ATTEMPTS):
        connection.execute("begin")
        try:
            result = work(connection)
            # Literals: DuckDB imports pandas, for over a second, to bind parameters from Python.
            info = json.dumps(dict(extra or {}), sort_keys=True)
            connection.execute(
                f"call {LAKE}.set_commit_message({literal(author)}, {literal(message)}, "
                f"extra_info => {literal(info)})"
            )
            connection.execute("commit")
        except duckdb.Error as error:
            _rollback(connection)
            if not _is_conflict(error):
                # The error's own text may quote a value: it stays out of the chain too.
                raise LakeError(
                    f"A lake transaction failed ({type(error).__name__}): {message}"
                ) from None
            # The catalog serialises commits: wait a moment, differently in each process.
            time.sleep(random.uniform(1, 2) * _BACKOFF_SECONDS * 2 ** min(attempt, 6))  # noqa: S311
        except BaseException:
            _rollback(connection)
            raise
        else:
            return result
    raise WriteConflict(
        f"A lake transaction kept conflicting with other writers: {message}",
        hint="Run it again; if it stays so, look for a long writer in `lakehouse status`.",
    )


@contextmanager
def layer_lock(settings: Settings, *layers: str, reads: Sequence[str] = ()) -> Iterator[None]:
    """Hold the writers' lock of whole layers, as dbt does while it builds them.

    Nobody builds the layers in ``reads`` meanwhile; others may read them too.
    """
    with advisory_lock(
        settings,
        [f"{layer}.*" for layer in layers],
        shared=[f"{layer}.*" for layer in reads],
    ):
        yield


@contextmanager
def one_snapshot(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Read in one transaction: every query sees the same state, and the catalog is asked once."""
    connection.execute("begin")
    try:
        yield
    finally:
        _rollback(connection)


@contextmanager
def advisory_lock(
    settings: Settings, names: Iterable[str], *, shared: Iterable[str] = ()
) -> Iterator[None]:
    """Session-level advisory locks, taken in sorted order so that two writers cannot deadlock."""
    wanted = dict.fromkeys(shared, "select pg_advisory_lock_shared(%s, hashtext(%s))")
    wanted |= dict.fromkeys(names, "select pg_advisory_lock(%s, hashtext(%s))")
    with psycopg.connect(settings.libpq_url("ducklake"), autocommit=True) as connection:
        for name in sorted(wanted):
            connection.execute(wanted[name], [_LOCK_SPACE, name])
        yield  # closing the connection releases the locks, also when this process is killed


def _rollback(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("rollback")
    except duckdb.TransactionException:
        return  # DuckDB had already ended the transaction


def _is_conflict(error: duckdb.Error) -> bool:
    text = str(error).lower()
    return any(word in text for word in ("conflict", "concurrent", "serializ", "deadlock", "retry"))
