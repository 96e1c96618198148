"""Watches the services and keeps the last picture, with the time since when each is as it is.

Since-when outlives a restart of the hub: it is kept in one small file.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from hub import operations, probes
from hub.operations import Operations
from hub.probes import Observation, Run
from hub.reports import with_report
from lakehouse import whole_file
from lakehouse.settings import Settings

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0


@dataclass(frozen=True)
class ServiceState:
    service: str
    healthy: bool
    detail: str
    since: datetime


@dataclass(frozen=True)
class Picture:
    """Everything the page shows."""

    taken_at: datetime
    services: list[ServiceState] = field(default_factory=list)
    runs: list[Run] | None = None
    operations: Operations = field(default_factory=Operations)

    @property
    def down(self) -> list[ServiceState]:
        return [service for service in self.services if not service.healthy]


class Observer:
    """Takes a picture every ten seconds; :attr:`picture` is always the last one."""

    def __init__(
        self, settings: Settings, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._file = settings.home / "hub" / "services.json"
        self._since = _read_since(self._file)
        self.picture = Picture(clock())

    async def watch(self) -> None:
        """Observe until cancelled."""
        # Names are looked up in threads. Where a server is away and no name server answers, each look
        # takes half a minute: with the usual six threads every other service would seem to be away too.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
        async with httpx.AsyncClient(timeout=probes.TIMEOUT_SECONDS, trust_env=False) as client:
            while True:
                await self.observe(client)
                await asyncio.sleep(INTERVAL_SECONDS)

    async def observe(self, client: httpx.AsyncClient) -> Picture:
        """Ask every service and the metadata database once, all at the same time."""
        now = self._clock()
        addresses = probes.service_addresses(self._settings)
        async with asyncio.TaskGroup() as group:
            database = group.create_task(probes.postgres(self._settings))
            store = group.create_task(
                probes.object_store(client, addresses["minio"])
                if "minio" in addresses
                else probes.object_folder(self._settings)
            )
            dagster = group.create_task(probes.dagster(client, addresses["dagster"]))
            superset = (
                group.create_task(probes.superset(client, addresses["superset"]))
                if "superset" in addresses
                else None
            )
            rows = group.create_task(operations.read(self._settings))
        dagster_observations, runs = dagster.result()
        observations = [
            database.result(),
            store.result(),
            *dagster_observations,
            *([superset.result()] if superset else []),
        ]
        self.picture = Picture(
            now,
            [
                self._state(with_report(one, self._settings.hub_reports, now), now)
                for one in observations
            ],
            runs,
            rows.result(),
        )
        await asyncio.to_thread(_write_since, self._file, self._since)
        return self.picture

    def _state(self, observation: Observation, now: datetime) -> ServiceState:
        healthy, since = self._since.get(observation.service, (None, now))
        if healthy != observation.healthy:
            since = now
            self._since[observation.service] = (observation.healthy, now)
        return ServiceState(observation.service, observation.healthy, observation.detail, since)


def _read_since(path: Path) -> dict[str, tuple[bool | None, datetime]]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: (entry["healthy"], datetime.fromisoformat(entry["since"]))
            for name, entry in stored.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("hub: the file of service states is not readable: %s", type(error).__name__)
        return {}


def _write_since(path: Path, since: dict[str, tuple[bool | None, datetime]]) -> None:
    text = json.dumps(
        {name: {"healthy": up, "since": when.isoformat()} for name, (up, when) in since.items()}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    whole_file.write(path, text)
