"""Commands that start and stop the no-Docker service: ``up`` and ``down``."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli.console import console
from lakehouse.errors import ConfigurationError
from lakehouse.settings import Settings

_PANEL = "Service"
_SUPERVISOR = "installation.supervisor"
_START_SECONDS = 120
_STOP_SECONDS = 30


def add_to(app: typer.Typer) -> None:
    for command in (up, down):
        app.command(rich_help_panel=_PANEL)(command)


@dataclass(frozen=True)
class _Service:
    """One supervised process. It is ready once it listens on ``port`` (None: at once)."""

    name: str
    what: str
    command: list[str]
    port: int | None = None


#: In the order in which they are stopped.
_NAMES = ("hub", "daemon", "webserver", "code")


def up(
    wait: Annotated[bool, typer.Option(help="Wait until the web pages answer.")] = True,
) -> None:
    """Start Dagster's code location, web page and daemon, and the hub; the inbox is watched from then on."""
    from installation.platform import open_platform
    from orchestration.processes.instance import environment, open_instance

    settings = open_platform(create=True).settings
    running = [name for name in _NAMES if _alive(settings, name)]
    if len(running) == len(_NAMES):
        console.print("[green]Already up.[/]")
        _show_links(settings)
        return
    for name in running:  # what an interrupted `up` left: its ports are not known to the others
        _stop(settings, name)
    for setting, port in (("HUB_PORT", settings.hub_port), ("DAGSTER_PORT", settings.dagster_port)):
        if _listens(port):
            raise ConfigurationError(
                f"Something else listens on port {port} of this machine.",
                hint=f"Stop it, or set {setting} to a free port.",
            )
    with open_instance(settings):
        pass  # creates or migrates Dagster's own tables before three processes race for it
    variables = {
        **os.environ,
        **environment(settings),
        "LAKEHOUSE_HOME": str(settings.home),
        "PYTHONWARNINGS": "ignore",
    }
    workspace = Path(variables["DAGSTER_HOME"]) / "workspace.yaml"
    grpc_port = _free_port()
    workspace.write_text(
        "load_from:\n  - grpc_server:\n"
        f"      host: 127.0.0.1\n      port: {grpc_port}\n      location_name: lakehouse\n",
        encoding="utf-8",
    )
    for service in _services(settings, workspace, grpc_port):
        _start(settings, service.name, service.command, variables)
        if service.port is not None and (wait or service.name == "code"):
            _wait_for_port(service.port, service.what, settings, service.name)
    console.print("[green]Up.[/]")
    _show_links(settings)


def _services(settings: Settings, workspace: Path, grpc_port: int) -> list[_Service]:
    """What `up` starts, in this order: the others ask the code location when they start."""
    code = ["python", "-m", "orchestration.processes.code_server", "--location-name", "lakehouse"]
    address = ["--host", "127.0.0.1", "--port"]
    where = ["--workspace", str(workspace)]
    return [
        _Service(
            "code",
            "the code location",
            # The port stays the same when it starts again: the others find it there.
            [*code, *address, str(grpc_port)],
            grpc_port,
        ),
        _Service(
            "daemon",
            "the Dagster daemon",
            ["python", "-m", "orchestration.processes.daemon_server", *where],
        ),
        _Service("hub", "the hub", ["python", "-m", "hub"], settings.hub_port),
        _Service(
            "webserver",
            "the Dagster web page",
            [
                "python",
                "-m",
                "orchestration.processes.web_page",
                *address,
                str(settings.dagster_port),
                *where,
            ],
            settings.dagster_port,
        ),
    ]


def _show_links(settings: Settings) -> None:
    inbox = settings.raw_bucket if settings.uses_s3 else settings.store_folder / "inbox"
    lines = [
        ("Hub", f"http://127.0.0.1:{settings.hub_port}"),
        ("Dagster", f"http://127.0.0.1:{settings.dagster_port}"),
        ("Inbox", inbox),
        ("Logs", _folder(settings)),
    ]
    for name, place in lines:
        console.print(f"    {name:<8} {place}", soft_wrap=True)
    console.print(
        "    A drop in the inbox is taken once an empty _SUCCESS is in it, or when nothing in it\n"
        f"    changed for {settings.quiescence_minutes:g} minute(s). Stop it with [bold]make down[/]."
    )


def down() -> None:
    """Stop what `up` and `make dashboards` started, the worker of the command line, and the embedded
    Postgres. Nothing is lost."""
    from cli import worker
    from installation import embedded
    from installation.platform import existing_settings

    settings = existing_settings()
    stopped = ["Superset"] if _stop_superset(settings) else []
    stopped += ["worker"] if worker.stop(settings) else []
    stopped += [name for name in _NAMES if _stop(settings, name)]
    if "daemon" in stopped and (settings.postgres_url or embedded.is_running(settings)):
        from orchestration.processes.daemon import forget

        forget(embedded.ensure_running(settings))
    if settings.postgres_url is None and embedded.stop(settings):
        stopped.append("postgres")
    console.print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")


def _stop_superset(settings: Settings) -> bool:
    """End the Superset of `make dashboards`, which writes its number when it starts (superset/native.py)."""
    try:
        pid = int((settings.home / "superset" / "gunicorn.pid").read_text(encoding="utf-8"))
        command = Path(f"/proc/{pid}/cmdline")
        if command.exists() and b"gunicorn" not in command.read_bytes():
            return False  # another program was given its number
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return False
    deadline = time.monotonic() + _STOP_SECONDS
    while _pid_alive(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.1)
    return True


def _pid_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


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
            [sys.executable, "-m", _SUPERVISOR, str(executable), *command[1:]],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=variables,
            cwd=Path(__file__).resolve().parents[1],
            start_new_session=True,
        )
    (folder / f"{name}.pid").write_text(str(process.pid), encoding="utf-8")


def _pid(settings: Settings, name: str) -> int | None:
    try:
        return int((_folder(settings) / f"{name}.pid").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _alive(settings: Settings, name: str) -> bool:
    """Whether its supervisor runs; another program that was given the same number does not count."""
    pid = _pid(settings, name)
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
        if not Path("/proc/self/stat").exists():
            return True
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    # While a program is just being loaded it has no command line yet; one that ended has none too.
    return _SUPERVISOR.encode() in command or (not command and state != "Z")


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


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_for_port(port: int, what: str, settings: Settings, name: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with console.status(f"waiting for {what} …"):
        while time.monotonic() < deadline:
            if not _alive(settings, name):
                break
            if _listens(port):
                return
            time.sleep(0.2)
    raise ConfigurationError(
        f"{what.capitalize()} did not start.", hint=f"Read {_folder(settings) / (name + '.log')}."
    )
