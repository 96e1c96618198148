"""The secret that an installation without containers makes for itself."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.errors import ConfigurationError
from lakehouse.settings import secret_file

#: Waits for the others, asks a hundred times for secrets that nobody made yet, and says what it got.
_ASK = """
import sys, pathlib
from lakehouse.settings import secret_file
folder = pathlib.Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(" ".join(secret_file(folder / str(number)) for number in range(100)))
"""


def test_processes_that_start_together_get_the_same_secret(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _ASK, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 6
    (answer,) = answers
    assert len(set(answer.split())) == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(100)))


def test_a_secret_is_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "privacy_key"
    secret = secret_file(path)
    assert len(secret) >= 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret_file(path) == secret


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "privacy_key").touch()
    with pytest.raises(ConfigurationError, match="privacy_key is empty"):
        secret_file(tmp_path / "privacy_key")
