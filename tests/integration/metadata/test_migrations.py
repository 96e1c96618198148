"""Alembic owns the schema: up, down, up again, from anywhere, by anybody, at once."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, select, text
from sqlalchemy.exc import ProgrammingError

from alembic import command
from lakehouse import metadata
from lakehouse.errors import ConfigurationError
from lakehouse.metadata.models import Base
from lakehouse.settings import Settings

OWN_TABLES = set(Base.metadata.tables)


def configuration(engine_connection: object) -> Config:
    config = Config(metadata.ALEMBIC_INI)
    config.attributes["connection"] = engine_connection
    return config


def test_models_and_migrations_agree(engine: Engine) -> None:
    with engine.connect() as connection:
        command.check(configuration(connection))


def test_every_model_can_be_read(engine: Engine) -> None:
    with engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            connection.execute(select(table).limit(1))


def test_down_leaves_nothing_and_up_again_gives_the_same(
    settings: Settings, engine: Engine
) -> None:
    before = described(engine)
    with engine.connect() as connection:
        command.downgrade(configuration(connection), "base")

    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    assert inspect(engine).get_view_names() == []
    assert "ops" not in inspect(engine).get_schema_names()
    with engine.connect() as connection:
        left = connection.scalar(
            text(
                "select count(*) from pg_proc join pg_namespace on pg_namespace.oid = pronamespace"
                " where nspname = 'public'"
            )
        )
    assert left == 0

    metadata.migrate(settings)
    assert described(engine) == before


def described(engine: Engine) -> list[tuple[str, ...]]:
    query = (
        "select table_schema, table_name, column_name, data_type, is_nullable"
        " from information_schema.columns where table_schema in ('public', 'ops')"
        " order by 1, 2, ordinal_position"
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_each_revision_goes_down_and_up(settings: Settings, engine: Engine) -> None:
    with engine.connect() as connection:
        config = configuration(connection)
        for revision in ScriptDirectory.from_config(config).walk_revisions():
            command.downgrade(config, revision.down_revision or "base")
            command.upgrade(config, revision.revision)
        command.upgrade(config, "head")
        command.check(config)


def test_migrating_twice_and_from_many_at_once_is_harmless(settings: Settings) -> None:
    with ThreadPoolExecutor(2) as pool:
        # alembic.context is one per process, so several processes are what can meet.
        results = list(pool.map(lambda _: migrate_elsewhere(settings), range(2)))

    assert results == [0, 0]
    metadata.migrate(settings)


def migrate_elsewhere(settings: Settings) -> int:
    environment = {
        **os.environ,
        "LAKEHOUSE_HOME": str(settings.home),
        "POSTGRES_URL": settings.postgres_url or "",
        "DATABASE_PREFIX": settings.database_prefix,
    }
    code = (
        "from lakehouse import metadata; from lakehouse.settings import load_settings;"
        "metadata.migrate(load_settings())"
    )
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=settings.home, check=False
    ).returncode


def test_the_alembic_command_finds_the_same_database(settings: Settings, engine: Engine) -> None:
    environment = {
        **os.environ,
        "LAKEHOUSE_HOME": str(settings.home),
        "POSTGRES_URL": settings.postgres_url or "",
        "DATABASE_PREFIX": settings.database_prefix,
    }
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "check"],
        env=environment,
        cwd=metadata.ALEMBIC_INI.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_the_folder_alembic_does_not_hide_the_library() -> None:
    import alembic

    assert not (metadata.ALEMBIC_INI.parent / "alembic" / "__init__.py").exists()
    assert "site-packages" in str(Path(str(alembic.__file__)))


def test_a_server_that_is_not_there_is_named(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"postgres_url": "postgresql://x@127.0.0.1:9"})

    with pytest.raises(ConfigurationError, match="metadata database"):
        metadata.migrate(nowhere)


@pytest.fixture
def plain_role(settings: Settings, engine: Engine) -> Settings:
    """Settings of a role that is no superuser and owns the database, as in the compose stack."""
    role = settings.database_prefix + "owner"
    database = settings.database_prefix + "lakehouse"
    engine.dispose()
    with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
        connection.execute(f"create role {role} login")
        connection.execute(f"drop database {database} with (force)")
        connection.execute(f"create database {database} owner {role}")
    assert settings.postgres_url is not None
    yield settings.model_copy(
        update={"postgres_url": settings.postgres_url.replace("//postgres@", f"//{role}@")}
    )
    with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
        connection.execute(f"drop database {database} with (force)")
        connection.execute(f"drop role {role}")


def test_the_owner_needs_no_superuser(plain_role: Settings) -> None:
    metadata.migrate(plain_role)
    engine = metadata.engine(plain_role)
    with engine.connect() as connection:
        superuser = connection.scalar(
            text("select rolsuper from pg_roles where rolname = current_user")
        )
        connection.execute(text("select * from ops.submission"))
    engine.dispose()

    assert superuser is False


def test_the_reader_sees_operations_views_and_nothing_else(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("set role bi_reader"))
        for view in (
            *("submission", "quarantine_reason", "file_balance", "check_result"),
            *("freshness", "build", "publish"),
        ):
            connection.execute(text(f"select * from ops.{view}"))
        for table in sorted(OWN_TABLES):
            with pytest.raises(ProgrammingError, match="permission denied"):
                connection.execute(text(f"select * from public.{table}"))
            connection.rollback()
            connection.execute(text("set role bi_reader"))


def test_operations_views_name_no_file_and_no_drop(engine: Engine) -> None:
    columns = {row[2] for row in described(engine) if row[0] == "ops"}

    assert not columns & {"path", "raw_key", "group_key", "drop_id", "sample", "detail", "note"}
