"""``python -m orchestration.processes.daemon_server``: `dagster-daemon run`, whose log outlasts an outage
and whose sensors are woken (:mod:`orchestration.processes.waking`)."""

import sys

from dagster._daemon import controller
from dagster._daemon.cli import run_command

from lakehouse import outages
from lakehouse.settings import load_settings
from orchestration.processes.waking import WokenSensorDaemon


def main(arguments: list[str]) -> None:
    outages.say_once_a_minute()
    controller.SensorDaemon = WokenSensorDaemon  # type: ignore[attr-defined]
    run_command([*arguments, "--log-level", load_settings().log_level.lower()])


if __name__ == "__main__":
    main(sys.argv[1:])
