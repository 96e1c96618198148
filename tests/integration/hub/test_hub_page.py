"""The hub against real services: a real Postgres, and small servers that answer as the others do."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from hub.app import create_app
from hub.observer import Observer
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore

#: The hub answers under the names it is served under.
HUB = "http://localhost"
GRAPHQL = (
    b'{"data":{"instance":{"daemonHealth":{"allDaemonStatuses":[{"daemonType":"SENSOR",'
    b'"healthy":true,"required":true},{"daemonType":"SCHEDULER","healthy":%s,"required":true}]}},'
    b'"workspaceOrError":{"locationEntries":[{"name":"lakehouse","loadStatus":"LOADED",'
    b'"locationOrLoadError":{"__typename":"RepositoryLocation"}}]},"runsOrError":{"results":['
    b'{"runId":"0a1b2c3d-0000","status":"SUCCESS","jobName":"__ASSET_JOB","startTime":1.0,'
    b'"endTime":64.0,"tags":[{"key":"dagster/partition","value":"20260131T1015-a1"}]}]}}}'
)


@dataclass
class Services:
    """Stands for Dagster and Superset on one port; each can be made ill."""

    address: str
    scheduler_alive: bool = True
    superset_status: int = 200
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def services() -> Iterator[Services]:
    state = Services("")

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(state.superset_status, b"OK")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(200, GRAPHQL % (b"true" if state.scheduler_alive else b"false"))

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            state.requests.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()


@pytest.fixture
def watched(settings: Settings, services: Services) -> Settings:
    return settings.model_copy(
        update={"hub_services": f"dagster={services.address},superset={services.address}"}
    )


def observe(observer: Observer) -> None:
    async def once() -> None:
        async with httpx.AsyncClient(timeout=3, trust_env=False) as client:
            await observer.observe(client)

    asyncio.run(once())


def submission(settings: Settings, number: int, state: str = "PUBLISHED") -> None:
    with psycopg.connect(settings.libpq_url("lakehouse")) as connection:
        connection.execute(
            "insert into submission (submission_id, group_key, submitter, file_type, drop_id, state,"
            " content_sha256, file_count, byte_count, received_at)"
            " values (%s, %s, 'clinic-<b>a</b>', 'fhir_bundle', 'd', %s, %s, 3, 4200000, now())",
            [f"20260131T1015{number:05d}-a1b2c3", f"inbox/g/{number}", state, f"{number:064x}"],
        )


def test_everything_up_shows_submissions_runs_and_links(
    watched: Settings, engine: Engine, store: ObjectStore
) -> None:
    submission(watched, 1)
    observer = Observer(watched)
    observe(observer)
    page = TestClient(create_app(watched, observer), base_url=HUB).get("/").text
    assert "All 6 services up" in page
    assert "20260131T101500001-a1b2c3" in page
    assert "4.2 MB" in page
    assert "0a1b2c3d" in page
    assert 'href="http://localhost:3000"' in page
    assert "<script" not in page


def test_what_people_named_is_escaped(
    watched: Settings, engine: Engine, store: ObjectStore
) -> None:
    submission(watched, 1)
    observer = Observer(watched)
    observe(observer)
    page = TestClient(create_app(watched, observer), base_url=HUB).get("/").text
    assert "clinic-&lt;b&gt;a&lt;/b&gt;" in page


def test_a_service_that_is_down_is_named_with_since_when_even_after_a_restart(
    watched: Settings, engine: Engine, store: ObjectStore, services: Services
) -> None:
    moments = iter(datetime(2026, 1, 31, 10, tzinfo=UTC) + timedelta(minutes=m) for m in range(9))
    clock = lambda: next(moments)  # noqa: E731
    first = Observer(watched, clock=clock)
    observe(first)
    services.superset_status = 503
    observe(first)
    down_since = next(s.since for s in first.picture.services if s.service == "Superset")
    observe(first)
    second = Observer(watched, clock=clock)
    observe(second)
    state = next(s for s in second.picture.services if s.service == "Superset")
    assert (state.healthy, state.since) == (False, down_since)
    page = TestClient(create_app(watched, second), base_url=HUB).get("/").text
    assert "1 of 6 services down: Superset" in page
    assert "answers with status 503" in page


def test_a_daemon_without_a_heartbeat_is_down(
    watched: Settings, engine: Engine, store: ObjectStore, services: Services
) -> None:
    services.scheduler_alive = False
    observer = Observer(watched)
    observe(observer)
    state = next(s for s in observer.picture.services if s.service == "Dagster daemon")
    assert not state.healthy
    assert "scheduler" in state.detail


def test_with_nothing_up_the_page_still_comes_and_says_so(settings: Settings) -> None:
    lost = settings.model_copy(
        update={
            "postgres_url": "postgresql://nobody@127.0.0.1:9",
            "hub_services": "dagster=http://127.0.0.1:9,superset=http://127.0.0.1:9",
        }
    )
    observer = Observer(lost)
    observe(observer)
    answer = TestClient(create_app(lost, observer), base_url=HUB).get("/")
    assert answer.status_code == 200
    assert "6 of 6 services down" in answer.text
    assert "nothing listens at its address" in answer.text
    assert "Not known while Dagster does not answer" in answer.text


def test_an_unmigrated_database_is_said_and_not_an_error(
    watched: Settings, store: ObjectStore
) -> None:
    observer = Observer(watched)
    observe(observer)
    assert (
        "not migrated yet" in TestClient(create_app(watched, observer), base_url=HUB).get("/").text
    )


def test_the_reader_role_is_enough(watched: Settings, engine: Engine, store: ObjectStore) -> None:
    with psycopg.connect(watched.libpq_url("postgres"), autocommit=True) as connection:
        connection.execute("alter role bi_reader login")
    reader = watched.model_copy(
        update={"postgres_url": (watched.postgres_url or "").replace("postgres@", "bi_reader@", 1)}
    )
    submission(watched, 1)
    observer = Observer(reader)
    observe(observer)
    assert observer.picture.operations.problem is None
    assert len(observer.picture.operations.submissions) == 1


def test_a_page_takes_less_than_fifty_milliseconds(
    watched: Settings, engine: Engine, store: ObjectStore
) -> None:
    for number in range(10):
        submission(watched, number)
    observer = Observer(watched)
    observe(observer)
    client = TestClient(create_app(watched, observer), base_url=HUB)
    client.get("/")
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        assert client.get("/").status_code == 200
        seconds.append(time.perf_counter() - started)
    assert statistics.median(seconds) < 0.05


def test_documents_are_served_once_they_are_made(watched: Settings, tmp_path: Path) -> None:
    client = TestClient(create_app(watched, Observer(watched)), base_url=HUB)
    missing = client.get("/docs/data-docs/")
    assert missing.status_code == 404
    assert "lakehouse docs --site" in missing.text
    assert "not built yet" in client.get("/").text
    assert 'href="/docs/data-docs/"' not in client.get("/").text
    folder = watched.home / "site" / "data-docs"
    (folder / "static").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>made</h1>", encoding="utf-8")
    (folder / "static" / "a.css").write_text("b", encoding="utf-8")
    assert client.get("/docs/data-docs").text == "<h1>made</h1>"
    assert 'href="/docs/data-docs/"' in client.get("/").text
    assert client.get("/docs/data-docs/static/a.css").text == "b"
    assert client.get("/docs/secrets/").status_code == 404
    assert client.get("/docs/data-docs/../../secrets/privacy_key").status_code == 404


def test_the_hub_allows_no_script_and_no_frame(watched: Settings) -> None:
    policy = (
        TestClient(create_app(watched, Observer(watched)), base_url=HUB)
        .get("/")
        .headers["Content-Security-Policy"]
    )
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_no_document_may_call_anybody(watched: Settings) -> None:
    client = TestClient(create_app(watched, Observer(watched)), base_url=HUB)
    for folder in ("data-docs", "dbt-docs"):
        (watched.home / "site" / folder).mkdir(parents=True)
        (watched.home / "site" / folder / "index.html").write_text("made", encoding="utf-8")
        policy = client.get(f"/docs/{folder}/").headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "http" not in policy


def test_the_data_dictionary_shows_every_table_with_an_anchor(watched: Settings) -> None:
    page = (
        TestClient(create_app(watched, Observer(watched)), base_url=HUB)
        .get("/docs/dictionary/")
        .text
    )
    for table in ("silver.patient", "gold.encounter_summary", "marts.condition_prevalence"):
        assert f'<h3 id="{table}">' in page
        assert f'href="#{table}"' in page
    assert "<td>" in page


def test_a_service_that_is_down_is_no_link(
    watched: Settings, engine: Engine, store: ObjectStore, services: Services
) -> None:
    services.superset_status = 503
    observer = Observer(watched)
    observe(observer)
    page = TestClient(create_app(watched, observer), base_url=HUB).get("/").text
    assert 'href="http://localhost:3000"' in page
    assert 'href="http://localhost:8088"' not in page


def test_dashboards_that_were_never_set_up_are_not_missed(
    settings: Settings, engine: Engine, store: ObjectStore
) -> None:
    observer = Observer(settings)
    observe(observer)
    assert "Superset" not in TestClient(create_app(settings, observer), base_url=HUB).get("/").text
    (settings.home / "superset").mkdir()
    observe(observer)
    assert "Superset" in TestClient(create_app(settings, observer), base_url=HUB).get("/").text


def test_what_is_held_is_shown_with_its_rule_and_numbers(
    watched: Settings, engine: Engine, store: ObjectStore
) -> None:
    submission(watched, 1, "HELD")
    submission(watched, 2, "PUBLISHED")
    with psycopg.connect(watched.libpq_url("lakehouse")) as connection:
        for number in (1, 2):  # the second was released
            connection.execute(
                "insert into submission_hold (submission_id, layer, table_name, rule, observed,"
                " expected, message, status)"
                " values (%s, 'silver', 'patient', %s, '{}', 'e', '40 of 41 break it', %s)",
                [
                    f"20260131T1015{number:05d}-a1b2c3",
                    f"rule_{number}",
                    "held" if number == 1 else "released",
                ],
            )
    observer = Observer(watched)
    observe(observer)
    page = TestClient(create_app(watched, observer), base_url=HUB).get("/").text
    assert "Held submissions" in page
    assert "silver.patient rule_1" in page
    assert "40 of 41 break it" in page
    assert "rule_2" not in page
