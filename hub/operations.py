"""What the metadata database knows: latest submissions, what is held, failing rules, quarantine, freshness.

Reads the ``ops`` views only: they hold no file names and no identifiers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from lakehouse.settings import Settings

_SUBMISSIONS = """
    select submission.submission_id, submission.submitter, submission.file_type, submission.state,
           submission.file_count, submission.byte_count, submission.received_at,
           submission.published_at,
           coalesce(
               (select sum(quarantine_reason.records) from ops.quarantine_reason
                where quarantine_reason.submission_id = submission.submission_id), 0
           )::bigint as quarantined
    from ops.submission
    order by submission.submission_id desc
    limit 10
"""
_FAILED_CHECKS = """
    select layer, table_name, rule, column_name, severity, expected, message, checked_at
    from ops.failing_check
    order by severity, checked_at desc, layer, table_name, rule
    limit 12
"""
_HELD = """
    select submission_id, submitter, file_type, layer, table_name, rule, message, held_at
    from ops.held_submission
    order by held_at desc, submission_id desc, layer, table_name, rule
    limit 12
"""
_FRESHNESS = "select stage, newest_at, age_seconds from ops.freshness"
_STATES = "select state, count(*) as submissions from ops.submission group by state order by state"


@dataclass(frozen=True)
class Operations:
    """Rows as the views give them; empty where the database has none yet."""

    submissions: list[dict[str, Any]] = field(default_factory=list)
    failed_checks: list[dict[str, Any]] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)
    freshness: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None


async def read(settings: Settings) -> Operations:
    """The operations views now; ``problem`` says why where they cannot be read."""
    try:
        connection = await psycopg.AsyncConnection.connect(
            settings.libpq_url("lakehouse"), connect_timeout=3, row_factory=dict_row
        )
        async with connection:
            return Operations(
                submissions=await _rows(connection, _SUBMISSIONS),
                failed_checks=await _rows(connection, _FAILED_CHECKS),
                held=await _rows(connection, _HELD),
                freshness=await _rows(connection, _FRESHNESS),
                states=await _rows(connection, _STATES),
            )
    except psycopg.errors.UndefinedTable:
        return Operations(problem="The metadata database is not migrated yet.")
    except (psycopg.Error, OSError) as error:
        return Operations(problem=f"The metadata database cannot be read ({type(error).__name__}).")


async def _rows(
    connection: psycopg.AsyncConnection[dict[str, Any]], query: str
) -> list[dict[str, Any]]:
    cursor = await connection.execute(query.encode())
    return await cursor.fetchall()
