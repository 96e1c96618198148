"""Backup and restore between two real installations: databases, catalog, objects, audit chain."""

from __future__ import annotations

import io
import stat
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from installation import backup, databases
from lakehouse import lake, metadata
from lakehouse.errors import ConfigurationError, LakehouseError
from lakehouse.lake import maintenance
from lakehouse.metadata import audit
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore, open_store


@pytest.fixture
def filled(settings: Settings, engine: Engine, store: ObjectStore) -> Settings:
    """An installation with a submission, an audit trail, objects, lake tables and a mart."""
    store.put("inbox/clinic/fhir/1/a.json", b"{}")
    store.put("raw/clinic/fhir/s1/a.json", b"{}" * 5_000)
    store.make_immutable("raw/clinic/fhir/s1/a.json")
    with Session(engine) as session:
        for number in range(3):
            audit.append(
                session, audit.Event(actor="test", action="made", subject=f"thing:{number}")
            )
        session.commit()
    with psycopg.connect(settings.libpq_url("lakehouse")) as connection:
        connection.execute(
            "insert into submission (submission_id, group_key, submitter, file_type, drop_id, state,"
            " content_sha256, file_count, byte_count, received_at)"
            " values ('s1', 'g', 'clinic', 'fhir_bundle', 'd', 'LANDED', %s, 1, 2, now())",
            ["0" * 64],
        )
    connection = lake.connect(settings)
    connection.execute("create table lake.silver.patient as select range as n from range(1000)")
    connection.execute("delete from lake.silver.patient where n < 10")
    folder = settings.store_folder / "lake/bronze/s1"
    folder.mkdir(parents=True)
    connection.execute("create table lake.bronze.fhir_resource (n bigint)")
    connection.execute(f"copy (select 7::bigint as n) to '{folder}/1.parquet'")
    connection.execute(
        f"call ducklake_add_data_files('lake', 'fhir_resource', '{folder}/1.parquet',"
        " schema => 'bronze')"
    )
    connection.close()
    with psycopg.connect(settings.libpq_url("marts")) as connection:
        connection.execute("create schema marts_1; create schema if not exists marts")
        connection.execute("create table marts_1.t as select 1 as n")
        connection.execute("create or replace view marts.t as select * from marts_1.t")
    return settings


@pytest.fixture
def empty(filled: Settings, tmp_path: Path):  # type: ignore[no-untyped-def]
    settings = filled.model_copy(
        update={"database_prefix": filled.database_prefix + "r_", "home": tmp_path / "other"}
    ).with_home()
    databases.ensure(settings)
    metadata.migrate(settings)
    lake.initialise(settings)
    open_store(settings).prepare()
    yield settings
    with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
        for name in ("lakehouse", "ducklake", "dagster", "marts", "superset"):
            connection.execute(
                f'drop database if exists "{settings.database_prefix}{name}" with (force)'
            )


def test_a_restored_installation_has_every_count_and_an_intact_audit_chain(
    filled: Settings, empty: Settings, store: ObjectStore
) -> None:
    target = io.BytesIO()
    made = backup.backup(filled, store, target)
    restored = backup.restore(empty, open_store(empty), io.BytesIO(target.getvalue()))
    assert restored.inventory == made.inventory
    assert made.inventory.lake_rows == {"bronze.fhir_resource": 1, "silver.patient": 990}
    assert made.inventory.metadata_rows["public.submission"] == 1
    assert made.inventory.mart_rows == {"marts.t": 1}
    assert restored.inventory.audit_intact
    raw = empty.store_folder / "raw/clinic/fhir/s1/a.json"
    assert stat.S_IMODE(raw.stat().st_mode) == 0o444


def test_the_restored_lake_reads_its_own_files_and_takes_new_rows(
    filled: Settings, empty: Settings, store: ObjectStore
) -> None:
    target = io.BytesIO()
    backup.backup(filled, store, target)
    backup.restore(empty, open_store(empty), io.BytesIO(target.getvalue()))
    for path in (filled.store_folder / "lake").rglob("*.parquet"):
        path.unlink()
    connection = lake.connect(empty)
    connection.execute("insert into lake.silver.patient values (5000)")
    assert connection.execute("select count(*) from lake.silver.patient").fetchone() == (991,)
    assert connection.execute("select n from lake.bronze.fhir_resource").fetchone() == (7,)
    connection.close()


def test_a_restored_installation_never_deletes_files_of_the_one_it_came_from(
    filled: Settings, empty: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = lake.connect(filled)
    connection.execute("delete from lake.bronze.fhir_resource")
    connection.execute("delete from lake.silver.patient")
    connection.execute(
        "call ducklake_expire_snapshots('lake', older_than => now() + interval 1 day)"
    )
    connection.close()
    files = set((filled.store_folder / "lake").rglob("*.parquet"))
    assert len(files) == 3  # both tables' rows, and which rows of one were deleted before
    target = io.BytesIO()
    backup.backup(filled, store, target)
    backup.restore(empty, open_store(empty), io.BytesIO(target.getvalue()))
    copied = {empty.store_folder / path.relative_to(filled.store_folder) for path in files}
    assert all(path.exists() for path in copied)

    monkeypatch.setattr(maintenance, "_FILE_GRACE", timedelta(seconds=-60))
    assert maintenance.run(empty).files_removed == 3

    assert all(path.exists() for path in files)
    assert not any(path.exists() for path in copied)

    # Also where a catalog came here by other means, with paths that nobody moved.
    with psycopg.connect(empty.libpq_url("ducklake")) as catalog:
        catalog.execute(
            "insert into ducklake_files_scheduled_for_deletion values (%s, %s, false, now())",
            [10_000, str(next(iter(files)))],
        )
    maintenance.run(empty)
    assert all(path.exists() for path in files)


def test_the_reader_role_still_reads_after_a_restore(
    filled: Settings, empty: Settings, store: ObjectStore
) -> None:
    target = io.BytesIO()
    backup.backup(filled, store, target)
    backup.restore(empty, open_store(empty), io.BytesIO(target.getvalue()))
    for database, view in (("marts", "marts.t"), ("lakehouse", "ops.submission")):
        with psycopg.connect(empty.libpq_url(database)) as connection:
            connection.execute("set role bi_reader")
            assert connection.execute(f"select count(*) from {view}").fetchone() == (1,)


def test_a_restore_into_an_installation_that_holds_something_is_refused(
    filled: Settings, store: ObjectStore
) -> None:
    with pytest.raises(ConfigurationError, match="not empty"):
        backup.restore(filled, store, io.BytesIO(b""))


def test_a_backup_that_was_cut_off_is_not_taken_for_a_whole_one(
    filled: Settings, empty: Settings, store: ObjectStore
) -> None:
    target = io.BytesIO()
    backup.backup(filled, store, target)
    half = target.getvalue()[:-30_000]
    with pytest.raises(LakehouseError):
        backup.restore(empty, open_store(empty), io.BytesIO(half))
