"""What a process logs while the database or the object store is away: one line a minute for each.

Libraries log every attempt, and Dagster a stack of some hundred lines with it, several times a second: an
outage of an hour would push everything else out of the log. The line says what was tried, what the
cause is, and how many were left out since the one before.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SECONDS: Final = 60.0
_LONGEST_CAUSE: Final = 300
#: How errors of a store that cannot be reached read, in messages that hold whole stacks as well.
_KINDS: Final = {
    "the database": re.compile(r"\bpsycopg2?\.(OperationalError|InterfaceError|errors\.Admin\w+)"),
    "the object store": re.compile(
        r"\burllib3\.exceptions\.(MaxRetry|NewConnection|NameResolution|ConnectTimeout|Protocol)Error"
        r"|connection broken by '(NewConnection|NameResolution|ConnectTimeout|Protocol)"
        r"|\b(EndpointConnection|ConnectionClosed|ConnectTimeout)Error\b"
    ),
}


@dataclass
class _Said:
    at: float
    left_out: int = 0


class OncePerMinute(logging.Filter):
    """Lets through what is no outage; of an outage, one line a minute for each store."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[str, _Said] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        text = _text(record)
        for store, pattern in _KINDS.items():
            if found := pattern.search(text):
                return self._once(store, record, text, found)
        return True

    def _once(self, store: str, record: logging.LogRecord, text: str, found: re.Match[str]) -> bool:
        with self._lock:
            now, said = self._clock(), self._said.get(store)
            if said is not None and now - said.at < SECONDS:
                said.left_out += 1
                return False
            left_out = said.left_out if said else 0
            self._said[store] = _Said(now)
        start = text.rfind("\n", 0, found.start()) + 1
        cause = text[start:].split("\n", 1)[0].strip()[:_LONGEST_CAUSE]
        what = text.split("\n", 1)[0].strip()[:_LONGEST_CAUSE]
        what = what if what == cause else f"{what.removesuffix(':')}: {cause}"
        more = f" ({left_out} more like it since)" if left_out else ""
        record.msg, record.args = f"{store.capitalize()} is away. {what}{more}", ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def say_once_a_minute() -> None:
    """Hold every logger of this process to it, those that are made later too."""
    outages = OncePerMinute()

    class Logger(logging.Logger):
        def __init__(self, name: str, level: int = logging.NOTSET) -> None:
            super().__init__(name, level)
            self.addFilter(outages)

    logging.setLoggerClass(Logger)
    logging.getLogger().addFilter(outages)
    for logger in logging.getLogger().manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.addFilter(outages)


def _text(record: logging.LogRecord) -> str:
    """Message and exceptions, each exception as ``module.Class: words``."""
    lines = [record.getMessage()]
    error = record.exc_info[1] if record.exc_info else None
    while error is not None:
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}: {error}")
        error = error.__cause__ or error.__context__
    return "\n".join(lines)
