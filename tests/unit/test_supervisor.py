"""The supervisor of the no-Docker mode, on small real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

#: Writes its own process id and that of a child which would outlive it, then waits.
SERVICE = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()} {child.pid}\\n")
time.sleep(600)
"""


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
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


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    path = tmp_path / "starts"
    path.touch()
    return path


@pytest.fixture
def supervisor(starts: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "installation.supervisor"),
            *(sys.executable, "-c", SERVICE, str(starts)),
        ]
    )
    assert eventually(lambda: len(pids(starts)) == 1)
    yield process
    process.terminate()
    process.wait(timeout=20)


def pids(starts: Path) -> list[tuple[int, int]]:
    """The service and its child, for each start."""
    lines = starts.read_text().splitlines()
    return [(int(service), int(child)) for service, child in map(str.split, lines)]


def test_a_killed_service_starts_again_and_leaves_nothing_behind(
    supervisor: subprocess.Popen[bytes], starts: Path
) -> None:
    service, child = pids(starts)[0]
    os.kill(service, signal.SIGKILL)
    assert eventually(lambda: len(pids(starts)) == 2)
    assert eventually(lambda: not alive(child))
    assert all(alive(pid) for pid in pids(starts)[1])


def test_ending_the_supervisor_ends_the_service(
    supervisor: subprocess.Popen[bytes], starts: Path
) -> None:
    supervisor.terminate()
    assert supervisor.wait(timeout=20) == 0
    assert len(pids(starts)) == 1
    assert eventually(lambda: not any(alive(pid) for pid in pids(starts)[0]))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells children of their parent's death")
def test_a_killed_supervisor_takes_its_service_with_it(
    supervisor: subprocess.Popen[bytes], starts: Path
) -> None:
    supervisor.kill()
    supervisor.wait(timeout=20)
    service, child = pids(starts)[0]
    try:
        assert eventually(lambda: not alive(service))
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_service_that_cannot_start_is_tried_at_growing_intervals(starts: Path) -> None:
    failing = "import sys; open(sys.argv[1], 'a').write('0 0\\n'); sys.exit(3)"
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "installation.supervisor"),
            *(sys.executable, "-c", failing, str(starts)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        process.terminate()
    assert [line.rsplit(" ", 2)[1] for line in said] == ["0.5", "1", "2"]
    assert all("ended with code 3" in line for line in said)
