"""Superset without containers: its own environment, the platform's Postgres, this machine only.

    python superset/native.py [start]   make the environment, bring Superset up to date, start it
    python superset/native.py stop|status|bootstrap
    python superset/native.py export SLUG_OR_ID [NAME]   a dashboard as Superset holds it, in the short form

Run by the project's own interpreter (``make dashboards``); Superset itself runs in
``.superset-venv`` because it cannot share an environment with the platform.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
from psycopg import sql

from installation import databases, embedded
from lakehouse.errors import ConfigurationError, LakehouseError
from lakehouse.settings import Settings, load_settings, secret_file

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
ENVIRONMENT = PROJECT / ".superset-venv"
REQUIREMENTS = PROJECT / "requirements" / "superset.txt"
START_SECONDS = 120
STOP_SECONDS = 20


@dataclass(frozen=True)
class Installation:
    """Where one Superset lives: its folder below LAKEHOUSE_HOME, its address, its environment."""

    folder: Path
    port: int
    environment: dict[str, str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid_file(self) -> Path:
        return self.folder / "gunicorn.pid"

    @property
    def log_file(self) -> Path:
        return self.folder / "superset.log"


def ensure_environment() -> None:
    """Make ``.superset-venv`` from the hash-locked requirements, once for each version of them."""
    marker = ENVIRONMENT / ".ready"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if marker.exists() and marker.read_text("utf-8") == wanted:
        return
    print("Setting up Superset's own environment (once, about a minute) …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    python = str(ENVIRONMENT / "bin" / "python")
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        install = [str(uv), "pip", "sync", "--quiet", "--python", python, "--require-hashes"]
    else:
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        install = [*pip, "--require-hashes", "--requirement"]
    subprocess.run([*install, str(REQUIREMENTS)], check=True)
    marker.write_text(wanted, "utf-8")


def installation(settings: Settings) -> Installation:
    """Superset's folder and environment for ``settings``, whose Postgres is running."""
    home = settings.home.resolve()
    folder = home / "superset"
    folder.mkdir(parents=True, exist_ok=True)
    names = (
        "SUPERSET_SECRET_KEY",
        "SUPERSET_ADMIN_PASSWORD",
        "SUPERSET_ANALYST_PASSWORD",
        "SUPERSET_VIEWER_PASSWORD",
    )
    files = {}
    for name in names:
        if not os.environ.get(name) and not os.environ.get(f"{name}_FILE"):
            path = home / "secrets" / name.lower()
            secret_file(path)
            files[f"{name}_FILE"] = str(path)
    return Installation(
        folder,
        settings.superset_port,
        {
            **os.environ,
            **files,
            "SUPERSET_CONFIG_PATH": str(HERE / "superset_config.py"),
            "SUPERSET_HOME": str(folder),
            "SUPERSET_CACHE_DIR": str(folder / "cache"),
            "SUPERSET_PORT": str(settings.superset_port),
            "HUB_PORT": str(settings.hub_port),
            "SUPERSET_DATABASE_URL": settings.libpq_url("superset"),
            "BI_READER_URL": _reader_url(settings),
            "DATABASE_PREFIX": settings.database_prefix,
            "FLASK_APP": "superset.app:create_app()",
        },
    )


def _reader_url(settings: Settings) -> str:
    """The server's address with the read-only role in place of the platform's, without a database."""
    parts = urlsplit(settings.libpq_url("postgres"))
    host = parts.netloc.rpartition("@")[2]
    credentials = f"{databases.READER_ROLE}@"
    return urlunsplit((parts.scheme, credentials + host, "/", parts.query, ""))


def allow_reader_to_log_in(settings: Settings) -> None:
    """The embedded server is reached through this user's own socket only, so no password is needed."""
    role = sql.Identifier(databases.READER_ROLE)
    with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("alter role {} login").format(role))
        connection.execute(
            sql.SQL("alter role {} set default_transaction_read_only = on").format(role)
        )
        connection.execute(sql.SQL("alter role {} set statement_timeout = '60s'").format(role))


def bootstrap(place: Installation, folder: Path = HERE) -> None:
    """Migrate, import the dashboards of ``folder``, set roles. Raises LakehouseError when refused."""
    with place.log_file.open("ab") as log:
        result = subprocess.run(
            [str(ENVIRONMENT / "bin" / "python"), str(HERE / "bootstrap.py"), str(folder)],
            env=place.environment,
            cwd=place.folder,
            stdout=log,
            stderr=log,
            check=False,
        )
    if result.returncode:
        raise LakehouseError(
            "Superset could not be brought up to date.", hint=f"Read {place.log_file}."
        )


def export(place: Installation, *which: str) -> str:
    """The short form of a dashboard as Superset holds it. Raises LakehouseError for one without."""
    result = subprocess.run(
        [str(ENVIRONMENT / "bin" / "python"), "-m", "boards.export", *which],
        env={**place.environment, "PYTHONPATH": str(HERE)},
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        told = result.stderr.strip().splitlines()
        raise LakehouseError(
            told[-1] if told else "The dashboard could not be exported.",
            hint="Name a dashboard by the end of its address, or by its number.",
        )
    return result.stdout


def running_pid(place: Installation) -> int | None:
    try:
        pid = int(place.pid_file.read_text("utf-8"))
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


def is_healthy(place: Installation) -> bool:
    try:
        answer = httpx.get(f"{place.address}/health", timeout=2, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK


def serve(place: Installation) -> None:
    """Start the web server in the background and wait until it answers."""
    with place.log_file.open("ab") as log:
        process = subprocess.Popen(
            [
                str(ENVIRONMENT / "bin" / "gunicorn"),
                *("--bind", f"127.0.0.1:{place.port}", "--pid", str(place.pid_file)),
                *("--workers", "1", "--worker-class", "gthread", "--threads", "8"),
                *("--timeout", "120", "--no-control-socket", "superset.app:create_app()"),
            ],
            env=place.environment,
            cwd=place.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if is_healthy(place):
            return
        time.sleep(0.5)
    raise LakehouseError(
        f"Superset did not start on port {place.port}.",
        hint=f"Read {place.log_file}; set SUPERSET_PORT where the port is taken.",
    )


def stop(place: Installation) -> bool:
    """Stop the web server; true where one was running."""
    pid = running_pid(place)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while running_pid(place) is not None and time.monotonic() < deadline:
        time.sleep(0.2)
    return True


def prepare() -> Installation:
    settings = embedded.ensure_running(load_settings())
    databases.ensure(settings)
    if load_settings().postgres_url is None:
        allow_reader_to_log_in(settings)
    return installation(settings)


def main(command: str, *which: str) -> int:
    if command not in ("start", "stop", "status", "bootstrap", "export"):
        raise ConfigurationError(
            f"{command} is no command.", hint="start, stop, status, bootstrap, export SLUG_OR_ID"
        )
    if command in ("stop", "status"):
        place = Installation(
            load_settings().home.resolve() / "superset", load_settings().superset_port, {}
        )
        if command == "stop":
            print("Superset stopped." if stop(place) else "Superset was not running.")
            return 0
        healthy = is_healthy(place)
        print(f"Superset is {'up on ' + place.address if healthy else 'down'}.")
        return 0 if healthy else 1

    ensure_environment()
    place = prepare()
    if command == "export":
        sys.stdout.write(export(place, *which))
        return 0
    print("Bringing Superset up to date (about 20 seconds) …", flush=True)
    bootstrap(place)
    if command == "start":
        if running_pid(place) is None:
            serve(place)
        password = place.environment.get("SUPERSET_ADMIN_PASSWORD_FILE")
        print(f"Superset: {place.address}  user admin, password in {password or 'the environment'}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*(sys.argv[1:] or ["start"])))
    except LakehouseError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
