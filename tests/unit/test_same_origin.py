"""Which requests get through to a page, header by header."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from lakehouse.same_origin import FOREIGN, SameOrigin

OWN = "http://localhost:3000"
SOCKET = "ws://localhost:3000/"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.send_text("open")
        await socket.close()
        return
    await PlainTextResponse(Request(scope).method)(scope, receive, send)


def acts(path: str, headers: Headers) -> bool:
    return path == "/act" and headers.get("accept") != "text/html"


@pytest.fixture
def client() -> TestClient:
    return TestClient(SameOrigin(application, ["lake.example", "fd00::7"], acts), base_url=OWN)


def status(client: TestClient, method: str = "POST", path: str = "/", **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(method, path, headers=named).status_code


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:3000",
        "127.0.0.1:1",
        "[::1]:3000",
        "lake.example",
        "lake.example.:8443",
        "[fd00::7]",
    ],
)
def test_the_page_answers_under_its_own_names(client: TestClient, host: str) -> None:
    assert status(client, host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "elsewhere.example",
        "localhost.elsewhere.example",
        "",
        "127.0.0.2",
        "[",
        "user@elsewhere.example",
    ],
)
def test_under_any_other_name_it_says_which_setting_to_change(
    client: TestClient, host: str
) -> None:
    for method in ("GET", "POST"):
        assert status(client, method, host=host) == 421
    assert "ALLOWED_HOSTS" in client.get("/", headers={"host": host}).text


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:3000", OWN),
        ("lake.example:3443", "https://lake.example:3443"),
        ("lake.example", "https://lake.example"),
        ("lake.example:443", "https://lake.example"),
    ],
)
def test_its_own_pages_act_also_behind_a_proxy_that_ends_tls(
    client: TestClient, host: str, origin: str
) -> None:
    assert status(client, host=host, origin=origin, sec_fetch_site="same-origin") == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://elsewhere.example",
        "http://localhost:8088",
        "http://127.0.0.1:3000",
        "null",
        "",
        "file://",
        "http://[",
    ],
)
def test_another_origin_is_refused_by_every_method(client: TestClient, origin: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"):
        assert status(client, method, origin=origin) == 403
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect(SOCKET, headers={"origin": origin}),
    ):
        pass
    assert (refused.value.code, refused.value.reason) == (1008, FOREIGN.text.split("\n")[0])


def test_what_the_browser_says_comes_from_elsewhere_is_refused_but_a_link_is_followed(
    client: TestClient,
) -> None:
    for site in ("cross-site", "same-site", "unheard-of"):
        assert status(client, sec_fetch_site=site) == 403
        assert status(client, "GET", sec_fetch_site=site, sec_fetch_mode="no-cors") == 403
        link = {"sec_fetch_site": site, "sec_fetch_mode": "navigate"}
        assert status(client, "GET", **link, sec_fetch_dest="document") == 200
        assert status(client, "GET", **link, sec_fetch_dest="iframe") == 403
        assert status(client, "POST", **link, sec_fetch_dest="document") == 403
    assert status(client, "GET", sec_fetch_site="none") == 200


def test_a_program_without_a_browsers_headers_is_answered(client: TestClient) -> None:
    assert status(client) == 200
    with client.websocket_connect(SOCKET) as socket:
        assert socket.receive_text() == "open"


def test_a_get_does_not_act(client: TestClient) -> None:
    assert status(client, "GET", "/act") == 405
    assert status(client, "HEAD", "/act") == 405
    assert status(client, "GET", "/act", accept="text/html") == 200
    assert status(client, "POST", "/act") == 200


def test_no_answer_may_be_framed_or_read_by_another_origin(client: TestClient) -> None:
    for answer in (client.get("/"), client.get("/", headers={"origin": "null"})):
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers
