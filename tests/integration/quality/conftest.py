"""Suites written by the test, and the one Great Expectations process of the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import duckdb
import pytest
from sqlalchemy import Engine

import quality
from lakehouse import lake
from lakehouse.settings import Settings
from quality import suites
from quality.suites import Layer, Suite


@pytest.fixture(scope="session", autouse=True)
def _end_the_process() -> Iterator[None]:
    yield
    quality.close()


@pytest.fixture
def con(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = lake.connect(settings)
    yield connection
    connection.close()


@pytest.fixture
def suite(tmp_path: Path) -> Callable[..., Suite]:
    """A suite from YAML text, for ``layer.table``."""

    def read(name: str, text: str) -> Suite:
        layer, table = name.split(".")
        file = tmp_path / f"{table}.yml"
        file.write_text(dedent(text), encoding="utf-8")
        return suites.read(file, layer)  # type: ignore[arg-type]

    return read


@pytest.fixture
def check(
    settings: Settings, engine: Engine, con: duckdb.DuckDBPyConnection
) -> Callable[..., dict[str, quality.CheckResult]]:
    """Check suites; results by the name of their rule."""

    def run(*chosen: Suite, **options: Any) -> dict[str, quality.CheckResult]:
        layer: Layer = chosen[0].layer
        results = quality.run(
            layer,
            settings=settings,
            engine=engine,
            con=con,
            build_id=None,
            run_id="run-1",
            suites=chosen,
            **options,
        )
        return {result.rule: result for result in results}

    return run
