"""The platform without containers: a real S3 server, the embedded Postgres, processes of this user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from tests.e2e.stack import (
    ROOT,
    Addresses,
    Login,
    StackError,
    answers,
    free_port,
    last_lines,
    wait_until,
)
from tests.s3_server import command_line, versitygw

_BIN = Path(sys.executable).parent
_S3_START_SECONDS = 30.0
_STOP_SECONDS = 30


class NativeStack:
    """``lakehouse up``, ``superset/native.py`` and an S3 server, all below one folder."""

    def __init__(self) -> None:
        # Not below pytest's own folder: the embedded server's account may not enter that one.
        self._folder = Path(tempfile.mkdtemp(prefix="lakehouse-e2e-"))
        self._ports = {name: free_port() for name in ("hub", "dagster", "superset", "store")}
        hub, dagster, superset, store = (
            f"http://127.0.0.1:{port}" for port in self._ports.values()
        )
        self.addresses = Addresses(hub, dagster, superset, store)
        self._s3: subprocess.Popen[bytes] | None = None
        keys = self._keys / "platform"
        kept = ("PATH", "HOME", "LANG")
        self._environment = {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "LAKEHOUSE_HOME": str(self._home),
            "OBJECT_STORE_URL": "s3:",
            "OBJECT_STORE_ENDPOINT": store,
            "OBJECT_STORE_ACCESS_KEY_FILE": str(keys / "object_store_access_key"),
            "OBJECT_STORE_SECRET_KEY_FILE": str(keys / "object_store_secret_key"),
            "HUB_PORT": str(self._ports["hub"]),
            "DAGSTER_PORT": str(self._ports["dagster"]),
            "SUPERSET_PORT": str(self._ports["superset"]),
            "HUB_SERVICES": f"dagster={dagster},superset={superset},minio={store}",
        }

    @property
    def _home(self) -> Path:
        return self._folder / "home"

    @property
    def _keys(self) -> Path:
        return self._folder / "keys"

    @property
    def _s3_log(self) -> Path:
        return self._folder / "s3.log"

    def build(self) -> None:
        # With all of this environment: installing may need a proxy, an index, an authority.
        superset = "import native; native.ensure_environment()"
        self._run(sys.executable, "-c", superset, folder=ROOT / "superset", more=dict(os.environ))

    def start(self) -> None:
        self._start_store()
        self._run(str(_BIN / "lakehouse"), "up")
        self._superset("start")

    def stop(self) -> None:
        self._superset("stop")
        self._run(str(_BIN / "lakehouse"), "down")
        self._stop_store()

    def remove(self) -> None:
        try:
            if self._home.exists():
                self.stop()
        finally:
            self._stop_store()
            shutil.rmtree(self._folder, ignore_errors=True)

    def command(self, *arguments: str) -> bytes:
        return self._run(str(_BIN / "lakehouse"), *arguments)

    def inbox(self, submitter: str) -> Login:
        """This server has no users: the one key it was given serves all."""
        keys = self._keys / "platform"
        return Login(
            (keys / "object_store_access_key").read_text(),
            (keys / "object_store_secret_key").read_text(),
        )

    def viewer(self) -> Login:
        secret = self._home / "secrets" / "superset_viewer_password"
        return Login("viewer", secret.read_text().strip())

    def kill_code_location(self) -> None:
        supervisor = int((self._home / "service" / "code.pid").read_text())
        for service in psutil.Process(supervisor).children():
            service.kill()

    def backup(self, archive: Path) -> None:
        self.command("backup", str(archive))

    def restore(self, archive: Path) -> None:
        self._start_store()
        self.command("restore", str(archive))

    def last_words(self) -> str:
        logs = [
            self._s3_log,
            *sorted((self._home / "service").glob("*.log")),
            *sorted((self._home / "superset").glob("*.log")),
        ]
        return "\n".join(
            f"--- {log.name}\n{last_lines(log.read_text(errors='replace'))}"
            for log in logs
            if log.exists()
        )

    def _start_store(self) -> None:
        if self._s3 is not None:  # a restore has started it already
            return
        program = versitygw()
        if program is None:
            raise StackError("no S3 server: install versitygw (docs/runbook/end-to-end.md)")
        self._run(sys.executable, "-m", "installation.secrets", "generate", str(self._keys))
        keeper = self._keys / "keeper"
        access = (keeper / "object_store_access_key").read_text()
        secret = (keeper / "object_store_secret_key").read_text()
        with self._s3_log.open("ab") as log:
            self._s3 = subprocess.Popen(
                command_line(program, self._folder / "s3", port=self._ports["store"]),
                env=os.environ | {"ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(
            "the S3 server answering",
            lambda: answers(f"{self.addresses.store}/minio/health/live"),
            seconds=_S3_START_SECONDS,
            pause=0.1,
        )
        administrator = {
            "OBJECT_STORE_ADMIN": "none",
            "OBJECT_STORE_ACCESS_KEY": access,
            "OBJECT_STORE_SECRET_KEY": secret,
            "DAGSTER_STORE_ACCESS_KEY": access,
            "DAGSTER_STORE_SECRET_KEY": secret,
            "KEYS_FOLDER": str(self._keys),
        }
        self._run(sys.executable, "-m", "installation.bucket_setup", more=administrator)

    def _stop_store(self) -> None:
        if self._s3 is not None:
            self._s3.terminate()
            self._s3.wait(timeout=_STOP_SECONDS)
            self._s3 = None

    def _superset(self, command: str) -> None:
        self._run(sys.executable, str(ROOT / "superset/native.py"), command)

    def _run(self, *command: str, more: dict[str, str] | None = None, folder: Path = ROOT) -> bytes:
        # Services that a command starts keep its error stream, so the streams are files, not pipes.
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
            result = subprocess.run(
                command,
                cwd=folder,
                env=self._environment | (more or {}),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complained,
                check=False,
            )
            for stream in (said, complained):
                stream.seek(0)
            if result.returncode:
                text = (said.read() + complained.read()).decode(errors="replace")[-3000:]
                raise StackError(f"{' '.join(command)} ended with {result.returncode}:\n{text}")
            return said.read()
