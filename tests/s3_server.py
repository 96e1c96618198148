"""Versity S3 Gateway: a real S3 server over a folder, for tests without containers.

Installed by ``go install github.com/versity/versitygw/cmd/versitygw@v1.8.0``.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

#: Answers 200 while the server serves; the address that a MinIO server has for it.
HEALTH = "/minio/health/live"


def versitygw() -> str | None:
    """The program, from PATH or from where Go installs; None where it is not there."""
    found = shutil.which("versitygw")
    if found:
        return found
    go = shutil.which("go")
    if go is None:
        return None
    folder = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=True)
    candidate = Path(folder.stdout.strip()) / "bin" / "versitygw"
    return str(candidate) if candidate.is_file() else None


def command_line(program: str, folder: Path, *, port: int) -> list[str]:
    """The command that serves ``folder``; its key comes from ROOT_ACCESS_KEY and ROOT_SECRET_KEY."""
    for name in ("iam", "versions", "objects"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return [
        program,
        "--quiet",
        *("--health", HEALTH),
        *("--port", f"127.0.0.1:{port}"),
        *("--iam-dir", str(folder / "iam")),
        "posix",
        *("--versioning-dir", str(folder / "versions")),
        str(folder / "objects"),
    ]
