"""`make down` ends the Superset of `make dashboards`, and nobody else's program."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cli import service
from lakehouse.settings import Settings


@pytest.mark.parametrize(("name", "stopped"), [("gunicorn", True), ("another", False)])
def test_down_ends_the_superset_that_make_dashboards_started(
    tmp_path: Path, name: str, stopped: bool
) -> None:
    settings = Settings(_env_file=None, LAKEHOUSE_HOME=tmp_path)  # type: ignore[call-arg]
    assert not service._stop_superset(settings)  # none was ever started
    program = "import sys; print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()  # its command line is its own by now
    threading.Thread(target=process.wait, daemon=True).start()
    (tmp_path / "superset").mkdir()
    (tmp_path / "superset" / "gunicorn.pid").write_text(f"{process.pid}\n")
    try:
        assert service._stop_superset(settings) is stopped
        if stopped:
            assert process.wait(timeout=10) != 0
        else:
            assert process.poll() is None
    finally:
        process.kill()
    process.wait()
