"""Notifications over a real HTTP server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from lakehouse.settings import Settings
from orchestration.notify import Notification, notify


@dataclass
class Webhook:
    address: str = ""
    answers: list[int] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    state = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append(json.loads(body))
            self.send_response(state.answers.pop(0) if state.answers else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_address[1]}/token-in-the-address"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()


def settings(address: str | None) -> Settings:
    return Settings(webhook_url=SecretStr(address) if address else None)


BLOCKED = Notification("publish_blocked", "Publishing was blocked", {"failed checks": 2})


def test_a_notification_is_posted_as_json(webhook: Webhook) -> None:
    assert notify(settings(webhook.address), BLOCKED)
    body = webhook.received[0]
    assert body["event"] == "publish_blocked"
    assert body["text"] == "Publishing was blocked (failed checks: 2)"
    assert body["facts"] == {"failed checks": 2}


def test_a_server_in_trouble_is_asked_again(webhook: Webhook) -> None:
    webhook.answers = [503, 429]
    pauses: list[float] = []
    assert notify(settings(webhook.address), BLOCKED, pause=pauses.append)
    assert len(webhook.received) == 3
    assert pauses == [1.0, 4.0]


def test_the_attempts_end_and_the_work_goes_on(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.answers = [500] * 5
    assert not notify(settings(webhook.address), BLOCKED, pause=lambda _: None)
    assert len(webhook.received) == 3
    assert "status 500" in caplog.text
    assert "token-in-the-address" not in caplog.text


def test_a_refusal_is_not_repeated(webhook: Webhook) -> None:
    webhook.answers = [403]
    assert not notify(settings(webhook.address), BLOCKED, pause=lambda _: None)
    assert len(webhook.received) == 1


def test_nobody_listening_is_no_error_and_shows_no_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert not notify(settings("http://127.0.0.1:9/secret"), BLOCKED, pause=lambda _: None)
    assert "secret" not in caplog.text


def test_without_an_address_nothing_is_sent() -> None:
    assert not notify(settings(None), BLOCKED)
