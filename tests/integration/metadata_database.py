"""Fixtures for tests that need the metadata database and no lake: each a copy of one template.

Copying a migrated database takes a tenth of a second; making all databases and the lake's catalog
takes seconds.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Engine

from installation import databases
from lakehouse import metadata
from lakehouse.settings import Settings

KEY = SecretStr("key-of-the-tests")


@pytest.fixture(scope="session")
def metadata_template(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a migrated database to copy."""
    prefix = f"m{uuid.uuid4().hex[:10]}_"
    settings = Settings(
        LAKEHOUSE_HOME=tmp_path_factory.mktemp("template"),
        postgres_url=postgres_url,
        database_prefix=prefix,
        privacy_key=KEY,
    )
    databases.ensure(settings)
    metadata.migrate(settings)
    return prefix + "lakehouse"


@pytest.fixture
def settings(postgres_url: str, metadata_template: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings with a home, an object store and a metadata database of this test's own."""
    prefix = f"t{uuid.uuid4().hex[:10]}_"
    settings = Settings(
        LAKEHOUSE_HOME=tmp_path / "home",
        postgres_url=postgres_url,
        database_prefix=prefix,
        privacy_key=KEY,
        quiescence_minutes=0,
    ).with_home()
    database = sql.Identifier(prefix + "lakehouse")
    with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(
                database, sql.Identifier(metadata_template)
            )
        )
    yield settings
    with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(database))


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """Engine of the migrated metadata database."""
    engine = metadata.engine(settings)
    yield engine
    engine.dispose()
