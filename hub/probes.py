"""Whether each service is up, asked in the way that means it works: an open port is not enough."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from lakehouse.settings import Settings

TIMEOUT_SECONDS = 3.0

#: Daemons, code location and latest runs in one request.
_DAGSTER_QUERY = """
{
  instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } }
  workspaceOrError {
    ... on Workspace {
      locationEntries { name loadStatus locationOrLoadError { __typename } }
    }
  }
  runsOrError(limit: 8) {
    ... on Runs { results { runId status jobName startTime endTime tags { key value } } }
  }
}
"""


@dataclass(frozen=True)
class Observation:
    """One service at one moment. ``detail`` says what is wrong, or what is there."""

    service: str
    healthy: bool
    detail: str


@dataclass(frozen=True)
class Run:
    """One Dagster run, as the hub shows it."""

    run_id: str
    status: str
    job: str
    subject: str
    started: float | None
    ended: float | None


Probe = Callable[[httpx.AsyncClient], Awaitable[list[Observation]]]


def service_addresses(settings: Settings) -> dict[str, str]:
    """Address of each watched service by name: HUB_SERVICES, or the no-Docker mode's.

    There Superset is an extra of its own (`make dashboards`): it is watched once it was set up.
    """
    if settings.hub_services is None:
        found = {"dagster": f"http://127.0.0.1:{settings.dagster_port}"}
        if (settings.home / "superset").is_dir():
            found["superset"] = f"http://127.0.0.1:{settings.superset_port}"
        return found
    pairs = (item.partition("=") for item in settings.hub_services.split(",") if item.strip())
    return {name.strip(): address.strip().rstrip("/") for name, _, address in pairs}


async def postgres(settings: Settings) -> Observation:
    """Logs in and reads one row."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            connection = await psycopg.AsyncConnection.connect(
                settings.libpq_url("lakehouse"), connect_timeout=3
            )
            async with connection:
                await connection.execute("select 1")
    except (psycopg.Error, OSError, TimeoutError) as error:
        return Observation("Postgres", False, _reason(error))
    return Observation("Postgres", True, "answers")


async def object_folder(settings: Settings) -> Observation:
    """The local folder that stands for an object store."""
    there = await asyncio.to_thread(settings.store_folder.is_dir)
    return Observation("Object store", there, "local folder" if there else "folder is missing")


async def object_store(client: httpx.AsyncClient, address: str) -> Observation:
    return await _answers(client, "Object store", f"{address}/minio/health/live")


async def superset(client: httpx.AsyncClient, address: str) -> Observation:
    return await _answers(client, "Superset", f"{address}/health")


async def dagster(
    client: httpx.AsyncClient, address: str
) -> tuple[list[Observation], list[Run] | None]:
    """Web server, daemon and code location, and the latest runs (None where they are not known)."""
    try:
        answer = await client.post(f"{address}/graphql", json={"query": _DAGSTER_QUERY})
        answer.raise_for_status()
        data = answer.json()["data"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        reason = _reason(error)
        return [
            Observation("Dagster web server", False, reason),
            Observation("Dagster daemon", False, "not known: the web server does not answer"),
            Observation("Code location", False, "not known: the web server does not answer"),
        ], None
    return [
        Observation("Dagster web server", True, "answers"),
        _daemon(data),
        _code_location(data),
    ], [_run(result) for result in (data["runsOrError"] or {}).get("results", [])]


def _daemon(data: Mapping[str, Any]) -> Observation:
    statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    required = [status for status in statuses if status["required"]]
    ill = sorted(status["daemonType"].lower() for status in required if not status["healthy"])
    if ill:
        return Observation("Dagster daemon", False, "no heartbeat: " + ", ".join(ill))
    return Observation("Dagster daemon", True, f"{len(required)} daemons alive")


def _code_location(data: Mapping[str, Any]) -> Observation:
    entries = (data["workspaceOrError"] or {}).get("locationEntries", [])
    ill = [
        entry["name"]
        for entry in entries
        if (entry["locationOrLoadError"] or {}).get("__typename") != "RepositoryLocation"
    ]
    if ill or not entries:
        return Observation("Code location", False, "not loaded: " + (", ".join(ill) or "none"))
    return Observation("Code location", True, "loaded")


def _run(result: Mapping[str, Any]) -> Run:
    tags = {tag["key"]: tag["value"] for tag in result["tags"]}
    job = result["jobName"]
    return Run(
        run_id=result["runId"],
        status=result["status"].lower(),
        job="assets"
        if job.startswith("__ASSET_JOB")
        else job.removeprefix("__anonymous_asset_job_"),
        subject=tags.get("dagster/partition", ""),
        started=result["startTime"],
        ended=result["endTime"],
    )


async def _answers(client: httpx.AsyncClient, service: str, address: str) -> Observation:
    try:
        answer = await client.get(address)
    except httpx.HTTPError as error:
        return Observation(service, False, _reason(error))
    if answer.status_code != httpx.codes.OK:
        return Observation(service, False, f"answers with status {answer.status_code}")
    return Observation(service, True, "answers")


def _reason(error: BaseException) -> str:
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return f"no answer within {TIMEOUT_SECONDS:.0f} seconds"
    if isinstance(error, httpx.ConnectError):
        return "nothing listens at its address"
    if isinstance(error, httpx.HTTPStatusError):
        return f"answers with status {error.response.status_code}"
    if isinstance(error, psycopg.OperationalError):
        # A connection that was never made has no SQLSTATE, only a text.
        if "password authentication failed" in str(error):
            return "refuses the hub's password"
        return "cannot be reached"
    return type(error).__name__
