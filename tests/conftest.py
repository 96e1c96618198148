"""Fixtures shared by all tests: real settings on one embedded Postgres, each test its own databases."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from installation import databases, embedded
from lakehouse import lake
from lakehouse.settings import DATABASES, Settings

TEST_DATA = Path(os.environ.get("LAKEHOUSE_TEST_DATA", Path(__file__).parents[2] / "shared/data"))


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """A developer's own .env or environment must not change what the tests see."""
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            patch.delenv(name.upper(), raising=False)
        patch.delenv("LAKEHOUSE_HOME", raising=False)
        patch.setitem(Settings.model_config, "env_file", None)
        patch.setenv("PRIVACY_KEY", "key-of-the-tests")
        yield


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of one embedded server for the whole session."""
    # Not below pytest's own folder: another session of the same user takes away the right of the
    # server's account to enter it.
    with tempfile.TemporaryDirectory(prefix="lakehouse-tests-") as folder:
        settings = Settings(LAKEHOUSE_HOME=Path(folder))
        running = embedded.ensure_running(settings)
        assert running.postgres_url is not None
        try:
            yield running.postgres_url
        finally:
            embedded.stop(settings)


@pytest.fixture
def settings(postgres_url: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings with a home, an object store and databases of this test's own."""
    prefix = f"t{uuid.uuid4().hex[:10]}_"
    settings = Settings(
        LAKEHOUSE_HOME=tmp_path / "home",
        postgres_url=postgres_url,
        database_prefix=prefix,
        privacy_key=SecretStr("key-of-the-tests"),
        quiescence_minutes=0,
    ).with_home()
    databases.ensure(settings)
    lake.initialise(settings)
    yield settings
    with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
        for name in DATABASES:
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(
                    sql.Identifier(prefix + name)
                )
            )


@pytest.fixture
def engine(settings: Settings):  # type: ignore[no-untyped-def]
    """Engine of the migrated metadata database."""
    from lakehouse import metadata

    metadata.migrate(settings)
    engine = metadata.engine(settings)
    yield engine
    engine.dispose()


@pytest.fixture
def store(settings: Settings):  # type: ignore[no-untyped-def]
    """The prepared local object store."""
    from lakehouse.store import open_store

    store = open_store(settings)
    store.prepare()
    return store


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real inputs by others; tests that need it are skipped where it is absent."""
    if not TEST_DATA.is_dir():
        pytest.skip("no real inputs: set LAKEHOUSE_TEST_DATA to the folder that holds them")
    return TEST_DATA
