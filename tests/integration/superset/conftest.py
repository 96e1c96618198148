"""One real Superset for the tests of this folder, in its own environment, on example marts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import example_rows
import psycopg
import pytest

import native
from installation import databases
from lakehouse import metadata
from lakehouse.settings import Settings


@dataclass(frozen=True)
class RunningSuperset:
    address: str
    passwords: dict[str, str]
    settings: Settings
    native: Any
    place: Any


@pytest.fixture(scope="session")
def superset(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningSuperset]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(
        LAKEHOUSE_HOME=tmp_path_factory.mktemp("superset"),
        postgres_url=postgres_url,
        database_prefix="superset_tests_",
        superset_port=port,
    ).with_home()
    databases.ensure(settings)
    metadata.migrate(settings)
    native.allow_reader_to_log_in(settings)
    with psycopg.connect(settings.libpq_url("marts")) as connection:
        example_rows.fill_marts(connection)
    with psycopg.connect(settings.libpq_url("lakehouse")) as connection:
        example_rows.fill_operations(connection)
    native.ensure_environment()
    place = native.installation(settings)
    native.bootstrap(place)
    native.serve(place)
    yield RunningSuperset(
        place.address,
        {
            user: (settings.home / "secrets" / f"superset_{user}_password").read_text()
            for user in ("admin", "analyst", "viewer")
        },
        settings,
        native,
        place,
    )
    native.stop(place)
