"""What the hub makes of the word that a container's health check left."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.probes import Observation
from hub.reports import with_report

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
UP = Observation("Code location", True, "loaded")


def left(folder: Path, *problems: str, seconds_ago: float = 5) -> Path:
    at = (NOW - timedelta(seconds=seconds_ago)).timestamp()
    (folder / "code-location").write_text(json.dumps({"at": at, "problems": problems}))
    return folder


def test_a_check_that_failed_says_which_part_and_why(tmp_path: Path) -> None:
    folder = left(tmp_path, "Postgres refuses the password of the role lakehouse", "and more")
    assert with_report(UP, folder, NOW) == Observation(
        "Code location", False, "Postgres refuses the password of the role lakehouse; and more"
    )


def test_a_check_that_went_well_leaves_what_the_hub_saw(tmp_path: Path) -> None:
    folder = left(tmp_path)
    assert with_report(UP, folder, NOW) == UP
    down = Observation("Code location", False, "not loaded: lakehouse")
    assert with_report(down, folder, NOW) == down


def test_a_container_that_fell_silent_is_not_well_whatever_others_remember(tmp_path: Path) -> None:
    folder = left(tmp_path, "an old trouble", seconds_ago=600)
    assert with_report(UP, folder, NOW) == Observation(
        "Code location", False, "its container has not looked at itself lately"
    )


def test_without_containers_the_hub_asks_alone(tmp_path: Path) -> None:
    assert with_report(UP, None, NOW) == UP
    assert with_report(UP, tmp_path, NOW) == UP
    assert with_report(Observation("Postgres", True, "answers"), left(tmp_path, "x"), NOW).healthy


def test_what_cannot_be_read_is_said_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "code-location").write_text("{}")
    with caplog.at_level(logging.WARNING):
        assert with_report(UP, tmp_path, NOW) == UP
    assert "report of code-location is not readable: KeyError" in caplog.text
