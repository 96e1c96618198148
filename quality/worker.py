"""This process's handle on the one that holds Great Expectations (:mod:`quality.gx_process`).

A process of its own is started on the first check or by :func:`warm_up`, serves every later check of this
process, and ends by itself when this process does. A service whose runs are many short processes calls
:func:`share` instead: its one process serves them all.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Any

from lakehouse.errors import QualityError
from lakehouse.settings import Settings
from quality import data_docs

_PROJECT = Path(__file__).resolve().parents[1]
#: Where the shared process listens; inherited by the processes that it serves.
_SHARED = "LAKEHOUSE_QUALITY_SOCKET"
#: A check that takes longer is stuck: Great Expectations sees counts, or a few published marts.
_ANSWER_SECONDS = 600.0
_END_SECONDS = 120.0


class _SharedGone(QualityError):
    """The shared process ended: one of our own can answer as well."""


class _Worker(ABC):
    """A process that answers; one request at a time."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._buffer = b""

    @property
    @abstractmethod
    def alive(self) -> bool: ...

    @abstractmethod
    def send(self, line: bytes) -> None:
        """Raises :class:`OSError` when nobody is there any more."""

    @abstractmethod
    def descriptor(self) -> int:
        """Where answers are read."""

    @abstractmethod
    def give_up(self) -> None:
        """Make an end of a process that does not answer."""

    @abstractmethod
    def ended(self) -> QualityError:
        """What to say of a process that is gone."""

    @abstractmethod
    def close(self, *, wait: bool) -> None: ...

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            self.send(json.dumps(request).encode() + b"\n")
        except OSError:
            raise self.ended() from None
        answer: dict[str, Any] = json.loads(self._read_line())
        if "error" in answer:
            raise QualityError(
                f"Great Expectations could not check: {answer['error']}.",
                hint="Run `lakehouse check` again; report it if it stays.",
            )
        return answer

    def _read_line(self) -> bytes:
        descriptor = self.descriptor()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(_ANSWER_SECONDS):
                    self.give_up()
                    raise QualityError(
                        f"Great Expectations gave no answer in {_ANSWER_SECONDS:.0f} s."
                    )
                try:
                    chunk = os.read(descriptor, 1 << 16)
                except ConnectionResetError:  # a socket's other side died before it read all
                    chunk = b""
                if not chunk:
                    raise self.ended()
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


class _OwnWorker(_Worker):
    """A process for this one alone."""

    def __init__(self) -> None:
        super().__init__()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        # Ctrl-C is for this process; the site is completed all the same.
        self._process = _start(stdout=subprocess.PIPE, stderr=self._log, start_new_session=True)
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("a process with pipes has both")
        self._requests, self._answers = self._process.stdin, self._process.stdout

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def send(self, line: bytes) -> None:
        self._requests.write(line)
        self._requests.flush()

    def descriptor(self) -> int:
        return self._answers.fileno()

    def give_up(self) -> None:
        self._process.kill()

    def ended(self) -> QualityError:
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


class _SharedWorker(_Worker):
    """A connection to the process that serves all runs of this service."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(path)
        self._open = True

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self._open

    def send(self, line: bytes) -> None:
        self._connection.sendall(line)

    def descriptor(self) -> int:
        return self._connection.fileno()

    def give_up(self) -> None:
        self.close(wait=False)

    def ended(self) -> QualityError:
        self.close(wait=False)
        return _SharedGone("The service's process of Great Expectations ended.")

    def close(self, *, wait: bool) -> None:
        self._open = False
        self._connection.close()


def _start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "quality.gx_process", *arguments],
        stdin=subprocess.PIPE,  # its end is the end of the process
        env={**os.environ, "PYTHONPATH": path, "GX_ANALYTICS_ENABLED": "false"},
        **options,
    )


_lock = threading.Lock()
_current: _Worker | None = None
_serving: subprocess.Popen[bytes] | None = None


def share() -> None:
    """Start a process for all that this process and its children check from now on.

    It ends with this process. Should it end before, each of them starts one of its own.
    """
    global _serving
    path = Path(tempfile.mkdtemp(prefix="lakehouse-quality-")) / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        number = listener.fileno()
        _serving = _start("--listen", str(number), pass_fds=[number])
    os.environ[_SHARED] = str(path)


def warm_up() -> None:
    """Start the process now, so that its six seconds of importing pass beside other work."""
    with _lock:
        _running()


def ask(request: dict[str, Any]) -> dict[str, Any]:
    """One request and its answer. Raises :class:`QualityError`."""
    with _lock:
        try:
            return _running().ask(request)
        except _SharedGone:
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
        _current = _connect() or _OwnWorker()
    return _current


def _connect() -> _Worker | None:
    """The shared process, where there is one and it listens."""
    path = os.environ.get(_SHARED)
    if not path:
        return None
    try:
        return _SharedWorker(path)
    except OSError:
        return None


def _close(*, wait: bool) -> None:
    global _current
    with _lock:
        if _current is not None:
            _current.close(wait=wait)
            _current = None


# Without waiting: what was asked for is answered, only the site is completed a moment later.
atexit.register(_close, wait=False)
