"""Keeps one service of the no-Docker mode running, as a restart policy does in containers.

``python -m installation.supervisor <command> …`` starts the command in a process group of its own. When
it dies, whatever it left behind is ended (a run of a dead code location must not go on beside its
retry) and it is started again. SIGTERM ends both; where the supervisor itself is killed, Linux
ends the service with it, so that no second one is started beside it. Knows nothing of what it runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import FrameType

#: Waits between starts: doubled each time, and from the first again after a quiet while.
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
QUIET_SECONDS = 60.0
#: Shorter than whoever stops the supervisor waits.
STOP_SECONDS = 25.0
#: Linux's name for "the signal I get when my parent dies" (prctl(2)).
_PR_SET_PDEATHSIG = 1


class Supervisor:
    """Runs ``command`` again and again until it is told to stop."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._stopping = threading.Event()
        self._group: int | None = None

    def stop(self, _signal: int = signal.SIGTERM, _frame: FrameType | None = None) -> None:
        """Ask the service to end, and see that it does; fit to be a signal's handler."""
        self._stopping.set()
        self._end_service()

    def run(self) -> None:
        """Returns once :meth:`stop` was called and the service has ended."""
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            started = time.monotonic()
            code = self._live_once()
            lived = time.monotonic() - started
            if self._stopping.is_set():
                break
            pause = FIRST_PAUSE_SECONDS if lived > QUIET_SECONDS else pause
            _say(f"ended with code {code} after {lived:.0f} s, starts again in {pause:g} s")
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _live_once(self) -> int:
        """One life of the service, from start to exit code; nothing of it is left afterwards."""
        service = subprocess.Popen(  # noqa: S603 - what we were given
            self._command, process_group=0, preexec_fn=_end_with_parent
        )
        self._group = service.pid
        if self._stopping.is_set():  # the signal came before there was a group to end
            self._end_service()
        code = service.wait()
        group, self._group = self._group, None
        _signal_group(group, signal.SIGKILL)
        return code

    def _end_service(self) -> None:
        group = self._group
        if group is None:
            return
        _signal_group(group, signal.SIGTERM)
        last_word = threading.Timer(STOP_SECONDS, _signal_group, (group, signal.SIGKILL))
        last_word.daemon = True
        last_word.start()


def _end_with_parent() -> None:
    """In the service, before it starts: ask Linux for SIGTERM when the supervisor dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return  # nothing was left


def _say(message: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    sys.stdout.write(f"{now} supervisor: {message}\n")
    sys.stdout.flush()


def main(command: Sequence[str]) -> int:
    if not command:
        sys.stderr.write(__doc__ or "")
        return 2
    supervisor = Supervisor(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.stop)
    supervisor.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
