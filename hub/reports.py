"""What the containers' own health checks found, which only they can ask: with each service's own secrets.

A container's check leaves word in a folder that the hub reads (HUB_REPORTS; docker/lakehouse/healthy.py
writes there). Without containers there is no such folder, and the hub's own questions are all there is.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hub.probes import Observation

logger = logging.getLogger(__name__)

#: File of each service as the hub names it.
_FILES: Final = {
    "Dagster web server": "dagster-webserver",
    "Dagster daemon": "dagster-daemon",
    "Code location": "code-location",
    "Superset": "superset",
}
#: Checks run every half a minute at most.
SILENT_AFTER_SECONDS: Final = 120.0


def with_report(observation: Observation, folder: Path | None, now: datetime) -> Observation:
    """``observation`` with what the service's own check found; the check knows better what is wrong."""
    name = _FILES.get(observation.service)
    if folder is None or name is None:
        return observation
    try:
        said = json.loads((folder / name).read_text(encoding="utf-8"))
        at, problems = (
            datetime.fromtimestamp(said["at"], UTC),
            [str(one) for one in said["problems"]],
        )
    except FileNotFoundError:
        return observation  # its container has not got that far
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("hub: the report of %s is not readable: %s", name, type(error).__name__)
        return observation
    if (now - at).total_seconds() > SILENT_AFTER_SECONDS:
        if not observation.healthy:
            return observation
        return Observation(
            observation.service, False, "its container has not looked at itself lately"
        )
    if problems:
        return Observation(observation.service, False, "; ".join(problems))
    return observation
