"""The process that Great Expectations runs in: ``python -m quality.gx_process``.

Importing Great Expectations takes six seconds of processor time, so it is done beside the work that
comes before the checks. Requests come as lines of JSON on standard input, answers go to standard
output. When no request has come for a while, and at the end of input, the Data Docs site is brought up
to date.
"""

from __future__ import annotations

import json
import logging
import os
import select
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


def main() -> None:
    # Answers go out on a descriptor of their own: a library that prints must not disturb them.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.basicConfig(level=logging.WARNING)
    quiet_libraries()
    unshown: set[Path] = set()
    for line in _lines():
        if line is None:
            _build_sites(unshown)
            continue
        request = json.loads(line)
        try:
            answer = _answer_or_again(request, unshown)
        except QualityError as error:
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001  (the parent raises it as its own)
            answer = {"error": _kind_and_place(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
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


def _lines() -> Iterator[str | None]:
    """Lines of standard input; ``None`` when none has come for a while; ends with the input."""
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
        yield from (line.decode() for line in lines)


if __name__ == "__main__":
    main()
