"""A lake whose Bronze tests write themselves."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from installation import databases
from lakehouse import lake, metadata
from lakehouse.settings import DATABASES, Settings
from tests.integration.dbt.bronze import Silver, open_silver


@contextmanager
def fresh_silver(postgres_url: str, folder: Path, parsed_once: Path) -> Iterator[Silver]:
    """A lake and a metadata database of their own; dbt's parsed project is shared."""
    prefix = f"t{uuid.uuid4().hex[:10]}_"
    settings = Settings(
        LAKEHOUSE_HOME=folder,
        postgres_url=postgres_url,
        database_prefix=prefix,
        privacy_key=SecretStr("key-of-the-tests"),
        small_cell_minimum=0,
    ).with_home()
    (settings.home / "dbt").symlink_to(parsed_once)
    databases.ensure(settings)
    metadata.migrate(settings)
    lake.initialise(settings)
    engine = metadata.engine(settings)
    silver = open_silver(settings, engine)
    yield silver
    silver.connection.close()
    engine.dispose()
    with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
        for name in DATABASES:
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(
                    sql.Identifier(prefix + name)
                )
            )


@pytest.fixture
def silver(postgres_url: str, tmp_path: Path, parsed_once: Path) -> Iterator[Silver]:
    with fresh_silver(postgres_url, tmp_path / "home", parsed_once) as opened:
        yield opened


@pytest.fixture(scope="session")
def parsed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt's parsed project is kept, so that not every test parses it again."""
    return tmp_path_factory.mktemp("parsed")
