"""What keeps a container's command and starts it again with new secrets, on small real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENTRYPOINT = ROOT / "docker/lakehouse/entrypoint.py"
#: Notes its process id, that of a child which would outlive it, and the database password it was
#: given; says which signal ended it.
COMMAND = """
import os, pathlib, signal, subprocess, sys, time
starts = pathlib.Path(sys.argv[1])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def end(number, frame):
    starts.with_name("signal").write_text(str(number))
    sys.exit(int(sys.argv[2]))
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
with starts.open("a") as file:
    file.write(f"{os.getpid()} {child.pid} {os.environ.get('DAGSTER_POSTGRES_URL')}\\n")
while True:
    time.sleep(600)
"""


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended but was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Container:
    """The entry point with a folder of secrets, and what its command noted at each start."""

    def __init__(self, folder: Path) -> None:
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        (self.secrets / "dagster_db_password").write_text("first")
        self._starts = folder / "starts"
        self._starts.touch()
        self.service_file = folder / "service"
        self.process = subprocess.Popen(
            [
                *(sys.executable, ENTRYPOINT, "--watch", self.secrets),
                *(sys.executable, "-c", COMMAND, self._starts, "7"),
            ],
            env=os.environ
            | {
                "DAGSTER_DB_PASSWORD_FILE": str(self.secrets / "dagster_db_password"),
                "TMPDIR": str(folder),
            },
            stdout=subprocess.PIPE,
            text=True,
        )

    def starts(self) -> list[tuple[int, int, str]]:
        lines = [line.split() for line in self._starts.read_text().splitlines()]
        return [(int(command), int(child), url) for command, child, url in lines]

    def change(self, name: str, value: str) -> None:
        """As the set-up jobs do: in one step, by way of a file whose name begins with a dot."""
        new = self.secrets / f".{name}.new"
        new.write_text(value)
        new.replace(self.secrets / name)

    def signalled(self) -> int:
        return int(self._starts.with_name("signal").read_text())


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    started = Container(tmp_path)
    assert eventually(lambda: len(started.starts()) == 1)
    yield started
    started.process.kill()
    started.process.wait(timeout=20)
    for command, child, _ in started.starts():
        for pid in (command, child):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_a_changed_secret_starts_the_command_again_and_the_container_goes_on(
    container: Container,
) -> None:
    before = container.service_file.stat().st_mtime
    container.change("dagster_db_password", "second@")
    assert eventually(lambda: len(container.starts()) == 2)
    (first, child, old), (second, _, new) = container.starts()
    assert ":first@" in old
    assert ":second%40@" in new  # what only the environment can tell is made anew as well
    assert eventually(lambda: not alive(first) and not alive(child))
    assert container.signalled() == signal.SIGTERM
    assert container.process.poll() is None
    assert container.service_file.read_text() == f"{second}\n"
    assert container.service_file.stat().st_mtime > before


def test_a_secret_that_is_new_or_gone_counts_and_several_at_once_count_once(
    container: Container,
) -> None:
    container.change("dagster_db_password", "second")
    container.change("webhook_url", "another")
    assert container.process.stdout is not None
    said = container.process.stdout.readline()
    assert said.endswith("this is new: dagster_db_password, webhook_url\n")
    assert eventually(lambda: len(container.starts()) == 2)
    (container.secrets / "webhook_url").unlink()
    assert container.process.stdout.readline().endswith("this is new: webhook_url\n")
    assert eventually(lambda: len(container.starts()) == 3)


def test_a_command_that_ends_by_itself_ends_the_container_with_its_code(
    container: Container,
) -> None:
    command, child, _ = container.starts()[0]
    os.kill(command, signal.SIGKILL)
    assert container.process.wait(timeout=20) == 128 + signal.SIGKILL
    assert eventually(lambda: not alive(child))
    assert len(container.starts()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_command_whose_code_is_the_containers(
    container: Container, number: int
) -> None:
    command, child, _ = container.starts()[0]
    container.process.send_signal(number)
    assert container.process.wait(timeout=20) == 7
    assert container.signalled() == number
    assert eventually(lambda: not alive(command) and not alive(child))


def test_a_container_that_is_stopped_while_its_command_starts_again_stops(
    container: Container,
) -> None:
    command, _, _ = container.starts()[0]
    os.kill(command, signal.SIGSTOP)  # so that it takes its time to end
    container.change("dagster_db_password", "second")
    assert container.process.stdout is not None
    container.process.stdout.readline()
    container.process.terminate()
    os.kill(command, signal.SIGCONT)
    assert container.process.wait(timeout=20) == 7
    assert len(container.starts()) == 1


def test_a_job_becomes_its_command_with_the_variables_that_others_read(tmp_path: Path) -> None:
    for name in ("access", "secret"):
        (tmp_path / name).write_text(f"{name}-key\n")
    said = subprocess.run(
        [
            *(sys.executable, ENTRYPOINT, sys.executable, "-c"),
            "import os; print(os.environ['AWS_ACCESS_KEY_ID'], os.environ['AWS_SECRET_ACCESS_KEY'])",
        ],
        env=os.environ
        | {
            "DAGSTER_STORE_ACCESS_KEY_FILE": str(tmp_path / "access"),
            "DAGSTER_STORE_SECRET_KEY_FILE": str(tmp_path / "secret"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "access-key secret-key\n"


@pytest.mark.parametrize("arguments", [[], ["--watch", "/run/lakehouse"], ["--help"]])
def test_without_a_command_it_says_how_it_is_used(arguments: list[str]) -> None:
    said = subprocess.run(
        [sys.executable, ENTRYPOINT, *arguments], capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert "--watch FOLDER COMMAND" in said.stderr
