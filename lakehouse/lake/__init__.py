"""DuckLake: connecting, single-writer transactions, snapshots.

DuckLake silently duplicates rows when two processes delete and insert, or merge, the same new key.
Appends are safe. So every write that is not an append goes through :func:`write` (or runs under
:func:`layer_lock`, as dbt does): one Postgres advisory lock per table, one transaction, one commit
message, and the whole transaction again on conflict.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import psycopg
from psycopg import sql

from lakehouse.errors import LakeError, WriteConflict
from lakehouse.settings import Settings

T = TypeVar("T")

#: Name under which the lake is attached; also the default database of every connection.
LAKE = "lake"
LAYERS = ("bronze", "silver", "gold", "marts")

_EXTENSIONS = ("postgres_scanner", "ducklake")
_S3_EXTENSIONS = ("httpfs", *_EXTENSIONS)
_WRITE_ATTEMPTS = 12
_BACKOFF_SECONDS = 0.05
#: Where the lake's tables are below the store; what is before it differs between installations.
_BELOW_STORE = "lake/tables/"
_STATISTICS = Path(__file__).with_name("statistics.sql")
#: First half of the advisory lock's two keys: keeps the lake's locks apart from other users'.
_LOCK_SPACE = 0x1A4E


def connect(
    settings: Settings, *, read_only: bool = False, snapshot: int | None = None
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the lake attached as ``lake`` and made the default.

    ``snapshot`` attaches the lake as it was then (read-only). Nothing is downloaded: extensions are
    loaded from their wheels. Inside :func:`kept_open` the connection is one more on the DuckDB that
    is open already. Raises :class:`LakeError` when the catalog or the store cannot be reached.
    """
    if snapshot is None and (identity := _identity(settings)) in _kept:
        opened = _kept[identity] = _kept[identity] or _open(settings)
        return _session(opened.cursor())
    return _open(settings, read_only=read_only, snapshot=snapshot)


def _open(
    settings: Settings, *, read_only: bool = False, snapshot: int | None = None
) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=engine_settings(settings))
    try:
        prepare(connection, settings)
        attach(connection, settings, read_only=read_only, snapshot=snapshot)
    except duckdb.Error as error:
        connection.close()
        raise LakeError(
            f"The lake cannot be opened ({type(error).__name__}).",
            hint="`select * from ducklake_snapshots('lake')` lists the snapshots that there are."
            if snapshot is not None and "snapshot" in str(error)
            else "Check that Postgres and the object store are up: `lakehouse status`.",
        ) from None
    return connection


#: The DuckDB of each lake that :func:`kept_open` holds in this process, once somebody needed it.
_kept: dict[tuple[object, ...], duckdb.DuckDBPyConnection | None] = {}


@contextmanager
def kept_open(settings: Settings) -> Iterator[None]:
    """Hold one DuckDB open: whatever connects to the lake meanwhile in this process shares it.

    A new DuckDB costs half a second of processor time, most of it to check the extensions'
    signatures; one more connection to an open one costs a millisecond. Each connection has its own
    transactions, as if it were alone; ``read_only`` is then the caller's word. May be nested: the
    outermost block closes.
    """
    identity = _identity(settings)
    if identity in _kept:
        yield
        return
    _kept[identity] = None
    try:
        yield
    finally:
        opened = _kept.pop(identity)
        if opened is not None:
            opened.close()


def _identity(settings: Settings) -> tuple[object, ...]:
    """What makes two settings mean the same lake in the same DuckDB; a forked child shares none."""
    return (
        os.getpid(),
        catalog_uri(settings),
        data_path(settings),
        json.dumps(engine_settings(settings), sort_keys=True),
    )


def engine_settings(settings: Settings) -> dict[str, str | bool | int | float | list[str]]:
    """DuckDB's start-up configuration: bounded, offline, no surprises."""
    return {
        "memory_limit": settings.duckdb_memory_limit,
        "threads": settings.duckdb_threads,
        "temp_directory": str(settings.home.resolve() / "tmp"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
    }


def prepare(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Load the extensions and the store's credentials into ``connection``."""
    from lakehouse.store import duckdb_secret_sql

    for name in _S3_EXTENSIONS if settings.uses_s3 else _EXTENSIONS:
        connection.execute(f"load '{extension_file(name)}'")
    connection.execute("set ducklake_max_retry_count = 100")
    secret = duckdb_secret_sql(settings)
    if secret:
        connection.execute(secret)


def attach(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    read_only: bool = False,
    snapshot: int | None = None,
) -> None:
    """Attach the lake and make it the default."""
    options = attach_options(settings, read_only=read_only, snapshot=snapshot)
    connection.execute(f"attach '{catalog_uri(settings)}' as {LAKE} ({options})")
    _session(connection)


def _session(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """What each connection to the lake sets for itself."""
    connection.execute(f"use {LAKE}")
    connection.execute("set TimeZone = 'UTC'")
    return connection


def catalog_uri(settings: Settings) -> str:
    return "ducklake:postgres:" + settings.libpq_dsn("ducklake").replace("'", "''")


def root(settings: Settings) -> str:
    """What the full path of every file of this installation's store starts with."""
    return data_path(settings).removesuffix(_BELOW_STORE)


def data_path(settings: Settings) -> str:
    """Where the lake's own Parquet files are (a folder, or ``s3://bucket/…``)."""
    if settings.uses_s3:
        return f"s3://{settings.lake_bucket}/{_BELOW_STORE}"
    return f"{settings.store_folder}/{_BELOW_STORE}"


def attach_options(
    settings: Settings, *, read_only: bool = False, snapshot: int | None = None
) -> str:
    """Options of the ATTACH statement, for this module and for dbt's profile."""
    options = [f"data_path '{data_path(settings)}'", "data_inlining_row_limit 0"]
    if read_only:
        options.append("read_only")
    if snapshot is not None:
        options.append(f"snapshot_version {int(snapshot)}")
    return ", ".join(options)


def initialise(settings: Settings) -> None:
    """Make the catalog, the layers' schemas and their options; idempotent and race-free."""
    with _advisory_lock(settings, ["lake"]):
        connection = connect(settings)
        try:
            for schema in LAYERS:
                connection.execute(f"create schema if not exists {LAKE}.{schema}")
            connection.execute(f"call {LAKE}.set_option('parquet_compression', 'zstd')")
            keep_text_out_of_catalog(settings)
        except (duckdb.Error, psycopg.Error) as error:
            raise LakeError(f"The lake cannot be set up ({type(error).__name__}).") from None
        finally:
            connection.close()


def keep_text_out_of_catalog(settings: Settings) -> int:
    """Have the catalog take no statistics of text, and remove those that it has; gives their number.

    DuckLake writes the least and greatest value of every column (up to 256 characters) into its
    catalog, with each insert and each compaction: names, notes, resources. Its tables take them only
    of what ``statistics.sql`` lets in.
    """
    removed = 0
    with psycopg.connect(settings.libpq_url("ducklake"), autocommit=True) as connection:
        connection.execute(_STATISTICS.read_text(encoding="utf-8"))
        for table in ("ducklake_file_column_stats", "ducklake_table_column_stats"):
            name = sql.Identifier(table)
            rows = connection.execute(
                sql.SQL(
                    "update {} set min_value = null, max_value = null, extra_stats = null"
                    " where coalesce(min_value, max_value, extra_stats) is not null"
                    " and not lakehouse_is_plain(table_id, column_id)"
                ).format(name)
            ).rowcount
            if rows:
                # The former rows are in the table's file until it is written anew.
                connection.execute(sql.SQL("vacuum (full) {}").format(name))
            removed += rows
    return removed


def extension_file(name: str) -> Path:
    """The signed extension binary inside its wheel, for the installed DuckDB version."""
    package = importlib.resources.files(f"duckdb_extension_{name}")
    file = Path(str(package)) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not file.is_file():
        raise LakeError(
            f"The DuckDB extension {name} {duckdb.__version__} is not installed.",
            hint="Install the locked requirements: `make setup`.",
        )
    return file


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
    with _advisory_lock(settings, tables, shared=layers):
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
    with _advisory_lock(
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


def snapshot_id(connection: duckdb.DuckDBPyConnection) -> int:
    """Id of the lake's newest snapshot."""
    row = connection.execute(
        f"select max(snapshot_id) from ducklake_snapshots('{LAKE}')"
    ).fetchone()
    if row is None or row[0] is None:
        raise LakeError("The lake has no snapshot.", hint="Run `lakehouse up` to set it up.")
    return int(row[0])


@contextmanager
def _advisory_lock(
    settings: Settings, names: Iterable[str], *, shared: Iterable[str] = ()
) -> Iterator[None]:
    """Session-level advisory locks, taken in sorted order so that two writers cannot deadlock."""
    wanted = dict.fromkeys(shared, "select pg_advisory_lock_shared(%s, hashtext(%s))")
    wanted |= dict.fromkeys(names, "select pg_advisory_lock(%s, hashtext(%s))")
    with psycopg.connect(settings.libpq_url("ducklake"), autocommit=True) as connection:
        for name in sorted(wanted):
            connection.execute(wanted[name], [_LOCK_SPACE, name])
        yield  # closing the connection releases the locks, also when this process is killed


def literal(text: str) -> str:
    """``text`` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _rollback(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("rollback")
    except duckdb.TransactionException:
        return  # DuckDB had already ended the transaction


def _is_conflict(error: duckdb.Error) -> bool:
    text = str(error).lower()
    return any(word in text for word in ("conflict", "concurrent", "serializ", "deadlock", "retry"))
