"""The container stack under a project name, volumes and ports of its own."""

from __future__ import annotations

import json
import os
import secrets
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
        given = {name: os.environ[name] for name in kept if name in os.environ}
        self._environment = given | _PORTS | {"COMPOSE_PROJECT_NAME": _PROJECT}
        self._given = Login("e2e-store-key", secrets.token_urlsafe(24))
        self._store_has_users = True

    def build(self) -> None:
        self._compose("--profile", "*", "build")
        self._store_has_users = not self._run(
            ["docker", "images", "--quiet", "--filter", "label=stand-in=compose-lab"]
        )
        if not self._store_has_users:
            self._give_key()

    def _give_key(self) -> None:
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

    def superset_administrator(self) -> Login:
        return self._login("Superset", "admin")

    def kill_code_location(self) -> None:
        # Detached: the container may end before the command could say that it is done.
        self._compose("exec", "--detach", "code-location", "python", "-c", _KILL_SERVICE)

    def last_words(self) -> str:
        listed = self._compose("ps", "--all")
        logs = self._compose("--profile", "*", "logs", "--no-color", "--tail", str(LOG_LINES))
        return f"{listed.decode()}\n{logs.decode()}"

    # --- what only containers have -----------------------------------------------------------------

    def store_administrator(self) -> Login:
        """The object store's root user, which no service but the set-up job has."""
        return Login(self.secret("MINIO_ROOT_USER"), self.secret("MINIO_ROOT_PASSWORD"))

    def start_proxy(self) -> None:
        self._environment["COMPOSE_FILE"] = "docker-compose.yml:docker/proxy.yml"
        self._compose("up", "--detach", "--wait")

    def stop_proxy(self) -> None:
        self._compose("rm", "--stop", "--force", "proxy")
        del self._environment["COMPOSE_FILE"]
        self._compose("up", "--detach", "--wait")

    def rotate(self, *names: str) -> None:
        self._make("rotate", f"SECRET={' '.join(names)}")

    def rotate_store_keys(self) -> None:
        """New keys of the object store: of a server whose users are made here, else of the operator's own."""
        if self._store_has_users:
            self.rotate(
                "MINIO_ROOT_PASSWORD", "OBJECT_STORE_SECRET_KEY", "DAGSTER_STORE_SECRET_KEY"
            )
            return
        self._given = Login(self._given.user, secrets.token_urlsafe(24))
        self._give_key()
        self._compose("up", "--detach", "--wait", "--force-recreate", "minio")
        self._compose("up", "--detach", "--wait")

    def spoil(self, audience: str, file_name: str) -> None:
        """A wrong secret for one reader, as a mistake of an operator's would be; a start mends it."""
        program = f"open('/secrets/{audience}/{file_name}', 'w').write('not-the-password')"
        run = ("run", "--rm", "-T", "--entrypoint", "python", "secrets")
        self._compose(
            *run, "-c", f"import os; os.remove('/secrets/{audience}/{file_name}'); {program}"
        )

    def secret(self, name: str) -> str:
        said = self._compose("run", "--rm", "-T", "secrets", "show", name, "/secrets")
        return said.decode().strip()

    def secrets_by_name(self) -> dict[str, str]:
        """Every secret there is, by the name of its file."""
        program = (
            "import json, pathlib; print(json.dumps({path.name: path.read_text()"
            " for path in pathlib.Path('/secrets/keeper').glob('[a-z]*')}))"
        )
        run = ("run", "--rm", "-T", "--entrypoint", "python", "secrets")
        return dict(json.loads(self._compose(*run, "-c", program)))

    def environments(self) -> str:
        """The environment of every container that is there, as whoever may inspect them sees it."""
        containers = self._compose("--profile", "*", "ps", "--all", "--quiet").decode().split()
        inspected = json.loads(self._run(["docker", "inspect", *containers]))
        return json.dumps([container["Config"]["Env"] for container in inspected])

    def upgrade(self, version: str, backup: Path) -> None:
        """To ``version`` as the operator does it, with a backup by the version that ran."""
        self._environment["LAKEHOUSE_VERSION"] = version
        self._make("upgrade", f"BACKUP={backup}")

    def go_back(self, backup: Path) -> None:
        """To the version that ran before, and to its data."""
        del self._environment["LAKEHOUSE_VERSION"]
        self._make("go-back", f"BACKUP={backup}", "SURE=yes")

    def versions(self) -> tuple[str, set[str]]:
        """The version that runs, and those that are on this machine."""
        container = self._compose("ps", "--quiet", "code-location").decode().strip()
        name, _, running = (
            self._run(["docker", "inspect", "--format", "{{.Config.Image}}", container])
            .decode()
            .strip()
            .partition(":")
        )
        there = self._run(["docker", "images", "--format", "{{.Tag}}", name]).decode().split()
        return running, set(there)

    def forget(self, version: str) -> None:
        for image in ("health-lakehouse", "health-lakehouse-superset"):
            self._run(["docker", "rmi", f"{image}:{version}"])

    def _make(self, *arguments: str) -> None:
        self._run(["make", *arguments])

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

    def _compose(self, *arguments: str) -> bytes:
        return self._run(["docker", "compose", *arguments])

    def _run(self, command: list[str]) -> bytes:
        result = subprocess.run(
            command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True
        )
        if result.returncode:
            said = result.stderr.decode(errors="replace")[-3000:]
            raise StackError(f"{' '.join(command)} ended with {result.returncode}:\n{said}")
        return result.stdout
