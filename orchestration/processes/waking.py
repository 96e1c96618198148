"""Sensors that are looked at as soon as there is something to see.

Dagster's daemon looks at its sensors every five seconds, and a drop takes three runs on its way to the marts: a
person would wait three times. The daemon of :mod:`orchestration.processes.daemon_server` also looks when the
inbox changed (:mod:`orchestration.processes.inbox_watch`) and when a run ended.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import psycopg
from dagster._daemon import daemon

from orchestration.processes.inbox_watch import CHANNEL
from orchestration.vocabulary import ACTIVE_STATUSES, SENSOR_SECONDS

#: How often the runs that are on their way are looked at.
_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 5.0

_LOG = logging.getLogger("orchestration.daemon")


class Woken:
    """In place of the event that Dagster's loop waits for between two looks at the sensors.

    ``active`` gives the runs that are on their way now.
    """

    def __init__(self, shutdown: threading.Event, active: Callable[[], set[str]]) -> None:
        self.changed = threading.Event()
        self._shutdown, self._active = shutdown, active
        self._looked = time.monotonic()

    def is_set(self) -> bool:
        return self._shutdown.is_set()

    def wait(self, seconds: float) -> bool:
        """Until the service ends, ``seconds`` have passed, or there is something to see; whether it ends."""
        began = time.monotonic()
        running = self._active()
        while time.monotonic() - began < seconds and not self._shutdown.wait(_LOOK_SECONDS):
            # Dagster leaves out a sensor that it asked less than its interval ago.
            if time.monotonic() - self._looked < SENSOR_SECONDS:
                continue
            if self.changed.is_set() or (running and running - self._active()):
                break
        self.changed.clear()
        self._looked = time.monotonic()
        return self._shutdown.is_set()

    def listen(self, postgres_url: str) -> None:
        """Note that the inbox changed whenever it is told."""
        while not self._shutdown.is_set():
            try:
                with psycopg.connect(postgres_url, autocommit=True) as connection:
                    connection.execute(f"listen {CHANNEL}")
                    for _ in connection.notifies():
                        self.changed.set()
            except psycopg.Error as error:
                _LOG.warning("Changes of the inbox are not heard (%s).", type(error).__name__)
                self._shutdown.wait(_PAUSE_SECONDS)


class WokenSensorDaemon(daemon.SensorDaemon):
    """Dagster's sensor daemon with another way to wait."""

    def core_loop(self, workspace_process_context: Any, shutdown_event: threading.Event) -> Any:
        instance: dg.DagsterInstance = workspace_process_context.instance

        def active() -> set[str]:
            runs = instance.get_runs(dg.RunsFilter(statuses=ACTIVE_STATUSES))
            return {run.run_id for run in runs}

        woken = Woken(shutdown_event, active)
        threading.Thread(
            target=woken.listen, args=[os.environ["DAGSTER_POSTGRES_URL"]], daemon=True
        ).start()
        return self._look_again_and_again(workspace_process_context, woken)

    def _look_again_and_again(self, context: Any, woken: Woken) -> Iterator[Any]:
        yield from super().core_loop(context, woken)  # type: ignore[arg-type]
