"""The daemon looks at its sensors when there is something to see, and otherwise as often as Dagster does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._daemon import controller

from lakehouse.settings import Settings
from orchestration.processes import daemon_server, inbox_watch
from orchestration.processes.waking import Woken, WokenSensorDaemon
from orchestration.vocabulary import SENSOR_SECONDS

#: Longer than any of these tests may take.
LONG = 120.0


@pytest.fixture
def shutdown() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def seconds_of(woken: Woken, asked: float) -> float:
    started = time.monotonic()
    assert not woken.wait(asked)
    return time.monotonic() - started


def test_it_waits_as_long_as_dagster_asks_where_nothing_happens(shutdown: threading.Event) -> None:
    woken = Woken(shutdown, lambda: {"a run that goes on"})
    assert seconds_of(woken, SENSOR_SECONDS + 1.0) >= SENSOR_SECONDS + 1.0


def test_a_change_of_the_inbox_wakes_it_but_not_before_the_sensors_interval(
    shutdown: threading.Event,
) -> None:
    woken = Woken(shutdown, set)
    woken.changed.set()
    assert SENSOR_SECONDS <= seconds_of(woken, LONG) < LONG
    assert not woken.changed.is_set()


def test_the_end_of_a_run_wakes_it(shutdown: threading.Event) -> None:
    looks = iter([{"one", "two"}, {"one", "two"}, {"two", "three"}])
    woken = Woken(shutdown, lambda: next(looks))
    assert seconds_of(woken, LONG) < LONG
    assert list(looks) == []


def test_the_end_of_the_service_ends_it() -> None:
    shutdown = threading.Event()
    shutdown.set()
    assert Woken(shutdown, set).wait(LONG)


def test_a_file_that_appears_in_the_inbox_is_heard(
    settings: Settings,
    instance: dg.DagsterInstance,
    shutdown: threading.Event,
) -> None:
    woken = Woken(shutdown, set)
    address = os.environ["DAGSTER_POSTGRES_URL"]
    threading.Thread(target=woken.listen, args=[address], daemon=True).start()
    telling = threading.Thread(target=inbox_watch.tell, args=[settings, shutdown])
    telling.start()
    folder = settings.store_folder / "inbox" / "clinic" / "fhir" / "one"
    folder.mkdir(parents=True)
    deadline = time.monotonic() + LONG
    number = 0
    # The watch has no moment at which it is known to have begun: files come until one is heard.
    while not woken.changed.wait(0.2) and time.monotonic() < deadline:
        (folder / f"{number}.json").touch()
        number += 1
    assert woken.changed.is_set()
    shutdown.set()
    telling.join(timeout=LONG)
    assert not telling.is_alive()


def test_dagsters_controller_makes_the_woken_one(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_server, "run_command", lambda _arguments: None)
    monkeypatch.setattr(controller, "SensorDaemon", controller.SensorDaemon)
    monkeypatch.setattr(daemon_server.outages, "say_once_a_minute", lambda: None)
    daemon_server.main([])
    made = controller.create_daemon_of_type("SENSOR", instance)
    assert isinstance(made, WokenSensorDaemon)
