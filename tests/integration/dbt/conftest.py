"""A lake whose Bronze tests write themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from lakehouse.settings import Settings
from tests.integration.dbt.bronze import Silver, open_silver


@pytest.fixture
def silver(settings: Settings, engine: sa.Engine, parsed_once: Path) -> Iterator[Silver]:
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / "dbt").symlink_to(parsed_once)
    opened = open_silver(settings, engine)
    yield opened
    opened.connection.close()


@pytest.fixture(scope="session")
def parsed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt's parsed project is kept, so that not every test parses it again."""
    return tmp_path_factory.mktemp("parsed")
