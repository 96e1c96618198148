"""A Nightscout site as its documentation describes it: API v3 and API v1 over the same documents.

v3 writes ``identifier``, ``srvCreated`` and ``srvModified``, deletes by ``isValid: false``, and its history has only
what it wrote; v1 writes ``_id`` alone, returns what v3 deleted, and deletes for good.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ACCESS_TOKEN = "reader-0123456789abcdef"
Document = dict[str, Any]


@dataclass
class NightscoutServer:
    """The documents, and what the server does wrong: answers of status and headers that come before the right ones."""

    url: str = ""
    documents: dict[str, list[Document]] = field(
        default_factory=lambda: {"entries": [], "treatments": []}
    )
    clock_ms: int = 1_770_000_000_000
    page: int = 3
    has_v3: bool = True
    failures: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    #: The request, counted from now, that gets HTTP 500 for good.
    fails_from: int | None = None
    asked: list[str] = field(default_factory=list)

    def write_v3(self, collection: str, identifier: str, **content: Any) -> None:
        self.clock_ms += 1000
        found = self._find(collection, identifier)
        if found is None:
            found = {
                "_id": f"oid-{identifier}",
                "identifier": identifier,
                "srvCreated": self.clock_ms,
            }
            self.documents[collection].append(found)
        found.update(content, srvModified=self.clock_ms, isValid=True)

    def delete_v3(self, collection: str, identifier: str) -> None:
        self.clock_ms += 1000
        found = self._find(collection, identifier)
        assert found is not None
        found.update(isValid=False, srvModified=self.clock_ms)

    def write_v1(self, collection: str, _id: str, **content: Any) -> None:
        found = self._find(collection, _id)
        if found is None:
            found = {"_id": _id}
            self.documents[collection].append(found)
        found.update(content)

    def delete_v1(self, collection: str, _id: str) -> None:
        self.documents[collection] = [
            one for one in self.documents[collection] if one["_id"] != _id
        ]

    def _find(self, collection: str, name: str) -> Document | None:
        documents = self.documents[collection]
        return next((one for one in documents if name in (one["_id"], one.get("identifier"))), None)

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        self.asked.append(path)
        if self.failures:
            status, more = self.failures.pop(0)
            return status, more, {"status": status}
        if self.fails_from is not None:
            self.fails_from -= 1
            if self.fails_from < 0:
                return 500, {}, {"status": 500}
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        steps = parts.path.strip("/").split("/")
        if steps[:4] == ["api", "v2", "authorization", "request"]:
            known = steps[4] == ACCESS_TOKEN
            return (200, {}, {"token": "jwt"}) if known else (401, {}, {"status": 401})
        if headers.get("authorization") != "Bearer jwt":
            return 401, {}, {"status": 401}
        if steps[:2] == ["api", "v3"] and self.has_v3:
            return 200, {}, {"status": 200, "result": self._v3(steps[2:], query)}
        if steps[:2] == ["api", "v1"]:
            return 200, {}, self._v1(steps[2].removesuffix(".json"), query)
        return 404, {}, {"status": 404}

    def _v3(self, steps: list[str], query: dict[str, str]) -> list[Document]:
        documents = self.documents[steps[0]]
        if steps[1:2] == ["history"]:
            later = [one for one in documents if one.get("srvModified", 0) > int(steps[2])]
            found = sorted(later, key=lambda one: one["srvModified"])
        else:
            found = [one for one in documents if one.get("isValid") is not False]
        shown = [{"identifier": one["_id"], **one} for one in found]
        return [{k: v for k, v in one.items() if k != "_id"} for one in shown][: self.page]

    def _v1(self, collection: str, query: dict[str, str]) -> list[Document]:
        def is_asked(one: Document) -> bool:
            if collection == "entries":
                start, end = (int(query[f"find[date][{edge}]"]) for edge in ("$gte", "$lt"))
                return bool(start <= one["date"] < end)
            start_text, end_text = (query[f"find[created_at][{edge}]"] for edge in ("$gte", "$lt"))
            return bool(start_text <= one["created_at"] < end_text)

        found = [one for one in self.documents[collection] if is_asked(one)]
        return found[: int(query.get("count", 10))]


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@contextmanager
def nightscout_server() -> Iterator[NightscoutServer]:
    site = NightscoutServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, more, content = site.answer(
                self.path, {name.lower(): value for name, value in self.headers.items()}
            )
            body = json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: what is asked is looked at in ``asked``."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
