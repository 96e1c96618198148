"""Where the ``lakehouse`` command begins: handed to the worker that is loaded, or done in this process.

Python, Dagster and dbt take seconds to load. A worker (:mod:`cli.worker`) has done so; it gets what
makes this process what it is (arguments, environment, folder, open files), does the work in a process
of its own, and answers with the exit code. Where there is none, or it is of another state of code or
settings, everything happens here. This module loads nothing but what it needs for asking.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

#: What a worker must not do: it would stop itself, or lose what it holds open.
_NEVER_HANDED = frozenset({"up", "down", "init", "restore"})
WITHOUT_WORKER = "--no-worker"

#: How long the request is; and the worker's two words: who does the work (0: nobody, it is of another
#: state of code or settings), and later the exit code.
LENGTH, WORD = struct.Struct("!I"), struct.Struct("!i")
#: Signals that a person or a program sends to this process and means the work.
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)

_HOME = re.compile(r"""^\s*(?:export\s+)?LAKEHOUSE_HOME\s*=\s*(["']?)(?P<home>.*?)\1\s*(?:#.*)?$""")


def main() -> None:
    arguments = sys.argv[1:]
    if is_handed_over(arguments):
        code = hand_over(arguments, socket_of(_home()))
        if code is not None:
            os._exit(code)
    from cli.main import main as work_here

    work_here()


def is_handed_over(arguments: list[str]) -> bool:
    """Whether a worker may do this command's work."""
    return WITHOUT_WORKER not in arguments and not _NEVER_HANDED.intersection(arguments[:1])


def socket_of(home: Path) -> Path:
    """Where the worker of this home listens."""
    return home / "worker" / "socket"


def identity() -> list[str]:
    """Which checkout and which Python this is: a worker of another one is not asked."""
    return [str(Path(__file__).resolve()), sys.executable, sys.version]


def hand_over(arguments: list[str], path: Path) -> int | None:
    """The exit code of the work, done by the worker that listens at ``path``; None where none takes it."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            if path.stat().st_uid != os.getuid():
                return None
            connection.connect(str(path))
            _send(connection, arguments)
            process = _word(connection)
        except (
            OSError
        ):  # none there, a path too long, one of 0, 1, 2 is closed, or it ended just now
            return None
        return _until_done(connection, process) if process else None


def _send(connection: socket.socket, arguments: list[str]) -> None:
    umask = os.umask(0o77)
    os.umask(umask)
    request = json.dumps(
        {
            "identity": identity(),
            "arguments": arguments,
            "environment": dict(os.environ),
            "folder": str(Path.cwd()),
            "umask": umask,
        }
    ).encode()
    socket.send_fds(connection, [LENGTH.pack(len(request))], [0, 1, 2])
    connection.sendall(request)


def _until_done(connection: socket.socket, process: int) -> int:
    """The exit code once it comes; until then ``process`` gets the signals that this one gets."""
    passed: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTSTP:  # both stop, and go on together
            os.kill(process, signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(process, signal.SIGCONT)
            return
        passed.append(number)
        with suppress(ProcessLookupError):
            os.kill(process, number)

    for number in _PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as with nohup
            signal.signal(number, pass_on)
    code = _word(connection)
    if code is not None:
        return code
    if passed and passed[-1] != signal.SIGINT:  # what the work died of
        signal.signal(passed[-1], signal.SIG_DFL)
        os.kill(os.getpid(), passed[-1])
    sys.stderr.write(
        "Error: The process that did the work ended in its midst.\n"
        "  → What was done is kept; run the command again to go on.\n"
    )
    return 1


def _word(connection: socket.socket) -> int | None:
    """The next word of the worker; None where it is gone."""
    received = b""
    while len(received) < WORD.size:
        try:
            part = connection.recv(WORD.size - len(received))
        except ConnectionError:
            return None
        if not part:
            return None
        received += part
    word: int = WORD.unpack(received)[0]
    return word


def _home() -> Path:
    """LAKEHOUSE_HOME as :mod:`lakehouse.settings` reads it, which would take longer than all of this.

    Where the two do not agree, the worker refuses: it compares all settings.
    """
    home = os.environ.get("LAKEHOUSE_HOME")
    if not home:
        try:
            lines = Path(".env").read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            lines = []
        found = [match["home"] for line in lines if (match := _HOME.match(line))]
        home = found[-1] if found else ""
    return Path(home or ".lakehouse").resolve()


if __name__ == "__main__":
    main()
