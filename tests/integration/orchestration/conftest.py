"""A real Dagster instance on the tests' Postgres."""

from __future__ import annotations

import os
from collections.abc import Iterator

import dagster as dg
import pytest

from lakehouse.settings import Settings
from orchestration.processes.instance import open_instance


@pytest.fixture
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance as command line and daemon have it; the environment is put back afterwards."""
    before = dict(os.environ)
    os.environ.pop("DAGSTER_HOME", None)
    with open_instance(settings) as opened:
        yield opened
    os.environ.clear()
    os.environ.update(before)
