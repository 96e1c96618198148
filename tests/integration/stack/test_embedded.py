"""The embedded Postgres: in UTC wherever it runs, and up again after a power cut."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from installation import databases, embedded
from lakehouse.settings import DATABASES, Settings


@pytest.fixture(scope="module")
def home() -> Iterator[Settings]:
    # Not below pytest's folder: the server's account must be able to enter.
    with tempfile.TemporaryDirectory(prefix="lakehouse-embedded-") as folder:
        settings = Settings(LAKEHOUSE_HOME=Path(folder))
        yield settings
        embedded.stop(settings)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with Postgres."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_1_sessions_are_in_utc_whatever_zone_the_host_is_in(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    running = embedded.ensure_running(home)
    databases.ensure(running)
    databases.ensure(running)
    for name in ("postgres", *DATABASES):
        with psycopg.connect(running.libpq_url(name)) as connection:  # type: ignore[arg-type]
            assert connection.execute("show timezone").fetchone() == ("UTC",), name
    # The databases are so on a server in any zone.
    with psycopg.connect(running.libpq_url("postgres"), autocommit=True) as connection:
        connection.execute("alter system set timezone = 'Asia/Kolkata'")
        connection.execute("select pg_reload_conf()")
    with psycopg.connect(running.libpq_url("marts")) as connection:
        assert connection.execute("show timezone").fetchone() == ("UTC",)


def test_2_a_process_that_has_the_dead_servers_number_keeps_nobody_from_starting(
    home: Settings, stranger: subprocess.Popen[bytes]
) -> None:
    running = embedded.ensure_running(home)
    with psycopg.connect(running.libpq_url("marts"), autocommit=True) as connection:
        connection.execute("create table kept as select 7 as n")
    lock = embedded.data_folder(home) / "postmaster.pid"
    left = lock.read_text(encoding="utf-8").splitlines()
    assert embedded.stop(home)

    # As after a power cut: the file is there, and its number is somebody else's by now.
    lock.write_text("\n".join([str(stranger.pid), *left[1:]]) + "\n", encoding="utf-8")
    assert not embedded.is_running(home)
    again = embedded.ensure_running(home)

    with psycopg.connect(again.libpq_url("marts")) as connection:
        assert connection.execute("select n from kept").fetchone() == (7,)
    assert stranger.poll() is None


def test_3_a_running_server_is_found_and_left_alone(home: Settings) -> None:
    pid = (embedded.data_folder(home) / "postmaster.pid").read_text().splitlines()[0]
    embedded.ensure_running(home)
    assert embedded.is_running(home)
    assert (embedded.data_folder(home) / "postmaster.pid").read_text().splitlines()[0] == pid
