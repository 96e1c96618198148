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
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.integration.main_job.conftest import ROOT, command

DROPS = ROOT / "samples" / "drops" / "cohort-a" / "fhir"
PATIENCE_SECONDS = 800

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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

    def states(self) -> list[str]:
        report = json.loads(self.lakehouse("status", "--json"))
        return [line["state"] for line in report["submissions"]]

    def supervised(self, name: str) -> psutil.Process:
        """The process that the supervisor of ``name`` keeps."""
        supervisor = int((self.home / "service" / f"{name}.pid").read_text())
        (child,) = psutil.Process(supervisor).children()
        return child


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="lakehouse-service-") as folder:
        ports = {name: str(free_port()) for name in ("DAGSTER_PORT", "HUB_PORT")}
        service = Service(Path(folder) / "home", ports)
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
    os.kill(killed.pid, signal.SIGKILL)

    wait_for("the drop being published", lambda: service.states() == ["PUBLISHED"], every=2)
    assert not any(process.is_running() for process in [killed, *workers])
    assert service.supervised("code").cmdline()[-3:-2] == [str(port)]
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
    service.lakehouse("drop", str(DROPS / "2026-02-corrections"), "--drop-id", "second")
    known = {run["runId"] for run in service.runs()}
    summary = json.loads(service.lakehouse("run", "--json"))
    assert set(service.states()) == {"PUBLISHED"}
    assert len(summary["landed"]) == 1
    new = [run for run in service.runs() if run["runId"] not in known]
    assert {tag(run, "lakehouse/started_by") for run in new} == {None}
    landings = [run for run in new if run["jobName"] == "landing"]
    assert [run["status"] for run in landings] == ["SUCCESS"]


def test_4_down_stops_everything_and_the_next_run_does_its_work_itself(service: Service) -> None:
    processes = [service.supervised(name) for name in ("code", "webserver", "daemon", "hub")]
    service.lakehouse("down")
    assert not any(process.is_running() for process in processes)
    service.lakehouse("drop", str(DROPS / "2026-02-corrections"), "--drop-id", "third")
    assert json.loads(service.lakehouse("run", "--json"))["nothing_new"] is False


def test_5_two_commands_at_once_do_the_work_once(service: Service) -> None:
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
