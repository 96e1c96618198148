"""Whether a Dagster daemon is alive, by its own heartbeats; also where it runs in a container."""

import time

import dagster as dg

from lakehouse.settings import Settings
from orchestration.processes.instance import open_instance

#: The daemons that take a drop from the inbox to the marts.
_NEEDED = ("SENSOR", "QUEUED_RUN_COORDINATOR")
#: A beat comes every thirty seconds. Dagster itself calls a daemon ill after half an hour only, which
#: is for alerts; whoever waits for its work must know sooner.
TOLERANCE_SECONDS = 120.0


def is_alive(instance: dg.DagsterInstance, *, now: float | None = None) -> bool:
    """Whether every daemon that the pipeline needs had a beat in the last two minutes.

    ``now`` is in seconds since 1970; a service that was stopped with :func:`forget` is dead at once.
    """
    moment = time.time() if now is None else now
    beats = instance.get_daemon_heartbeats()
    return all(
        name in beats and moment - beats[name].timestamp <= TOLERANCE_SECONDS for name in _NEEDED
    )


def forget(settings: Settings) -> None:
    """Remove the heartbeats of a daemon that was stopped, so that nobody waits for it."""
    with open_instance(settings) as instance:
        instance.wipe_daemon_heartbeats()
