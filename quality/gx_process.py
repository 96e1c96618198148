"""The process that Great Expectations runs in: ``python -m quality.gx_process [--answer | --listen DESCRIPTOR]``.

Importing Great Expectations takes six seconds of processor time, so it is done beside the work that
comes before the checks. Requests and answers are lines of JSON, over the socket that it inherits as
DESCRIPTOR or over those that connect to it, until standard input ends. When no request has come for a
while, and at the end, the Data Docs site is brought up to date.
"""

from __future__ import annotations

import json
import logging
import select
import shutil
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lakehouse.errors import QualityError
from lakehouse.privacy import quiet_libraries
from quality import expectations
from quality.suites import Rule, Suite

_LOG = logging.getLogger("quality")

#: How long to wait for another request before the site is built: longer than from one layer's checks
#: to the next, so that the site does not take the processor from the work it reports on.
_IDLE_SECONDS = 5.0


def main(arguments: list[str]) -> None:
    way, *numbers = arguments or [""]
    ends = [socket.socket(fileno=int(number)) for number in numbers]
    listeners, connections = (ends, []) if way == "--listen" else ([], ends)
    logging.basicConfig(level=logging.WARNING)
    quiet_libraries()
    unshown: set[Path] = set()
    for asked in _asked(listeners, connections):
        if asked is None:
            _build_sites(unshown)
            continue
        connection, line = asked
        try:
            answer = _answer_or_again(json.loads(line), unshown)
        except QualityError as error:
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001  (the parent raises it as its own)
            answer = {"error": _kind_and_place(error)}
        _send(connection, json.dumps(answer).encode() + b"\n")
    _build_sites(unshown)


def _answer_or_again(request: dict[str, Any], unshown: set[Path]) -> dict[str, Any]:
    """The answer; where Great Expectations stumbles over its own files, with new ones."""
    try:
        return _answer(request, unshown)
    except QualityError:
        raise
    except Exception:  # noqa: BLE001  (what a half-written file raises depends on the file)
        home = Path(request["home"])
        with expectations.alone(home):
            expectations.start_anew(home)
        return _answer(request, unshown)


def _answer(request: dict[str, Any], unshown: set[Path]) -> dict[str, Any]:
    home = Path(request["home"])
    if request["do"] == "build site":
        unshown.discard(home)
        with expectations.alone(home):
            return {"pages": expectations.build_site(home)}
    results: dict[str, Any] = {}
    with expectations.alone(home):
        for item in request["suites"]:
            suite = _suite(item["suite"])
            if suite.database == "marts":
                results[suite.table] = expectations.validate_published(
                    home, suite, request["url"], request["schema"], request["run_name"]
                )
            else:
                results[suite.table] = expectations.validate_facts(
                    home, suite, item["values"], request["run_name"]
                )
    unshown.add(home)
    return {"results": results}


def _suite(data: dict[str, Any]) -> Suite:
    rules = tuple(
        Rule(
            **{
                **rule,
                "columns": tuple(rule["columns"]),
                "values": tuple(rule["values"]),
            }
        )
        for rule in data["rules"]
    )
    return Suite(**{**data, "rules": rules})


def _build_sites(unshown: set[Path]) -> None:
    """Complete the sites of these homes. Nobody waits for this, so a failure is only logged; the next
    build finds what is missing."""
    while unshown:
        home = unshown.pop()
        if not home.exists():
            continue
        try:
            with expectations.alone(home):
                expectations.build_site(home)
        except Exception as error:  # noqa: BLE001
            _LOG.warning("Data Docs could not be completed: %s", _kind_and_place(error))


def _kind_and_place(error: Exception) -> str:
    """What went wrong and where; not the error's text, which may quote a value or the connection."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"


def _asked(
    listeners: list[socket.socket], connections: list[socket.socket]
) -> Iterator[tuple[socket.socket, bytes] | None]:
    """Lines with the connection they came by; ``None`` when none has come for a while.

    Ends with standard input, whose other end is held by who started this process.
    """
    pending = dict.fromkeys(connections, b"")
    idle = False
    while True:
        ready, _, _ = select.select(
            [0, *listeners, *pending], [], [], None if idle else _IDLE_SECONDS
        )
        idle = not ready
        if not ready:
            yield None
        if 0 in ready:
            for listener in listeners:
                shutil.rmtree(Path(listener.getsockname()).parent)
            return
        for listener in [one for one in listeners if one in ready]:
            pending[listener.accept()[0]] = b""
        for connection in [one for one in pending if one in ready]:
            chunk = _received(connection)
            if not chunk:
                del pending[connection]
                connection.close()
                continue
            *lines, pending[connection] = (pending[connection] + chunk).split(b"\n")
            for line in lines:
                yield connection, line


def _received(connection: socket.socket) -> bytes:
    """What came; nothing where the other side is gone."""
    try:
        return connection.recv(1 << 16)
    except ConnectionError:
        return b""


def _send(connection: socket.socket, line: bytes) -> None:
    try:
        connection.sendall(line)
    except ConnectionError:
        _LOG.info("Somebody left before the answer.")


if __name__ == "__main__":
    main(sys.argv[1:])
