"""Whether the process behind a command line's run is still there.

Runs of the code location are known to it; a run that `lakehouse` executes in its own process is
known to nobody else, wherever that process is: this machine, another one, a container that is gone.
So the process holds a lock in Dagster's Postgres for as long as it lives, its runs carry the lock's
number, and whoever finds the lock free knows that the run died.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg

from lakehouse.progress import report
from lakehouse.settings import Settings

_TAG = "lakehouse/process"
_STARTED_BY = "lakehouse/started_by"
#: First half of the lock's key; the second half is the process's number.
_LOCK_SPACE = 0x4C4B5052
#: The lock of whoever does what is pending.
_WORK_SPACE = 0x4C4B5057
_NUMBER = 0

#: Tags of every run that a command line executes: who started it, and never to be started again
#: by the daemon, since the person at the terminal was told of the failure.
COMMAND_LINE_TAGS = {_STARTED_BY: "command line", "dagster/max_retries": "0"}


def _take_a_number() -> None:
    global _NUMBER
    _NUMBER = secrets.randbelow(2**31)
    COMMAND_LINE_TAGS[_TAG] = str(_NUMBER)


_take_a_number()
os.register_at_fork(after_in_child=_take_a_number)  # a fork is another process


@contextmanager
def present(postgres_url: str) -> Iterator[None]:
    """Hold this process's lock in Dagster's database (a libpq URL)."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        # Shared: one process may open the instance more than once.
        connection.execute("select pg_advisory_lock_shared(%s, %s)", [_LOCK_SPACE, _NUMBER])
        yield


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Be the only command line that does what is pending; waits for another one to end.

    Whoever waited finds out anew what is pending: mostly nothing. The inbox sensor keeps still
    meanwhile (:func:`is_command_line_at_work`).
    """
    postgres_url = os.environ.get("DAGSTER_POSTGRES_URL") or settings.libpq_url("dagster")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        taken = connection.execute("select pg_try_advisory_lock(%s, 0)", [_WORK_SPACE]).fetchone()
        if taken != (True,):
            report("waiting", "another command line", "does what is pending")
            connection.execute("select pg_advisory_lock(%s, 0)", [_WORK_SPACE])
        yield


def is_command_line_at_work(postgres_url: str) -> bool:
    """Whether some command line is inside :func:`alone`."""
    with psycopg.connect(postgres_url, autocommit=True, connect_timeout=10) as connection:
        return _is_locked(connection, _WORK_SPACE, 0)


def is_of_command_line(run: dg.DagsterRun) -> bool:
    """Whether a command line executed it, and can be asked for."""
    return run.tags.get(_TAG, "").isdigit()


def is_present(postgres_url: str, run: dg.DagsterRun) -> bool:
    """Whether the process that executes ``run`` lives (see :func:`is_of_command_line`)."""
    with psycopg.connect(postgres_url, autocommit=True, connect_timeout=10) as connection:
        return _held(connection, run)


def fail_abandoned(instance: dg.DagsterInstance, postgres_url: str) -> list[str]:
    """Mark runs failed whose command line died, and free their pools; gives their ids.

    Where a daemon is alive its run monitoring does the same; without one nobody else would, and the
    next run would wait for the dead one's place in a pool.
    """
    started = instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={_STARTED_BY: "command line"})
    )
    if not started:
        return []
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        gone = [run for run in started if is_of_command_line(run) and not _held(connection, run)]
    for run in gone:
        instance.report_run_failed(run, "The command line that executed this run ended.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in gone]


def _held(connection: psycopg.Connection[tuple[object, ...]], run: dg.DagsterRun) -> bool:
    return _is_locked(connection, _LOCK_SPACE, int(run.tags[_TAG]))


def _is_locked(connection: psycopg.Connection[tuple[object, ...]], space: int, number: int) -> bool:
    found = connection.execute(
        "select 1 from pg_locks where locktype = 'advisory' and granted and objsubid = 2"
        " and classid = %s::oid and objid = %s::oid"
        " and database = (select oid from pg_database where datname = current_database())",
        [space, number],
    ).fetchone()
    return found is not None
