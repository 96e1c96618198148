"""A platform of its own for the main job, driven through the `lakehouse` command as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMMAND = Path(sys.executable).parent / "lakehouse"

Lakehouse = Callable[..., subprocess.CompletedProcess[str]]


def command(
    home: Path, *arguments: str, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `lakehouse` with a home of its own and nothing from this machine's settings."""
    environment = {
        "PATH": os.environ["PATH"],
        "LAKEHOUSE_HOME": str(home),
        "QUIESCENCE_MINUTES": "0",
        "COLUMNS": "160",
        "WORKER_IDLE_MINUTES": "0",
        **variables,
    }
    done = subprocess.run(
        [str(COMMAND), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"lakehouse {' '.join(arguments)} exited {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return done


@pytest.fixture
def home() -> Iterator[Path]:
    """A fresh home, not below pytest's folder: the embedded server's account must be able to enter."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-main-job-") as folder:
        yield Path(folder) / "home"


@pytest.fixture
def lakehouse(home: Path) -> Iterator[Lakehouse]:
    """The `lakehouse` command on a fresh home; the embedded Postgres is stopped at the end."""

    def run(
        *arguments: str, check: bool = True, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return command(home, *arguments, check=check, **variables)

    yield run
    command(home, "down")


def rows(lakehouse: Lakehouse, query: str) -> list[dict[str, Any]]:
    """Rows of a query, through `lakehouse sql --json`."""
    found: list[dict[str, Any]] = json.loads(lakehouse("sql", "--json", query).stdout)
    return found
