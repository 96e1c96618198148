"""The worker: a process that has loaded everything, for commands to have their work done at once.

    python -m cli.worker

The first command of a home starts it in the background (:func:`start_in_background`). It owns nothing
but loaded modules; its one child, the next to work, has also opened the lake, the databases and dbt's parsed
project. :mod:`cli.entry` asks it through a socket in the home that only its user may open. Who takes a
request does the work of that one command as if it were its process, and a next one is made. It ends by
itself when nothing was asked for some minutes, when the code or the settings are others than when it
was started, or when the home is gone; and it may be killed at any time: commands then do their work
themselves, and those that are at work are processes of their own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cli import entry

if TYPE_CHECKING:
    from lakehouse.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
#: What else decides what a worker has loaded, besides the packages.
_CODE = ("dbt", "alembic", "pyproject.toml")
_NOT_CODE = frozenset({"tests", "benchmarks"})
#: How often one who waits looks whether it is still wanted.
_LOOK_SECONDS = 1.0
_STOP_SECONDS = 10.0
_TAKEN, _LEFT = b"t", b""
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class _State:
    """What a worker is of: it takes no work of another."""

    code: str
    settings: Settings


def start_in_background(settings: Settings, environment: Mapping[str, str]) -> None:
    """Start the worker of this home, where there is none and one is wanted."""
    if settings.worker_idle_minutes == 0 or _pid(settings) is not None:
        return
    path = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
    with (_folder(settings) / "log").open("wb") as log:
        subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", __name__],
            env={**environment, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def stop(settings: Settings) -> bool:
    """End the worker of this home; true where there was one. Commands at work go on."""
    pid = _pid(settings)
    if pid is None:
        return False
    deadline = time.monotonic() + _STOP_SECONDS
    number = signal.SIGTERM
    while _pid(settings) == pid:
        with suppress(ProcessLookupError):
            os.killpg(pid, number)
        time.sleep(0.02)
        if time.monotonic() > deadline:
            number = signal.SIGKILL
    return True


def main() -> None:
    from lakehouse.settings import load_settings

    settings = load_settings()
    state = _State(_fingerprint(), settings)  # before anything else is loaded
    folder = _folder(settings)
    with (folder / "pid").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # another one was faster
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        import orchestration.processes.loaded  # noqa: F401

        path = entry.socket_of(settings.home)
        path.unlink(missing_ok=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that work
        with socket.socket(socket.AF_UNIX) as listener:
            umask = os.umask(0o177)
            listener.bind(str(path))
            os.umask(umask)
            listener.listen(64)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            _serve(listener, path, state)
        path.unlink(missing_ok=True)


def _serve(listener: socket.socket, path: Path, state: _State) -> None:
    """Always have one ready for the next request, until one leaves without having got any."""
    previous: int | None = None
    while True:
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(reading)
            _Next(listener, path, state, tell=writing, previous=previous).wait()
        os.close(writing)
        if previous is not None:
            os.close(previous)
        if os.read(reading, 1) == _LEFT:
            return
        previous = reading


class _Next:
    """Who does the next command's work: a fork of the worker."""

    def __init__(
        self, listener: socket.socket, path: Path, state: _State, *, tell: int, previous: int | None
    ) -> None:
        self._listener, self._path, self._state = listener, path, state
        self._tell, self._previous = tell, previous
        self._worker = os.getppid()
        self._opened = ExitStack()

    def wait(self) -> NoReturn:
        """Get ready, take one request, do it, end."""
        code = 0
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if self._previous is not None:  # who works has the processor first
                select.select([self._listener, self._previous], [], [])
                os.close(self._previous)
            if not self._asked(0):
                self._open()
            if self._is_asked_in_time():
                with self._listener.accept()[0] as connection:
                    os.write(self._tell, _TAKEN)
                    code = self._do(connection)
        except BaseException:  # noqa: BLE001  (a fork must not return into what it was forked from)
            sys.excepthook(*sys.exc_info())
            code = 1
        finally:
            os._exit(code)

    def _asked(self, seconds: float) -> bool:
        return bool(select.select([self._listener], [], [], seconds)[0])

    def _is_asked_in_time(self) -> bool:
        inode = self._path.stat().st_ino
        until = time.monotonic() + 60 * self._state.settings.worker_idle_minutes
        while time.monotonic() < until:
            if self._asked(_LOOK_SECONDS):
                return True
            try:
                if self._path.stat().st_ino != inode or os.getppid() != self._worker:
                    return False
            except OSError:
                return False  # the home is gone
        return False

    def _open(self) -> None:
        """Open what most commands need; what was opened is theirs as long as this process lives."""
        from installation.platform import open_platform
        from lakehouse import lake
        from orchestration.processes.instance import open_instance

        platform = open_platform()
        self._opened.enter_context(lake.kept_open(platform.settings))
        with closing(lake.connect(platform.settings)) as connection:
            lake.snapshot_id(connection)
        self._opened.enter_context(open_instance(platform.settings))

    def _do(self, connection: socket.socket) -> int:
        """One command: its process in all but name. Answers the exit code, and returns it."""
        request, files = _received(connection)
        if request is None:
            return 1
        if not self._is_for_us(request):
            connection.sendall(entry.WORD.pack(0))
            os.killpg(0, signal.SIGTERM)  # the worker too: the next one will be of that state
        os.setsid()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        _renew_standard_files()
        connection.sendall(entry.WORD.pack(os.getpid()))
        self._listener.close()
        done = threading.Event()
        threading.Thread(target=_die_with, args=[connection, done], daemon=True).start()
        sys.argv[1:] = request["arguments"]
        from cli.main import finish, run  # made for this terminal, so not loaded before

        code = run()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        done.set()
        with suppress(OSError):
            connection.sendall(entry.WORD.pack(code))
        os.close(self._tell)
        finish()
        return code

    def _is_for_us(self, request: dict[str, Any]) -> bool:
        """Become the caller; whether it asks for the code and the settings that are loaded."""
        from lakehouse.errors import ConfigurationError
        from lakehouse.settings import read_settings

        os.chdir(request["folder"])
        os.umask(request["umask"])
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if request["identity"] != entry.identity() or self._state.code != _fingerprint():
            return False
        try:
            return read_settings().with_home() == self._state.settings
        except ConfigurationError:
            return False


def _received(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """A request with its three open files; None from another user."""
    if hasattr(socket, "SO_PEERCRED"):
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(raw)[1] != os.getuid():
            return None, []
    head, files, _, _ = socket.recv_fds(connection, entry.LENGTH.size, 3)
    with connection.makefile("rb") as stream:
        request: dict[str, Any] = json.loads(stream.read(entry.LENGTH.unpack(head)[0]))
    return request, files


def _renew_standard_files() -> None:
    """Python's files on 0, 1 and 2, which are others' now, as Python makes them when it starts."""
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (
        open(number, "w", encoding="utf-8", errors=errors, buffering=buffering, closefd=False)  # noqa: SIM115
        for number, errors, buffering in (
            (1, "strict", 1 if os.isatty(1) else -1),
            (2, "backslashreplace", 1),
        )
    )


def _die_with(connection: socket.socket, done: threading.Event) -> None:
    """End at once where the caller does: whoever kills a command means the work."""
    with suppress(OSError):
        connection.recv(1)
    if not done.is_set():
        os.kill(os.getpid(), signal.SIGKILL)


def _fingerprint() -> str:
    """Changes with every file of the code and with what is installed."""
    digest = hashlib.sha256()
    site = Path(sysconfig.get_path("purelib")).stat()
    digest.update(repr((sys.version, site.st_mtime_ns)).encode())
    packages = (one.parent for one in ROOT.glob("*/__init__.py"))
    places = [one for one in packages if one.name not in _NOT_CODE]
    places += [ROOT / name for name in _CODE]
    for place in sorted(places):
        for path in [place] if place.is_file() else sorted(_files(place)):
            stat = path.stat()
            digest.update(repr((str(path), stat.st_mtime_ns, stat.st_size)).encode())
    return digest.hexdigest()


def _files(place: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(folder) / name for name in names)


def _folder(settings: Settings) -> Path:
    folder = settings.home / "worker"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _pid(settings: Settings) -> int | None:
    """The worker's process while it lives: it holds the lock of the file that names it."""
    try:
        with (settings.home / "worker" / "pid").open("r+", encoding="utf-8") as lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return int(lock.read() or 0) or None
    except (OSError, ValueError):
        return None
    return None


if __name__ == "__main__":
    main()
