"""Dagster's real web page and the hub's, asked over HTTP and by Chromium from a page of another origin."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright
from starlette.testclient import TestClient

from hub.app import create_app
from lakehouse.settings import Settings
from tests.e2e.dashboards import CHROMIUM

START_SECONDS = 120
#: Dagster keeps whether somebody has seen its greeting: a state that anybody may change.
SEE = "mutation { setNuxSeen }"
SEEN = "{ shouldShowNux }"


@dataclass(frozen=True)
class RunningPage:
    address: str

    def changed(self) -> bool:
        answer = httpx.post(f"{self.address}/graphql", json={"query": SEEN}, trust_env=False)
        return not answer.json()["data"]["shouldShowNux"]


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPage]:
    """The page as `up` and the container start it, with an instance and a workspace that are empty."""
    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (home / "workspace.yaml").write_text("load_from: []\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {**os.environ, "DAGSTER_HOME": str(home), "LAKEHOUSE_HOME": str(home / "lakehouse")}
    page = RunningPage(f"http://127.0.0.1:{port}")
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "orchestration.processes.web_page", "--port", str(port)),
                *("--workspace", str(home / "workspace.yaml")),
            ],
            env=variables,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(page):
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield page
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(page: RunningPage) -> bool:
    try:
        return httpx.get(f"{page.address}/server_info", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


#: What a page can try without being allowed anything by the other side.
ATTEMPTS = """
<body><script>
const target = %s, query = %s;
const path = target + "/graphql?query=" + encodeURIComponent(query);
const attempts = [
  fetch(path, {mode: "no-cors"}),
  fetch(path, {mode: "no-cors", method: "POST"}),
  fetch(target + "/graphql", {method: "POST", headers: {"Content-Type": "application/json"},
        body: JSON.stringify({query})}),
  fetch(target + "/report_asset_materialization/a", {mode: "no-cors", method: "POST", body: "{}"}),
  new Promise((_, failed) => { const image = new Image(); image.onerror = failed; image.src = path; }),
  new Promise((opened, failed) => {
    const socket = new WebSocket(target.replace("http", "ws") + "/graphql", "graphql-ws");
    socket.onopen = () => opened("WebSocket"); socket.onerror = failed;
  }),
];
const form = document.createElement("form");
form.method = "post"; form.action = path; form.target = "into";
const frame = document.createElement("iframe");
frame.name = "into";
document.body.append(frame, form);
form.submit();
const framed = document.createElement("iframe");
framed.src = target + "/"; framed.id = "framed";
document.body.append(framed);
Promise.allSettled(attempts).then(() => document.title = "tried");
</script></body>
"""


@pytest.fixture(scope="module")
def elsewhere(dagster: RunningPage) -> Iterator[str]:
    """A page of another origin of the same site: another port of this machine."""
    content = (ATTEMPTS % (json.dumps(dagster.address), json.dumps(SEE))).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()


@pytest.fixture
def browser() -> Iterator[Page]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield chromium.new_page()
        chromium.close()


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed")
def test_a_page_of_another_origin_changes_nothing_and_its_own_page_works(
    dagster: RunningPage, elsewhere: str, browser: Page
) -> None:
    statuses: dict[str, set[int]] = {}
    browser.on(
        "response",
        lambda answer: statuses.setdefault(answer.request.method, set()).add(answer.status),
    )
    browser.goto(elsewhere)
    browser.wait_for_function("document.title == 'tried'")
    browser.wait_for_function("window.frames.length == 2")
    browser.wait_for_load_state("networkidle")
    assert statuses["POST"] == {403}
    assert statuses["GET"] <= {200, 403}
    assert not dagster.changed()
    framed = browser.query_selector("#framed")
    assert framed is not None
    inside = framed.content_frame()
    assert inside is None or "Dagster" not in inside.content()

    # Its own page, under the same address: queries, a mutation and the socket of subscriptions.
    browser.goto(f"{dagster.address}/runs")
    browser.wait_for_selector("text=Runs")
    subscribed = browser.evaluate(
        """() => new Promise((done, failed) => {
          const socket = new WebSocket(location.origin.replace("http", "ws") + "/graphql", "graphql-ws");
          socket.onopen = () => socket.send(JSON.stringify({type: "connection_init"}));
          socket.onmessage = (event) => done(JSON.parse(event.data).type);
          socket.onerror = () => failed("refused");
        })"""
    )
    assert subscribed == "connection_ack"
    answered = browser.evaluate(
        """async (query) => (await fetch("/graphql", {method: "POST",
             headers: {"Content-Type": "application/json"}, body: JSON.stringify({query})})).status""",
        SEE,
    )
    assert answered == 200
    assert dagster.changed()


def test_a_get_runs_no_query_and_a_program_may_post_one(dagster: RunningPage) -> None:
    with httpx.Client(base_url=dagster.address, trust_env=False) as client:
        assert client.get("/graphql", params={"query": SEEN}).status_code == 405
        page = client.get("/graphql", params={"query": SEEN}, headers={"accept": "text/html"})
        assert page.status_code == 200
        assert "shouldShowNux" not in page.text
        assert client.post("/graphql", json={"query": SEEN}).status_code == 200
        foreign = client.get("/", headers={"host": "elsewhere.example"})
        assert (foreign.status_code, "ALLOWED_HOSTS" in foreign.text) == (421, True)
        assert client.post("/graphql", headers={"origin": "null"}).status_code == 403


def test_the_hub_follows_the_same_rules(tmp_path: Path) -> None:
    settings = Settings(LAKEHOUSE_HOME=tmp_path, allowed_hosts="lake.example")
    client = TestClient(create_app(settings), base_url="http://lake.example")
    assert client.get("/health").status_code == 200
    assert client.get("/health", headers={"host": "elsewhere.example"}).status_code == 421
    assert client.get("/health", headers={"origin": "http://localhost:1"}).status_code == 403
    embedded = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "iframe",
    }
    assert client.get("/", headers=embedded).status_code == 403
    assert re.search(
        r"frame-ancestors '(none|self)'", client.get("/health").headers["content-security-policy"]
    )
