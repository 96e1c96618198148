"""Health checks say which part does not work, and why, against small servers that refuse."""

from __future__ import annotations

import importlib.util
import json
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def healthy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("healthy", ROOT / "docker/lakehouse/healthy.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def postgres_that_says(code: str, text: str) -> Iterator[str]:
    """A server that ends each start with this error, as the protocol has it; its address."""

    class Refuses(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            length, kind = struct.unpack("!ii", self.request.recv(8))
            while kind in (80877103, 80877104):  # asks for TLS or GSS: it has neither
                self.request.sendall(b"N")
                length, kind = struct.unpack("!ii", self.request.recv(8))
            self.request.recv(length)
            fields = b"".join(
                tag + value.encode() + b"\0"
                for tag, value in ((b"S", "FATAL"), (b"C", code), (b"M", text))
            )
            self.request.sendall(b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def server_that_answers(status: int) -> Iterator[str]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 - what http.server calls

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the variables of a container whose secrets are files."""
    for name in ("lakehouse_password", "access_key", "secret_key"):
        (tmp_path / name).write_text("lakehouse")
    monkeypatch.setenv("DAGSTER_DB_PASSWORD_FILE", str(tmp_path / "lakehouse_password"))
    for part in ("ACCESS", "SECRET"):
        monkeypatch.setenv(f"DAGSTER_STORE_{part}_KEY_FILE", str(tmp_path / f"{part.lower()}_key"))
    monkeypatch.setenv("COMPUTE_LOG_BUCKET", "health-logs")
    monkeypatch.setenv("COMPUTE_LOG_REGION", "us-east-1")
    monkeypatch.setenv("HEALTH_REPORT", str(tmp_path / "report"))

    def addresses(postgres: str, store: str) -> None:
        monkeypatch.setenv("DAGSTER_DB_ADDRESS", postgres)
        monkeypatch.setenv("COMPUTE_LOG_ENDPOINT", store)

    return addresses


def reported(folder: Path) -> list[str]:
    return list(json.loads((folder / "report").read_text())["problems"])


def test_a_refused_password_and_a_refused_key_are_told_apart_from_silence(
    healthy: ModuleType, container: Callable[..., None], tmp_path: Path, nobody: str
) -> None:
    refused = postgres_that_says("28P01", 'password authentication failed for user "dagster"')
    with refused as postgres, server_that_answers(403) as store, server_that_answers(200) as page:
        container(postgres, store)
        assert healthy.main(["dagster", page]) == 1
    assert reported(tmp_path) == [
        "Postgres refuses the password of the role dagster",
        "the object store refuses the key of lakehouse",
    ]
    container(nobody, f"http://{nobody}")
    assert healthy.main(["dagster", f"http://{nobody}"]) == 1
    assert reported(tmp_path) == [
        "its page does not answer",
        "Postgres cannot be reached as dagster",
        "the object store cannot be reached as lakehouse",
    ]


def test_a_database_that_is_not_there_and_a_page_that_fails_are_said(
    healthy: ModuleType, container: Callable[..., None], tmp_path: Path
) -> None:
    absent = postgres_that_says("3D000", 'database "dagster" does not exist')
    with absent as postgres, server_that_answers(404) as store, server_that_answers(503) as page:
        container(postgres, store)
        healthy.main(["dagster", page])
    assert reported(tmp_path) == [
        "its page answers with status 503",
        "Postgres lets the role dagster not into the database dagster",
        "the object store has no bucket health-logs",
    ]


def test_a_check_that_went_well_reports_that_too(
    healthy: ModuleType, container: Callable[..., None], tmp_path: Path
) -> None:
    with server_that_answers(200) as page:
        assert healthy.main(["page", page]) == 0
    assert reported(tmp_path) == []


def test_a_code_location_that_does_not_serve_is_said(
    healthy: ModuleType, monkeypatch: pytest.MonkeyPatch, nobody: str
) -> None:
    monkeypatch.setenv("POSTGRES_URL", "postgresql://lakehouse@127.0.0.1:1")
    first = next(healthy.platform(nobody))
    assert healthy.problems(iter([first])) == ["its code is not served"]


def test_a_check_that_itself_fails_names_the_kind_of_error_and_no_value(
    healthy: ModuleType, container: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_DB_PASSWORD_FILE", "/nowhere/secret-name")
    question = iter([lambda: healthy._connects("postgresql://a@b", "DAGSTER_DB_PASSWORD", "d")])
    assert healthy.problems(question) == ["its health check fails with FileNotFoundError"]
