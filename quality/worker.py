"""This process's handle on the one that holds Great Expectations (:mod:`quality.gx_process`).

It is started once, on the first check or by :func:`warm_up`, serves every later check of this
process, and ends by itself when this process does.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

from lakehouse.errors import QualityError
from lakehouse.settings import Settings
from quality import data_docs

_PROJECT = Path(__file__).resolve().parents[1]
#: A check that takes longer is stuck: Great Expectations sees counts, or a few published marts.
_ANSWER_SECONDS = 600.0
_END_SECONDS = 120.0


class _Worker:
    """The running process; one request at a time."""

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
        self.owner = os.getpid()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "quality.gx_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": path, "GX_ANALYTICS_ENABLED": "false"},
            # Ctrl-C is for this process; the site is completed all the same.
            start_new_session=True,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("a process with pipes has both")
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._buffer = b""

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
        except BrokenPipeError:
            raise self._ended() from None
        answer: dict[str, Any] = json.loads(self._read_line())
        if "error" in answer:
            raise QualityError(
                f"Great Expectations could not check: {answer['error']}.",
                hint="Run `lakehouse check` again; report it if it stays.",
            )
        return answer

    def _read_line(self) -> bytes:
        descriptor = self._answers.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(_ANSWER_SECONDS):
                    self._process.kill()
                    raise QualityError(
                        f"Great Expectations gave no answer in {_ANSWER_SECONDS:.0f} s."
                    )
                chunk = os.read(descriptor, 1 << 16)
                if not chunk:
                    raise self._ended()
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _ended(self) -> QualityError:
        status = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        # The last line of a traceback names the error; its text after the colon may hold anything.
        last = lines[-1].partition(":")[0] if lines else "no message"
        return QualityError(
            f"The process of Great Expectations ended (status {status}, {last}).",
            hint="Run `python -m quality.gx_process </dev/null` to see why.",
        )

    def close(self, *, wait: bool) -> None:
        if self.owner != os.getpid():
            return
        self._requests.close()
        if wait:
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()


_lock = threading.Lock()
_current: _Worker | None = None


def warm_up() -> None:
    """Start the process now, so that its six seconds of importing pass beside other work."""
    with _lock:
        _running()


def ask(request: dict[str, Any]) -> dict[str, Any]:
    """One request and its answer. Raises :class:`QualityError`."""
    with _lock:
        return _running().ask(request)


def build_data_docs(settings: Settings) -> Path:
    """Bring the Data Docs site up to date now; returns its first page.

    Without this it happens some seconds after the last check, or when this process ends.
    """
    home = settings.home.resolve()
    ask({"do": "build site", "home": str(home)})
    return home / data_docs.SITE / "index.html"


def close() -> None:
    """End the process when it has completed the site, and wait for that."""
    _close(wait=True)


def _running() -> _Worker:
    global _current
    if _current is None or not _current.alive:
        _current = _Worker()
    return _current


def _close(*, wait: bool) -> None:
    global _current
    with _lock:
        if _current is not None:
            _current.close(wait=wait)
            _current = None


# Without waiting: what was asked for is answered, only the site is completed a moment later.
atexit.register(_close, wait=False)
