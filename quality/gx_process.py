"""The process that Great Expectations runs in: ``python -m quality.gx_process [--listen DESCRIPTOR]``.

Importing Great Expectations takes six seconds of processor time, so it is done beside the work that
comes before the checks. Requests come as lines of JSON on standard input, answers go to standard
output; with ``--listen`` they come and go over connections to a socket, until standard input ends. When
no request has come for a while, and at the end of input, the Data Docs site is brought up to date.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
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


@dataclass(frozen=True)
class _Asked:
    """A line that came, and where its answer goes."""

    line: bytes
    answer: Callable[[bytes], object]


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--listen"]:
        asked = _asked_by_connections(socket.socket(fileno=int(arguments[1])))
    else:
        asked = _asked_by_pipe()
    logging.basicConfig(level=logging.WARNING)
    quiet_libraries()
    unshown: set[Path] = set()
    for one in asked:
        if one is None:
            _build_sites(unshown)
            continue
        try:
            answer = _answer_or_again(json.loads(one.line), unshown)
        except QualityError as error:
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001  (the parent raises it as its own)
            answer = {"error": _kind_and_place(error)}
        one.answer(json.dumps(answer).encode() + b"\n")
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
    if request["do"] == "ready":
        return {}
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


def _asked_by_pipe() -> Iterator[_Asked | None]:
    """Lines of standard input; ``None`` when none has come for a while; ends with the input."""
    # Answers go out on a descriptor of their own: a library that prints must not disturb them.
    answers = os.dup(1)
    os.dup2(2, 1)
    pending = b""
    idle = False
    while True:
        ready, _, _ = select.select([0], [], [], None if idle else _IDLE_SECONDS)
        if not ready:
            idle = True
            yield None
            continue
        idle = False
        chunk = os.read(0, 1 << 16)
        if not chunk:
            return
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            yield _Asked(line, partial(_write_all, answers))


def _asked_by_connections(listener: socket.socket) -> Iterator[_Asked | None]:
    """Lines of all who connect, as above; ends with standard input, whose other end the service holds."""
    place = Path(listener.getsockname())
    pending: dict[socket.socket, bytes] = {}
    idle = False
    while True:
        ready, _, _ = select.select(
            [0, listener, *pending], [], [], None if idle else _IDLE_SECONDS
        )
        idle = not ready
        if not ready:
            yield None
        if 0 in ready:
            shutil.rmtree(place.parent)
            return
        if listener in ready:
            pending[listener.accept()[0]] = b""
        for connection in [one for one in pending if one in ready]:
            chunk = _received(connection)
            if not chunk:
                del pending[connection]
                connection.close()
                continue
            *lines, pending[connection] = (pending[connection] + chunk).split(b"\n")
            for line in lines:
                yield _Asked(line, partial(_send_all, connection))


def _received(connection: socket.socket) -> bytes:
    """What came; nothing where the other side is gone."""
    try:
        return connection.recv(1 << 16)
    except ConnectionError:
        return b""


def _send_all(connection: socket.socket, line: bytes) -> None:
    try:
        connection.sendall(line)
    except ConnectionError:
        _LOG.info("Somebody left before the answer.")


def _write_all(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]


if __name__ == "__main__":
    main(sys.argv[1:])
