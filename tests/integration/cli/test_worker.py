"""A command whose work the loaded worker does is the same command: same output, code, files, signals."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from cli import entry, worker
from installation import embedded
from lakehouse.settings import Settings
from orchestration.processes import presence

ROOT = Path(__file__).resolve().parents[3]
COMMAND = str(Path(sys.executable).parent / "lakehouse")

Command = Callable[..., subprocess.Popen[str]]


class Home:
    """A lakehouse with a worker, and commands that are given to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "home"
        self.folder = folder
        self.workers: list[subprocess.Popen[str]] = []

    def environment(self, **variables: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LAKEHOUSE_HOME": str(self.path),
            "QUIESCENCE_MINUTES": "0",
            "COLUMNS": "160",
            **variables,
        }

    def start_worker(self, **variables: str) -> subprocess.Popen[str]:
        """A worker that listens by now."""
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.worker"],
            cwd=ROOT,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.workers.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def run(
        self, *arguments: str, folder: Path | None = None, given: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            cwd=folder or self.folder,
            env=self.environment(**variables),
            input=given,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    @contextmanager
    def waiting_run(self) -> Iterator[subprocess.Popen[str]]:
        """`lakehouse run` in the midst of its work: it waits for another command line to end."""
        settings = embedded.ensure_running(
            Settings(_env_file=None, LAKEHOUSE_HOME=self.path)  # type: ignore[call-arg]
        )
        with psycopg.connect(settings.libpq_url("dagster"), autocommit=True) as other:
            other.execute("select pg_advisory_lock(%s, 0)", [presence._WORK_SPACE])
            process = subprocess.Popen(
                [COMMAND, "run"],
                cwd=self.folder,
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            for line in process.stdout:
                if "another command line" in line:
                    break
            yield process
            process.kill()
        process.communicate()

    def at_work(self) -> list[psutil.Process]:
        """Processes that do the work of a command: each is a session of its own."""
        return [
            child
            for process in self.workers
            if process.poll() is None
            for child in psutil.Process(process.pid).children()
            if os.getsid(child.pid) == child.pid
        ]


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="lakehouse-worker-") as folder:
        home = Home(Path(folder))
        assert home.run("--no-worker", "init").returncode == 0
        yield home
        home.run("down")
        for process in home.workers:
            process.communicate(timeout=60)


@pytest.fixture
def loaded(home: Home) -> subprocess.Popen[str]:
    """The worker of the home; a new one where a test ended it."""
    running = [process for process in home.workers if process.poll() is None]
    return running[-1] if running else home.start_worker()


COMMANDS = [
    ["--version"],
    ["--help"],
    ["status", "--help"],
    ["no-such-command"],
    ["sql", "select 1 as a, null as b union all select 22, 'x' order by 1"],
    ["sql", "--json", "select current_setting('TimeZone') as zone"],
    ["sql", "select nothing from nowhere"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_says_and_returns_the_same(
    arguments: list[str], home: Home, loaded: subprocess.Popen[str]
) -> None:
    handed = home.run(*arguments)
    here = home.run("--no-worker", *arguments)
    assert (handed.returncode, handed.stdout, handed.stderr) == (
        here.returncode,
        here.stdout,
        here.stderr,
    )
    assert loaded.poll() is None


def test_the_worker_does_it(home: Home, loaded: subprocess.Popen[str]) -> None:
    # Python says here what it loads: a command whose work is done elsewhere loads no library of its own.
    said = home.run("status", PYTHONVERBOSE="1").stderr
    assert "import 'cli.entry'" in said
    assert "import 'typer'" not in said
    assert loaded.poll() is None


def test_it_works_in_the_callers_folder_with_its_input(home: Home, loaded: object) -> None:
    drop = home.folder / "here" / "drop"
    drop.mkdir(parents=True)
    (drop / "patient.json").write_text('{"resourceType": "Patient", "id": "p1"}')
    first = home.run("drop", "drop", "--drop-id", "one", folder=drop.parent)
    assert first.returncode == 0, first.stderr
    assert "1 file(s) put" in first.stdout
    assert list(home.path.glob("store/inbox/*/*/one/patient.json"))


def test_it_sees_the_callers_terminal(home: Home, loaded: object) -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.Popen(
            [COMMAND, "sql", "select repeat('wide ', 12) as words"],
            cwd=home.folder,
            env=home.environment(COLUMNS="40", TERM="xterm-256color"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        assert done.wait(timeout=120) == 0
    finally:
        os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "\x1b[" in shown  # colours: it knows that this is a terminal
    assert "wide wide wide" in shown


def test_many_at_once_are_all_done(home: Home, loaded: object) -> None:
    commands = [
        subprocess.Popen(
            [COMMAND, "sql", "--csv", f"select {number} as n"],
            env=home.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    answers = [command.communicate(timeout=120)[0].split() for command in commands]
    assert answers == [["n", str(number)] for number in range(6)]


def test_ctrl_c_interrupts_the_work(home: Home, loaded: object) -> None:
    home.run("drop", str(home.folder / "here" / "drop"), "--drop-id", "two")
    with home.waiting_run() as command:
        at_work = home.at_work()
        command.send_signal(signal.SIGINT)
        assert command.wait(timeout=60) == 130
        assert psutil.wait_procs(at_work, timeout=60)[1] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_killed_takes_its_work_with_it(
    number: signal.Signals, home: Home, loaded: object
) -> None:
    home.run("drop", str(home.folder / "here" / "drop"), "--drop-id", "two")
    with home.waiting_run() as command:
        at_work = home.at_work()
        command.send_signal(number)
        assert command.wait(timeout=60) == -number
        assert psutil.wait_procs(at_work, timeout=60)[1] == []


def test_a_worker_may_be_killed_while_it_works(home: Home, loaded: subprocess.Popen[str]) -> None:
    home.run("drop", str(home.folder / "here" / "drop"), "--drop-id", "two")
    with home.waiting_run() as command:
        loaded.kill()
        loaded.wait()
        command.send_signal(signal.SIGINT)  # the command has not noticed: it is still at it
        assert command.wait(timeout=60) == 130
    assert home.run("sql", "--csv", "select 7 as n", WORKER_IDLE_MINUTES="0").stdout == "n\n7\n"


def test_a_worker_of_other_settings_is_not_used_and_ends(
    home: Home, loaded: subprocess.Popen[str]
) -> None:
    shown = home.run("--no-worker", "sql", "--csv", "select 1 as a")
    handed = home.run(
        "sql", "--csv", "select 1 as a", SMALL_CELL_MINIMUM="5", WORKER_IDLE_MINUTES="0"
    )
    assert handed.stdout == shown.stdout
    assert loaded.wait(timeout=60) == -signal.SIGTERM


def test_a_worker_that_nobody_asks_ends(home: Home) -> None:
    idle = home.start_worker(WORKER_IDLE_MINUTES="0.001")
    assert idle.wait(timeout=120) == 0
    assert not entry.socket_of(home.path).exists()


def test_the_first_command_leaves_a_worker_and_down_ends_it(home: Home) -> None:
    settings = Settings(_env_file=None, LAKEHOUSE_HOME=home.path)  # type: ignore[call-arg]
    assert not worker.stop(settings)
    assert home.run("--no-worker", "status").returncode == 0
    assert worker._pid(settings) is None
    assert home.run("status", WORKER_IDLE_MINUTES="0").returncode == 0
    assert worker._pid(settings) is None
    assert home.run("status").returncode == 0
    assert "worker" in home.run("down").stdout
    assert worker._pid(settings) is None


def test_another_state_of_the_code_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("cli", "dbt/models"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "alembic", tmp_path / "alembic")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(worker, "ROOT", tmp_path)
    states = [worker._fingerprint()]
    os.utime(tmp_path / "cli" / "main.py", ns=(1, 1))
    states.append(worker._fingerprint())
    (tmp_path / "dbt" / "models" / "new.sql").touch()
    states.append(worker._fingerprint())
    (tmp_path / "cli" / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "cli" / "__pycache__" / "main.pyc").touch()
    assert len(set(states)) == 3
    assert worker._fingerprint() == states[-1]


def test_a_socket_of_another_user_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "socket"
    path.touch()
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    assert entry.hand_over([], path) is None
