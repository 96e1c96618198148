"""The container stack under a project name, volumes and ports of its own."""

from __future__ import annotations

import json
import os
import secrets
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from tests.e2e.stack import LOG_LINES, ROOT, Addresses, Login, StackError

_PROJECT = "lakehouse-e2e"
_PORTS = {
    "HUB_PORT": "55321",
    "DAGSTER_PORT": "53000",
    "SUPERSET_PORT": "58088",
    "MINIO_PORT": "59000",
    "MINIO_CONSOLE_PORT": "59001",
    "PROXY_HUB_PORT": "58443",
    "PROXY_DAGSTER_PORT": "53443",
    "PROXY_SUPERSET_PORT": "58444",
}
#: In a container whose command is started again with new secrets: its process id, since when it runs.
_SERVICE = "/tmp/service"
_KILL_SERVICE = f"import os; os.kill(int(open('{_SERVICE}').read()), 9)"
_SERVICE_START = f"import os; print(os.stat('{_SERVICE}').st_mtime_ns)"


class ComposeStack:
    """``docker compose`` with this checkout's files; nothing of a stack in use is touched."""

    addresses = Addresses(
        hub=f"http://127.0.0.1:{_PORTS['HUB_PORT']}",
        dagster=f"http://127.0.0.1:{_PORTS['DAGSTER_PORT']}",
        superset=f"http://127.0.0.1:{_PORTS['SUPERSET_PORT']}",
        store=f"http://127.0.0.1:{_PORTS['MINIO_PORT']}",
    )
    proxied_hub = f"https://localhost:{_PORTS['PROXY_HUB_PORT']}"
    proxied_superset = f"https://localhost:{_PORTS['PROXY_SUPERSET_PORT']}"
    proxied_dagster = f"https://localhost:{_PORTS['PROXY_DAGSTER_PORT']}"

    def __init__(self) -> None:
        kept = ("PATH", "HOME", "DOCKER_HOST")
        self._environment = {name: os.environ[name] for name in kept if name in os.environ} | _PORTS
        self._given = Login("e2e-store-key", secrets.token_urlsafe(24))
        self._store_has_users = True

    def build(self) -> None:
        self._compose("--profile", "*", "build")
        self._store_has_users = not self._run(
            ["docker", "images", "--quiet", "--filter", "label=stand-in=compose-lab"]
        )
        if not self._store_has_users:
            # The lab's S3 gateway knows its one key only, as a server of an operator's own might.
            self._environment |= {
                "OBJECT_STORE_ADMIN": "none",
                "MINIO_ROOT_USER": self._given.user,
                "MINIO_ROOT_PASSWORD": self._given.password,
                "OBJECT_STORE_ACCESS_KEY": self._given.user,
                "OBJECT_STORE_SECRET_KEY": self._given.password,
            }

    def start(self) -> None:
        self._compose("up", "--detach", "--wait")

    def stop(self) -> None:
        self._compose("--profile", "*", "down")

    def remove(self) -> None:
        self._compose("--profile", "*", "down", "--volumes", "--remove-orphans")

    def command(self, *arguments: str) -> bytes:
        return self._compose("run", "--rm", "-T", "lakehouse", *arguments)

    def inbox(self, submitter: str) -> Login:
        if not self._store_has_users:
            return self._given
        user = f"inbox-{submitter}"
        logins = json.loads(self.command("credentials", "--json"))
        if not any(entry["user"] == user for entry in logins):
            self._compose("run", "--rm", "-T", "admin", "submitter", "add", submitter)
        return self._login("MinIO", user)

    def viewer(self) -> Login:
        return self._login("Superset", "viewer")

    def kill_code_location(self) -> None:
        # Detached: the container may end before the command could say that it is done.
        self._compose("exec", "--detach", "code-location", "python", "-c", _KILL_SERVICE)

    def backup(self, archive: Path) -> None:
        with archive.open("wb") as stream:
            self._compose("run", "--rm", "-T", "admin", "backup", "-", output=stream)

    def restore(self, archive: Path) -> None:
        with archive.open("rb") as stream:
            self._compose("run", "--rm", "-T", "admin", "restore", "-", input=stream)

    def last_words(self) -> str:
        listed = self._compose("ps", "--all")
        logs = self._compose("--profile", "*", "logs", "--no-color", "--tail", str(LOG_LINES))
        return f"{listed.decode()}\n{logs.decode()}"

    # --- what only containers have -----------------------------------------------------------------

    def store_administrator(self) -> Login:
        """The object store's root user, which no service but the set-up job has."""
        user, password = (
            self._compose(
                *("run", "--rm", "-T", "secrets", "show", name, "/secrets"),
            )
            for name in ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")
        )
        return Login(user.decode().strip(), password.decode().strip())

    def start_proxy(self) -> None:
        self._environment["COMPOSE_FILE"] = "docker-compose.yml:docker/proxy.yml"
        self._compose("up", "--detach", "--wait")

    def stop_proxy(self) -> None:
        self._compose("rm", "--stop", "--force", "proxy")
        del self._environment["COMPOSE_FILE"]
        self._compose("up", "--detach", "--wait")

    def rotate(self, name: str) -> None:
        self._compose("run", "--rm", "-T", "secrets", "rotate", name, "/secrets")
        self._compose("up", "--detach", "--wait")

    def command_started(self, service: str) -> datetime:
        """When the command of ``service`` was last started, in a container that may be older."""
        said = self._compose("exec", "-T", service, "python", "-c", _SERVICE_START)
        return datetime.fromtimestamp(int(said) / 1e9, UTC)

    def is_well(self, service: str) -> bool:
        """What its health check says."""
        return self._state(service)["Health"]["Status"] == "healthy"

    def container_started(self, service: str) -> str:
        return str(self._state(service)["StartedAt"])

    def _state(self, service: str) -> dict[str, Any]:
        container = self._compose("ps", "--quiet", service).decode().strip()
        return dict(json.loads(self._run(["docker", "inspect", container]))[0]["State"])

    def reaches(self, service: str, host: str, port: int) -> bool:
        """Whether a connection from inside ``service`` to ``host:port`` comes about."""
        program = (
            "import socket, sys\n"
            "try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()\n"
            "except OSError: sys.exit(9)\n"
        )
        try:
            self._compose("exec", "-T", service, "python", "-c", program, host, str(port))
        except StackError as error:
            if "ended with 9" not in str(error):
                raise
            return False
        return True

    def proxy_login(self) -> Login:
        return self._login("Proxy", None)

    def proxy_authority(self) -> ssl.SSLContext:
        """Trust in the proxy's own authority, and in no other."""
        root = "/tmp/data/caddy/pki/authorities/local/root.crt"
        certificate = self._compose("exec", "-T", "proxy", "cat", root)
        return ssl.create_default_context(cadata=certificate.decode())

    def image_sizes(self) -> dict[str, int]:
        """Bytes of each image that this project builds."""
        project = json.loads(self._compose("--profile", "*", "config", "--format", "json"))
        built = {service["image"] for service in project["services"].values() if "build" in service}
        inspected = self._run(["docker", "image", "inspect", *sorted(built)])
        return {image["RepoTags"][0]: image["Size"] for image in json.loads(inspected)}

    def _login(self, service: str, user: str | None) -> Login:
        for entry in json.loads(self.command("credentials", "--json")):
            if entry["service"].startswith(service) and user in (None, entry["user"]):
                return Login(entry["user"], entry["password"])
        raise StackError(f"`lakehouse credentials` names no login for {service}")

    def _compose(self, *arguments: str, **streams: Any) -> bytes:
        command = ["docker", "compose", "--project-name", _PROJECT, *arguments]
        return self._run(command, **streams)

    def _run(
        self,
        command: list[str],
        *,
        input: IO[bytes] | None = None,
        output: IO[bytes] | None = None,
    ) -> bytes:
        result = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment,
            stdin=input or subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        if result.returncode:
            said = result.stderr.decode(errors="replace")[-3000:]
            raise StackError(f"{' '.join(command)} ended with {result.returncode}:\n{said}")
        return result.stdout or b""
