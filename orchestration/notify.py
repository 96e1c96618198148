"""Tells a webhook about failures, held submissions and blocked publishes.

The message is JSON with what happened, where to look and when; it never holds identifiers, file
names or row values. A webhook that does not answer never makes the work fail.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import httpx

from lakehouse.settings import Settings

log = logging.getLogger(__name__)

ATTEMPTS = 3
TIMEOUT_SECONDS = 5.0
#: Before the second and third attempt.
PAUSES_SECONDS = (1.0, 4.0)

Event = Literal[
    "run_failed",
    "submission_held",
    "publish_blocked",
    "publish_failed",
    "stale",
    "maintenance_failed",
]


@dataclass(frozen=True)
class Notification:
    """One message. ``facts`` are counts, rule names, run and build ids: nothing about a person."""

    event: Event
    title: str
    facts: Mapping[str, str | int | float | None] = field(default_factory=dict)
    occurred_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def body(self) -> dict[str, object]:
        """What is posted. ``text`` is what chat services show."""
        facts = ", ".join(f"{name}: {value}" for name, value in self.facts.items())
        return {
            "source": "health-lakehouse",
            "event": self.event,
            "title": self.title,
            "text": f"{self.title} ({facts})" if facts else self.title,
            "facts": dict(self.facts),
            "occurred_at": self.occurred_at.isoformat(),
        }


def notify(
    settings: Settings,
    notification: Notification,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Post ``notification`` to WEBHOOK_URL; true when it was taken, false when none is set or it failed.

    Connection errors and answers of 429 and 5xx are tried again, three times in all.
    """
    if settings.webhook_url is None or not settings.webhook_url.get_secret_value():
        return False
    problem = ""
    with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
        for attempt in range(ATTEMPTS):
            if attempt:
                pause(PAUSES_SECONDS[attempt - 1])
            try:
                answer = client.post(
                    settings.webhook_url.get_secret_value(), json=notification.body()
                )
            except httpx.HTTPError as error:
                problem = type(error).__name__  # its text holds the address, which is a secret
                continue
            if answer.is_success:
                return True
            problem = f"status {answer.status_code}"
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS and not answer.is_server_error:
                break
    log.warning("The webhook did not take the notification %s: %s.", notification.event, problem)
    return False
