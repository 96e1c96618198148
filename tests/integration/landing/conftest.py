"""Fixtures of the landing tests: drops that really went through intake."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import duckdb
import pytest
from sqlalchemy import Engine

from ingestion.intake import intake
from ingestion.landing import LandingReport, land
from lakehouse import lake
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore

Stage = Callable[..., str]
Land = Callable[[str], LandingReport]


@pytest.fixture
def stage(store: ObjectStore, engine: Engine, settings: Settings) -> Stage:
    """Drops files and takes them in; gives the id of the staged submission."""
    numbers = itertools.count(1)

    def _stage(files: Mapping[str, bytes], *, drop: str | None = None) -> str:
        folder = f"inbox/clinic/fhir/{drop or f'drop-{next(numbers)}'}"
        for path, data in files.items():
            store.put(f"{folder}/{path}", data)
        store.put(f"{folder}/_SUCCESS", b"")
        report = intake(store, engine, settings, now=datetime.now(UTC), actor="test")
        [registered] = report.registered
        return registered.submission_id

    return _stage


@pytest.fixture
def landing(store: ObjectStore, engine: Engine, settings: Settings) -> Land:
    def _land(submission_id: str) -> LandingReport:
        return land(
            submission_id,
            store=store,
            engine=engine,
            settings=settings,
            run_id="run-1",
            actor="test",
        )

    return _land


@pytest.fixture
def con(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = lake.connect(settings)
    yield connection
    connection.close()
