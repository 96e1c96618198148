"""What the end-to-end test asks of a running platform, and what both ways of running it share."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
from minio import Minio

ROOT = Path(__file__).resolve().parents[2]
RAW_BUCKET = "health-raw"
LOG_LINES = 50


class StackError(Exception):
    """A command of the stack failed, or something did not happen in time."""


@dataclass(frozen=True)
class Login:
    user: str
    password: str


@dataclass(frozen=True)
class Addresses:
    """Where people reach each service, all on this machine."""

    hub: str
    dagster: str
    superset: str
    store: str


class Stack(Protocol):
    """The whole platform: started, stopped, used and hurt as a person would.

    Every method waits until it is done, and raises :class:`StackError` when it cannot be.
    """

    addresses: Addresses

    def build(self) -> None:
        """What a first start makes once and later ones find: images, environments."""

    def start(self) -> None:
        """Everything, from nothing or from what is there; returns when the services answer."""

    def stop(self) -> None:
        """Everything ends; data stays."""

    def remove(self) -> None:
        """Everything ends, with all its data. Fine where nothing is there."""

    def command(self, *arguments: str) -> bytes:
        """What ``lakehouse <arguments>`` prints."""

    def inbox(self, submitter: str) -> Login:
        """The object store's login of one submitter, made where there is none yet."""

    def viewer(self) -> Login:
        """Superset's user who may only look."""

    def kill_code_location(self) -> None:
        """End it with no chance to clean up, as a lack of memory would."""

    def last_words(self) -> str:
        """The end of each service's log, for whoever looks into a failure."""


def rows(stack: Stack, query: str) -> Any:
    return json.loads(stack.command("sql", "--json", query))


def status(stack: Stack) -> Any:
    return json.loads(stack.command("status", "--json"))


def drop(stack: Stack, folder: Path, group: str) -> None:
    """Put a folder into the inbox through S3, closed by its marker."""
    login = stack.inbox(group.split("/")[0])
    client = Minio(
        stack.addresses.store.removeprefix("http://"),
        access_key=login.user,
        secret_key=login.password,
        secure=False,
        region="us-east-1",
    )
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            client.fput_object(RAW_BUCKET, f"inbox/{group}/{name}", str(path))
    client.put_object(RAW_BUCKET, f"inbox/{group}/_SUCCESS", io.BytesIO(b""), 0)


def wait_until(
    what: str, condition: Callable[[], bool], *, seconds: float, pause: float = 2.0
) -> float:
    """Seconds until ``condition`` held; raises :class:`StackError` where it did not in time."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if condition():
            return time.monotonic() - started
        time.sleep(pause)
    raise StackError(f"{what} did not happen within {seconds:.0f} seconds")


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_LINES:])


@dataclass(frozen=True)
class Run:
    """One Dagster run; ``retry_of`` is the run that it starts again."""

    run_id: str
    status: str
    job: str
    retry_of: str | None


class Dagster:
    """What Dagster says over its own API."""

    def __init__(self, address: str) -> None:
        self._address = f"{address}/graphql"

    def runs(self) -> list[Run]:
        query = (
            "{ runsOrError(limit: 100) { __typename ... on Runs "
            "{ results { runId status jobName parentRunId } } } }"
        )
        answer = httpx.post(self._address, json={"query": query}, timeout=30, trust_env=False)
        answer.raise_for_status()
        return [
            Run(found["runId"], found["status"], found["jobName"], found["parentRunId"])
            for found in answer.json()["data"]["runsOrError"]["results"]
        ]


class Superset:
    """Superset's API with one user's login, taken again when it has run out."""

    def __init__(self, address: str, login: Login) -> None:
        self._login = login
        self._client = httpx.Client(base_url=address, timeout=60, trust_env=False)

    def log_in_as(self, login: Login) -> None:
        """From now on with this login: a session of the former key or password has ended."""
        self._login = login
        self._client.headers.pop("Authorization", None)

    def encounters(self) -> int:
        """The number that the clinical overview shows; 0 while nothing is published."""
        found = self._ask(
            "GET",
            "/api/v1/dataset/",
            params={"q": "(filters:!((col:table_name,opr:eq,value:patient_encounter_summary)))"},
        )
        found.raise_for_status()
        answer = self._ask(
            "POST",
            "/api/v1/chart/data",
            json={
                "datasource": {"id": found.json()["result"][0]["id"], "type": "table"},
                "force": True,
                "queries": [{"columns": [], "metrics": ["encounters"], "row_limit": 1}],
            },
        )
        if answer.status_code != httpx.codes.OK:
            return 0  # the views are not there before the first publish
        return int(answer.json()["result"][0]["data"][0]["encounters"] or 0)

    def add_database(self, name: str, uri: str) -> int:
        """A database that a person adds, whose password Superset then keeps; needs an administrator."""
        answer = self._ask(
            "POST", "/api/v1/database/", json={"database_name": name, "sqlalchemy_uri": uri}
        )
        answer.raise_for_status()
        return int(answer.json()["id"])

    def knows_password_of(self, database: int) -> bool:
        """Whether it can read what it keeps of a database that a person added."""
        answer = self._ask("GET", f"/api/v1/database/{database}/connection")
        return answer.status_code == httpx.codes.OK

    def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        if "Authorization" not in self._client.headers:
            self._log_in()
        answer = self._client.request(method, path, **content)
        # 422: the token was signed with the key before this one.
        if answer.status_code not in (
            httpx.codes.UNAUTHORIZED,
            httpx.codes.UNPROCESSABLE_ENTITY,
        ):
            return answer
        self._log_in()
        return self._client.request(method, path, **content)

    def _log_in(self) -> None:
        self._client.headers.pop("Authorization", None)
        self._client.cookies.clear()
        answer = self._client.post(
            "/api/v1/security/login",
            json={
                "username": self._login.user,
                "password": self._login.password,
                "provider": "db",
                "refresh": False,
            },
        )
        answer.raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        token = self._client.get("/api/v1/security/csrf_token/").json()["result"]
        self._client.headers.update({"X-CSRFToken": token, "Referer": str(self._client.base_url)})
