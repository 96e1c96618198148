"""Commands that start and stop the no-Docker service: ``up`` and ``down``."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.console import console
from lakehouse.errors import ConfigurationError
from lakehouse.settings import Settings, load_settings

_PANEL = "Service"
_START_SECONDS = 120
_STOP_SECONDS = 30


def add_to(app: typer.Typer) -> None:
    for command in (up, down):
        app.command(rich_help_panel=_PANEL)(command)


def up(
    wait: Annotated[bool, typer.Option(help="Wait until the web page answers.")] = True,
) -> None:
    """Start Dagster's code location, web page and daemon; the inbox is watched from then on."""
    from lakehouse.platform import open_platform
    from orchestration.instance import environment, open_instance

    platform = open_platform()
    settings = platform.settings
    with open_instance(settings):
        pass  # creates or migrates Dagster's own tables before three processes race for it
    grpc_port = _free_port()
    variables = {
        **os.environ,
        **environment(settings),
        "LAKEHOUSE_HOME": str(settings.home),
        "PYTHONWARNINGS": "ignore",
    }
    home = Path(environment(settings)["DAGSTER_HOME"])
    workspace = home / "workspace.yaml"
    if _alive(settings, "webserver"):
        console.print(f"Already up: http://127.0.0.1:{settings.dagster_port}")
        return
    workspace.write_text(
        "load_from:\n  - grpc_server:\n"
        f"      host: 127.0.0.1\n      port: {grpc_port}\n      location_name: lakehouse\n",
        encoding="utf-8",
    )
    _start(
        settings,
        "code",
        [
            "dagster",
            "api",
            "grpc",
            "--module-name",
            "orchestration.definitions",
            "--host",
            "127.0.0.1",
            "--port",
            str(grpc_port),
            "--location-name",
            "lakehouse",
        ],
        variables,
    )
    _wait_for_port(grpc_port, "the code location", settings, "code")
    _start(
        settings,
        "webserver",
        [
            "dagster-webserver",
            "--host",
            "127.0.0.1",
            "--port",
            str(settings.dagster_port),
            "--workspace",
            str(workspace),
        ],
        variables,
    )
    _start(settings, "daemon", ["dagster-daemon", "run", "--workspace", str(workspace)], variables)
    if wait:
        _wait_for_port(settings.dagster_port, "the Dagster web page", settings, "webserver")
    console.print(
        f"[green]Up.[/] Dagster  http://127.0.0.1:{settings.dagster_port}\n"
        f"    Inbox    {settings.store_folder / 'inbox' if not settings.uses_s3 else settings.raw_bucket}\n"
        f"    Logs     {_folder(settings)}\n"
        "    Stop it with [bold]make down[/]."
    )


def down() -> None:
    """Stop what `up` started, and the embedded Postgres. Nothing is lost."""
    from lakehouse import embedded

    settings = load_settings()
    stopped = [name for name in ("daemon", "webserver", "code") if _stop(settings, name)]
    if settings.postgres_url is None and embedded.stop(settings):
        stopped.append("postgres")
    console.print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")


def _folder(settings: Settings) -> Path:
    folder = settings.home / "service"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _start(settings: Settings, name: str, command: list[str], variables: dict[str, str]) -> None:
    """Start it under a supervisor, which brings it back when it dies."""
    folder = _folder(settings)
    executable = Path(sys.executable).parent / command[0]
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own executables
            [sys.executable, "-m", "lakehouse.supervisor", str(executable), *command[1:]],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=variables,
            cwd=Path(__file__).resolve().parents[2],
            start_new_session=True,
        )
    (folder / f"{name}.pid").write_text(str(process.pid), encoding="utf-8")


def _pid(settings: Settings, name: str) -> int | None:
    try:
        return int((_folder(settings) / f"{name}.pid").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _alive(settings: Settings, name: str) -> bool:
    pid = _pid(settings, name)
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
        command = Path(f"/proc/{pid}/cmdline")
        return not command.exists() or b"dagster" in command.read_bytes()
    except OSError:
        return False


def _stop(settings: Settings, name: str) -> bool:
    """End the supervisor, which ends its service and the children of that."""
    pid = _pid(settings, name)
    if pid is None or not _alive(settings, name):
        return False
    os.killpg(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while _group_alive(pid):
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            break
        time.sleep(0.1)
    (_folder(settings) / f"{name}.pid").unlink(missing_ok=True)
    return True


def _group_alive(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int, what: str, settings: Settings, name: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with console.status(f"waiting for {what} …"):
        while time.monotonic() < deadline:
            if not _alive(settings, name):
                break
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.2)
    raise ConfigurationError(
        f"{what.capitalize()} did not start.", hint=f"Read {_folder(settings) / (name + '.log')}."
    )
