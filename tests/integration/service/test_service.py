"""The service of the no-Docker mode as a person has it: `up`, drops, a killed process, `run`, `down`."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from installation import embedded
from lakehouse.settings import DatabaseName, Settings
from tests.integration.main_job.conftest import ROOT, command

DROPS = ROOT / "samples" / "drops" / "cohort-a" / "fhir"
PATIENCE_SECONDS = 800

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Webhook:
    """A server on this machine that keeps what it is told."""

    address: str
    received: list[dict[str, Any]]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["event"] == event]


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Webhook(f"http://127.0.0.1:{server.server_address[1]}/", received)
    server.shutdown()
    thread.join()


@dataclass(frozen=True)
class Service:
    """A running service on a home and ports of its own."""

    home: Path
    variables: dict[str, str]

    def lakehouse(self, *arguments: str, check: bool = True) -> str:
        return command(self.home, *arguments, check=check, **self.variables).stdout

    def dagster(self, query: str) -> Any:
        address = f"http://127.0.0.1:{self.variables['DAGSTER_PORT']}/graphql"
        answer = httpx.post(address, json={"query": query}, timeout=60, trust_env=False)
        return answer.json()["data"]

    def runs(self) -> list[dict[str, Any]]:
        fields = "runId status jobName tags { key value }"
        data = self.dagster(f"{{ runsOrError {{ ... on Runs {{ results {{ {fields} }} }} }} }}")
        found: list[dict[str, Any]] = data["runsOrError"]["results"]
        return found

    def submission(self, drop_id: str) -> str:
        query = f"select submission_id from submission where drop_id = '{drop_id}'"
        with psycopg.connect(self.database("lakehouse")) as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return str(row[0])

    def state_of(self, drop_id: str) -> str:
        report = json.loads(self.lakehouse("status", "--json"))
        lines = {line["submission_id"]: line["state"] for line in report["submissions"]}
        return str(lines[self.submission(drop_id)])

    def database(self, name: DatabaseName) -> str:
        settings = Settings(LAKEHOUSE_HOME=self.home)
        return embedded.ensure_running(settings).libpq_url(name)

    def states(self) -> list[str]:
        report = json.loads(self.lakehouse("status", "--json"))
        return [line["state"] for line in report["submissions"]]

    def supervised(self, name: str) -> psutil.Process:
        """The process that the supervisor of ``name`` keeps."""
        supervisor = int((self.home / "service" / f"{name}.pid").read_text())
        (child,) = psutil.Process(supervisor).children()
        return child


@pytest.fixture(scope="module")
def service(webhook: Webhook) -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="lakehouse-service-") as folder:
        ports = {name: str(free_port()) for name in ("DAGSTER_PORT", "HUB_PORT")}
        service = Service(Path(folder) / "home", {**ports, "WEBHOOK_URL": webhook.address})
        said = service.lakehouse("up")
        for port in ports.values():
            assert f"http://127.0.0.1:{port}" in said
        yield service
        service.lakehouse("down")


def wait_for(what: str, condition: Callable[[], bool], *, every: float = 0.5) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(every)
    pytest.fail(f"{what} did not happen within {PATIENCE_SECONDS} seconds")


def tag(run: dict[str, Any], key: str) -> str | None:
    return next((entry["value"] for entry in run["tags"] if entry["key"] == key), None)


def test_1_everything_is_up_and_a_second_up_starts_nothing(service: Service) -> None:
    def healthy() -> bool:
        address = f"http://127.0.0.1:{service.variables['HUB_PORT']}/services.json"
        states = httpx.get(address, trust_env=False).json()["services"]
        return bool(states) and all(state["healthy"] for state in states)

    wait_for("the hub seeing every service up", healthy)
    before = service.supervised("daemon").pid
    assert "Already up" in service.lakehouse("up")
    assert service.supervised("daemon").pid == before


def test_2_a_code_location_killed_in_the_middle_of_a_run_comes_back_and_the_run_is_retried(
    service: Service,
) -> None:
    workspace = (service.home / "dagster" / "workspace.yaml").read_text()
    port = int(re.findall(r"port: (\d+)", workspace)[0])
    service.lakehouse("drop", str(DROPS / "2026-01-cohort-a"), "--drop-id", "first")

    def landing_goes_on() -> bool:
        return any(run["status"] == "STARTED" and run["jobName"] == "landing" for run in runs())

    runs = service.runs
    wait_for("a landing starting", landing_goes_on, every=0.1)
    killed = service.supervised("code")
    workers = killed.children(recursive=True)
    # The run was forked from a child of the code location, which has everything loaded.
    assert {worker.ppid() for worker in workers} - {killed.pid}
    os.kill(killed.pid, signal.SIGKILL)

    wait_for("the drop being published", lambda: service.states() == ["PUBLISHED"], every=2)
    assert not any(process.is_running() for process in [killed, *workers])
    assert service.supervised("code").cmdline()[-1] == str(port)
    assert any(tag(run, "dagster/retry_number") for run in service.runs())
    counted = json.loads(
        service.lakehouse(
            "sql",
            "--json",
            "select count(*) as n, count(distinct (source_file, source_position)) as places "
            "from bronze.fhir_resource",
        )
    )
    assert counted[0]["n"] == counted[0]["places"] > 0


def test_3_run_lets_the_daemon_do_the_work_and_shows_its_result(service: Service) -> None:
    known = {run["runId"] for run in service.runs()}
    service.lakehouse("drop", str(DROPS / "2026-02-corrections"), "--drop-id", "second")
    summary = json.loads(service.lakehouse("run", "--json"))
    assert set(service.states()) == {"PUBLISHED"}
    # The daemon hears of the drop by itself, and may have landed it before the command looked.
    second = service.submission("second")
    assert set(summary["landed"]) <= {second}
    new = [run for run in service.runs() if run["runId"] not in known]
    assert {tag(run, "lakehouse/started_by") for run in new} == {None}
    landings = [run for run in new if run["jobName"] == "landing"]
    assert [run["status"] for run in landings] == ["SUCCESS"]


def test_4_a_killed_run_and_a_held_submission_are_told_to_the_webhook_once_each(
    service: Service, webhook: Webhook, tmp_path: Path
) -> None:
    published = service.lakehouse("sql", "--json", "select count(*) as n from silver.patient")
    for number in range(40):  # fewer than 30 are no share
        patient = {"resourceType": "Patient", "id": f"planted-{number}", "gender": "female"}
        content = json.dumps({**patient, "birthDate": f"22{number:02d}-01-01"})
        (tmp_path / f"{number}.json").write_text(content)
    service.lakehouse("drop", str(tmp_path), "--drop-id", "from-the-future")
    wait_for("the webhook being told", lambda: bool(webhook.of("submission_held")), every=1)
    (message,) = webhook.of("submission_held")
    assert message["facts"]["submission"] == service.submission("from-the-future")
    assert "silver.patient birth_date_plausible" in message["facts"]["rules"]
    assert "planted" not in json.dumps(webhook.received)
    # The landing whose code location was killed was told too, and nothing else.
    assert [told["facts"]["job"] for told in webhook.of("run_failed")] == ["landing"]
    assert service.state_of("from-the-future") == "HELD"
    assert (
        service.lakehouse("sql", "--json", "select count(*) as n from silver.patient") == published
    )

    service.lakehouse("withdraw", service.submission("from-the-future"), "--reason", "a test")
    service.lakehouse("run", "--json")
    assert service.state_of("from-the-future") == "WITHDRAWN"
    assert len(webhook.of("submission_held")) == 1
    assert webhook.of("publish_blocked") == []


def test_5_down_stops_everything_and_the_next_run_does_its_work_itself(service: Service) -> None:
    processes = [service.supervised(name) for name in ("code", "webserver", "daemon", "hub")]
    service.lakehouse("down")
    assert not any(process.is_running() for process in processes)
    service.lakehouse("drop", str(DROPS / "2026-02-corrections"), "--drop-id", "third")
    assert json.loads(service.lakehouse("run", "--json"))["nothing_new"] is False


def test_6_two_commands_at_once_do_the_work_once(service: Service) -> None:
    other = DROPS.parents[1] / "cohort-b" / "fhir" / "2026-01-cohort-b"
    service.lakehouse("drop", str(other), "--drop-id", "fourth")
    summaries: list[dict[str, Any]] = []

    def run() -> None:
        summaries.append(json.loads(service.lakehouse("run", "--json")))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(summary["landed"]) for summary in summaries) == [0, 1]
    assert sorted(summary["nothing_new"] for summary in summaries) == [False, True]
