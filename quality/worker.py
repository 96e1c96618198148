"""This process's handle on the one that holds Great Expectations (:mod:`quality.gx_process`).

A process of its own is started on the first check or by :func:`warm_up`, serves every later check of this
process, and ends by itself when this process does. A service whose runs are many short processes calls
:func:`share` instead: its one process serves them all.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
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
#: Where the shared process listens; inherited by the processes that it serves.
_SHARED = "LAKEHOUSE_QUALITY_SOCKET"
#: A check that takes longer is stuck: Great Expectations sees counts, or a few published marts.
_ANSWER_SECONDS = 600.0
_END_SECONDS = 120.0


class _Gone(Exception):
    """Nobody is at the other end any more."""


class _Connection:
    """A way to a process of Great Expectations, which may be this one's own; one request at a time."""

    def __init__(
        self, end: socket.socket, own: subprocess.Popen[bytes] | None, log: IO[bytes] | None
    ):
        self.owner = os.getpid()
        self.own = own
        self._end = end
        self._log = log
        self._end.settimeout(_ANSWER_SECONDS)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises :class:`_Gone`, and :class:`TimeoutError` where no answer comes."""
        line = b""
        try:
            self._end.sendall(json.dumps(request).encode() + b"\n")
            while not line.endswith(b"\n"):
                chunk = self._end.recv(1 << 16)
                if not chunk:
                    raise _Gone
                line += chunk
        except ConnectionError:  # it died before it had read everything
            raise _Gone from None
        answer: dict[str, Any] = json.loads(line)
        return answer

    def why_it_ended(self) -> str:
        if self.own is None or self._log is None:
            return "it was the service's"
        status = self.own.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        # The last line of a traceback names the error; its text after the colon may hold anything.
        last = lines[-1].partition(":")[0] if lines else "no message"
        return f"status {status}, {last}"

    def close(self) -> None:
        """Leave; a process of our own completes the site and ends."""
        self._end.close()
        if self.own is not None and self.own.stdin is not None:
            self.own.stdin.close()


def _own() -> _Connection:
    log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
    ours, theirs = socket.socketpair()
    with theirs:
        # Ctrl-C is for this process; the site is completed all the same.
        process = _start("--answer", theirs, stdout=log, stderr=log, start_new_session=True)
    return _Connection(ours, process, log)


def _shared() -> _Connection | None:
    """The service's process, where there is one and it listens."""
    path = os.environ.get(_SHARED)
    if not path:
        return None
    end = socket.socket(socket.AF_UNIX)
    try:
        end.connect(path)
    except OSError:
        end.close()
        return None
    return _Connection(end, None, None)


def _start(way: str, end: socket.socket, **options: Any) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "quality.gx_process", way, str(end.fileno())],
        pass_fds=[end.fileno()],
        stdin=subprocess.PIPE,  # its end is the end of the process
        env={**os.environ, "PYTHONPATH": path, "GX_ANALYTICS_ENABLED": "false"},
        **options,
    )


_lock = threading.Lock()
_current: _Connection | None = None
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
        _serving = _start("--listen", listener)
    os.environ[_SHARED] = str(path)


def warm_up() -> None:
    """Start the process now, so that its six seconds of importing pass beside other work."""
    with _lock:
        _connected()


def ask(request: dict[str, Any]) -> dict[str, Any]:
    """One request and its answer. Raises :class:`QualityError`."""
    with _lock:
        try:
            answer = _ask(request)
        except _Gone:  # a process that died, perhaps long ago: a new one can answer as well
            answer = _ask(request, last=True)
    if "error" in answer:
        raise QualityError(
            f"Great Expectations could not check: {answer['error']}.",
            hint="Run `lakehouse check` again; report it if it stays.",
        )
    return answer


def _ask(request: dict[str, Any], *, last: bool = False) -> dict[str, Any]:
    global _current
    connection = _connected()
    try:
        return connection.ask(request)
    except BaseException as error:
        # Its answer may still come: it must not be taken for the next one's.
        _current = None
        connection.close()
        if isinstance(error, TimeoutError):
            if connection.own is not None:
                connection.own.kill()
            raise QualityError(
                f"Great Expectations gave no answer in {_ANSWER_SECONDS:.0f} s."
            ) from None
        if isinstance(error, _Gone) and last:
            raise QualityError(
                f"The process of Great Expectations ended ({connection.why_it_ended()}).",
                hint="Run `python -m quality.gx_process </dev/null` to see why.",
            ) from None
        raise


def build_data_docs(settings: Settings) -> Path:
    """Bring the Data Docs site up to date now; returns its first page.

    Without this it happens some seconds after the last check, or when this process ends.
    """
    home = settings.home.resolve()
    ask({"do": "build site", "home": str(home)})
    return home / data_docs.SITE / "index.html"


def close() -> None:
    """End the process when it has completed the site, and wait for that."""
    own = _leave()
    if own is not None:
        try:
            own.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            own.kill()


def _connected() -> _Connection:
    global _current
    if _current is None or _current.owner != os.getpid():
        _current = _shared() or _own()
    return _current


def _leave() -> subprocess.Popen[bytes] | None:
    """Close the connection; returns the process where it was this one's own."""
    global _current
    with _lock:
        connection, _current = _current, None
        if connection is None or connection.owner != os.getpid():
            return None
        connection.close()
        return connection.own


# Without waiting: what was asked for is answered, only the site is completed a moment later.
atexit.register(_leave)
