"""What is logged while a store is away: once a minute, in one line."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import psycopg2
import pytest

from lakehouse.outages import SECONDS, OncePerMinute

#: As Dagster's daemon logs it: the stack is a part of the message.
DATABASE = """Failed to add heartbeat:
sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server at "postgres" failed

Stack Trace:
  File "base.py", line 921, in __connect
    with util.safe_reraise():
"""
STORE = """Sensor daemon caught an error for sensor inbox
dagster._core.errors.SensorExecutionError: Error occurred during the execution of evaluation_fn

The above exception was caused by the following exception:
urllib3.exceptions.MaxRetryError: HTTPConnectionPool(host='minio', port=9000): Max retries exceeded
"""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock, caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
    logger = logging.getLogger("test.outages")
    outages = OncePerMinute(clock)
    logger.addFilter(outages)
    yield logger
    logger.removeFilter(outages)


def test_an_outage_is_one_line_a_minute_with_what_was_left_out(
    log: logging.Logger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        log.error(DATABASE)
    clock.now += SECONDS
    log.error(DATABASE)
    line = (
        "The database is away. Failed to add heartbeat: sqlalchemy.exc.OperationalError:"
        ' (psycopg2.OperationalError) connection to server at "postgres" failed'
    )
    assert [record.getMessage() for record in caplog.records] == [
        line,
        f"{line} (49 more like it since)",
    ]


def test_each_store_has_its_own_minute(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        log.error(DATABASE)
        log.error(STORE)
        log.warning("Retrying after connection broken by 'NameResolutionError(…)': /health-raw")
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("The database is away.")
    assert second == (
        "The object store is away. Sensor daemon caught an error for sensor inbox:"
        " urllib3.exceptions.MaxRetryError: HTTPConnectionPool(host='minio', port=9000): Max retries"
        " exceeded"
    )


def test_an_exception_that_comes_with_a_message_loses_its_stack_too(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    error = RuntimeError("no beat")
    error.__cause__ = psycopg2.OperationalError("server closed")
    for _ in range(2):
        log.error("caught an error", exc_info=error)
    (record,) = caplog.records
    assert record.getMessage() == (
        "The database is away. caught an error: psycopg2.OperationalError: server closed"
    )
    assert record.exc_info is None


def test_other_errors_are_logged_as_they_are(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        log.error("A step failed: psycopg2 is not at fault", exc_info=KeyError("column"))
    assert len(caplog.records) == 2
    assert all(record.exc_info for record in caplog.records)


def test_loggers_that_are_made_later_are_held_to_it_and_the_root_too() -> None:
    program = """
import logging
from lakehouse import outages
early = logging.getLogger("early")
outages.say_once_a_minute()
logging.basicConfig(format="%(name)s")
for name in ("early", "late", None):
    logging.getLogger(name).warning("(psycopg2.OperationalError) gone")
logging.getLogger("late").warning("something else")
"""
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stderr.split() == ["early", "late"]
