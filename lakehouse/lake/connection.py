"""Connecting to DuckLake: the engine's settings, the catalog's address, where the files are."""

from __future__ import annotations

import importlib.resources
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from lakehouse.errors import LakeError
from lakehouse.quoting import literal
from lakehouse.settings import Settings
from lakehouse.store.connection import S3Connection

#: Name under which the lake is attached; also the default database of every connection.
LAKE = "lake"
LAYERS = ("bronze", "silver", "gold", "marts")

_EXTENSIONS = ("postgres_scanner", "ducklake")
_S3_EXTENSIONS = ("httpfs", *_EXTENSIONS)
#: Where the lake's tables are below the store; what is before it differs between installations.
_BELOW_STORE = "lake/tables/"


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
    for name in _S3_EXTENSIONS if settings.uses_s3 else _EXTENSIONS:
        connection.execute(f"load '{extension_file(name)}'")
    connection.execute("set ducklake_max_retry_count = 100")
    if settings.uses_s3:
        connection.execute(S3Connection.of(settings).duckdb_secret())


def attach(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    read_only: bool = False,
    snapshot: int | None = None,
) -> None:
    """Attach the lake and make it the default."""
    options = attach_options(settings, read_only=read_only, snapshot=snapshot)
    connection.execute(f"attach {literal(catalog_uri(settings))} as {LAKE} ({options})")
    _session(connection)


def _session(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """What each connection to the lake sets for itself."""
    connection.execute(f"use {LAKE}")
    connection.execute("set TimeZone = 'UTC'")
    return connection


def catalog_uri(settings: Settings) -> str:
    return "ducklake:postgres:" + settings.libpq_dsn("ducklake")


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
    options = [f"data_path {literal(data_path(settings))}", "data_inlining_row_limit 0"]
    if read_only:
        options.append("read_only")
    if snapshot is not None:
        options.append(f"snapshot_version {int(snapshot)}")
    return ", ".join(options)


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
