"""Starts the container's command with the variables that other people's software reads.

    entrypoint.py COMMAND …                 becomes the command
    entrypoint.py --watch FOLDER COMMAND …  keeps it as its child, and starts it again with new secrets

The platform reads secrets from files itself. Dagster and boto3 read theirs only from the
environment, so they are put there for this one process: never in the image or the compose file.

Processes read their secrets once. Where a file in FOLDER changed, the command is ended and started
again; the container goes on, so that Docker never calls it unhealthy for that. A command that ends by
itself ends the container with its code: starting it again is the restart policy's business. SERVICE
holds the command's process id and, as the time of the file, when it was started.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

#: variable → variable that names its file
FROM_FILES = {
    "AWS_ACCESS_KEY_ID": "DAGSTER_STORE_ACCESS_KEY_FILE",
    "AWS_SECRET_ACCESS_KEY": "DAGSTER_STORE_SECRET_KEY_FILE",
}
SERVICE = Path(tempfile.gettempdir()) / "service"
LOOK_SECONDS = 1.0
#: Shorter than the time that Docker leaves a container to end.
STOP_SECONDS = 20.0
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` and the secrets that are read from it only, as their files have them now."""
    found = dict(environ)
    for name, file_name in FROM_FILES.items():
        if path := environ.get(file_name):
            found[name] = Path(path).read_text(encoding="utf-8").strip()
    if path := environ.get("DAGSTER_DB_PASSWORD_FILE"):
        password = quote(Path(path).read_text(encoding="utf-8").strip(), safe="")
        address = environ.get("DAGSTER_DB_ADDRESS", "postgres:5432")
        found["DAGSTER_POSTGRES_URL"] = f"postgresql://dagster:{password}@{address}/dagster"
    return found


def changes(folder: Path) -> dict[str, int]:
    """When each secret was last written, by its name; a file that is being replaced has a dot before."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("[a-z]*")}


class Service:
    """The one command, in a process group of its own, and the secrets it was started with."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._seen = self._last = changes(folder)
        self._ended_at: float | None = None
        self._pid = os.posix_spawnp(
            command[0],
            command,
            environment(os.environ),
            setpgroup=0,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE,),  # which Python itself ignores
        )
        SERVICE.write_text(f"{self._pid}\n", encoding="utf-8")

    @property
    def is_replaced(self) -> bool:
        """Whether it was ended from here, because of a secret."""
        return self._ended_at is not None

    def pass_on(self, number: int) -> None:
        os.kill(self._pid, number)

    def exit_code(self) -> int | None:
        """Its code, as shells count it, once it has ended; what it left behind is ended then."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            return None
        self._end_group()
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def look(self) -> None:
        """End it where a secret is another one, and none changed since the last look."""
        if self._ended_at is not None:
            if time.monotonic() - self._ended_at > STOP_SECONDS:
                self._end_group()
            return
        found = changes(self._folder)
        settled, self._last = found == self._last, found
        if not settled or found == self._seen:
            return
        names = sorted({name for name, _ in found.items() ^ self._seen.items()})
        sys.stdout.write(f"entrypoint: starts again, since this is new: {', '.join(names)}\n")
        sys.stdout.flush()
        self._ended_at = time.monotonic()
        self.pass_on(signal.SIGTERM)

    def _end_group(self) -> None:
        try:
            os.killpg(self._pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # nothing was left


def watch(command: Sequence[str], folder: Path) -> int:
    """Run ``command``, anew with each change in ``folder``; returns its code when it is the end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, *PASSED_ON})
    service, stopping = Service(command, folder), False
    while True:
        signalled = signal.sigtimedwait({signal.SIGCHLD, *PASSED_ON}, LOOK_SECONDS)
        if signalled is not None and signalled.si_signo in PASSED_ON:
            stopping = True
            if not service.is_replaced:  # else it was told to end already
                service.pass_on(signalled.si_signo)
        code = service.exit_code()
        if code is None:
            service.look()
        elif stopping or not service.is_replaced:
            return code
        else:
            service = Service(command, folder)


def main(arguments: Sequence[str]) -> int:
    match list(arguments):
        case ["--watch", folder, program, *rest]:
            return watch([program, *rest], Path(folder))
        case [program, *rest] if not program.startswith("--"):
            os.execvpe(program, [program, *rest], environment(os.environ))  # noqa: S606 (what we were given)
        case _:
            sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
