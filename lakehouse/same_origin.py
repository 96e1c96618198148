"""Which requests a web page of the platform answers: those of its own pages and of programs.

The pages have no login on this machine: whoever reaches the port may act. A browser reaches it too, on
behalf of any page that its user opens. This layer goes around a whole ASGI application and refuses
what a page of another origin sends, whatever the application would make of it:

- a request whose ``Host`` is not one of the names the page is served under (a foreign name that was
  made to point here);
- a request or WebSocket whose ``Origin`` is not this page;
- what the browser itself says comes from elsewhere (``Sec-Fetch-Site``), unless somebody follows a link
  to a page;
- a GET on which the application would act (``acts_on_get``): a link must not do anything.

Answers may not be put into a frame of another origin, nor read by one. Programs send none of these
headers except ``Host`` and are answered.

https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Names of this machine for itself: always allowed.
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

_READING: Final = frozenset({"GET", "HEAD"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_ANSWERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
}


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered: an HTTP status and a text for whoever reads it."""

    status: int
    text: str


MISDIRECTED: Final = Refusal(
    421,
    "This page is not served under the name in the address.\n"
    "Open it as localhost, or add the name to ALLOWED_HOSTS and start the service again.\n",
)
FOREIGN: Final = Refusal(
    403,
    "Refused: the request comes from a page of another origin.\n"
    "Open this address by itself. Behind a proxy: it has to pass the Host header on unchanged.\n",
)
READS_ONLY: Final = Refusal(405, "Refused: GET does not act here. Send a POST.\n")


class SameOrigin:
    """``app`` behind the rules of this module.

    ``names`` are host names, without port, that the page is served under besides the loopback ones;
    ``acts_on_get`` says of a reading request (path, headers) that ``app`` would act on it.
    """

    def __init__(
        self,
        app: ASGIApp,
        names: Iterable[str] = (),
        acts_on_get: Callable[[str, Headers], bool] | None = None,
    ) -> None:
        self._app = app
        self._names = frozenset(_host_name(name) for name in (*LOOPBACK, *names))
        self._acts = acts_on_get

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _guarded(send))
        elif scope["type"] == "http":
            answer = PlainTextResponse(refusal.text, refusal.status)
            await answer(scope, receive, _guarded(send))
        else:
            # Before it is accepted: the server answers the handshake with 403.
            await send(
                {"type": "websocket.close", "code": 1008, "reason": refusal.text.split("\n")[0]}
            )

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _host_name(hosts[0]) not in self._names:
            return MISDIRECTED
        if any(not _is_same(origin, hosts[0]) for origin in headers.getlist("origin")):
            return FOREIGN
        reads = scope["type"] == "http" and scope["method"] in _READING
        sites = set(headers.getlist("sec-fetch-site"))
        if not sites <= {"same-origin", "none"} and not (reads and _is_link(headers)):
            return FOREIGN
        if reads and self._acts is not None and self._acts(scope["path"], headers):
            return READS_ONLY
        return None


def _is_link(headers: Headers) -> bool:
    """Whether the browser opens the answer as a page of its own, in no frame."""
    return headers.getlist("sec-fetch-mode") == ["navigate"] and headers.getlist(
        "sec-fetch-dest"
    ) == ["document"]


def _is_same(origin: str, host: str) -> bool:
    """Whether an origin is the page at ``host``; a proxy may have ended TLS, so any scheme is."""
    try:
        parts, own = urlsplit(origin), urlsplit(f"//{host}")
        default = _DEFAULT_PORTS[parts.scheme]
        there, here = parts.port or default, own.port or default
    except (ValueError, KeyError):  # `null`, or none of the web's
        return False
    return parts.hostname is not None and (parts.hostname, there) == (own.hostname, here)


def _host_name(host: str) -> str:
    """The name in a Host header or a setting, without port and brackets; nothing where it is none."""
    text = host.strip()
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"  # an IPv6 address as a setting
    try:
        return (urlsplit(f"//{text}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _guarded(send: Send) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _ANSWERS.items():
                headers.setdefault(name, value)
        await send(message)

    return answer
