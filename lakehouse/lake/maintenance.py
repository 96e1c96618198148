"""Keeping the lake small: compaction, snapshot expiry, removal of files nobody needs.

Nothing in DuckLake compacts itself. Everything here runs while the writers' locks of all layers are
held, so that no build or landing re-run is in the middle of a table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import duckdb
import psycopg

from lakehouse import lake
from lakehouse.errors import LakeError
from lakehouse.lake import catalog
from lakehouse.settings import Settings

#: A file is deleted only when it has been unused for longer than the longest reader may take.
_FILE_GRACE = timedelta(days=2)


@dataclass(frozen=True)
class MaintenanceReport:
    """Counts of what was done, and the seconds it took."""

    files_rewritten: int
    files_merged: int
    snapshots_expired: int
    files_removed: int
    seconds: float


def run(settings: Settings) -> MaintenanceReport:
    """Take deleted rows out of the current files, merge small files, expire snapshots older than
    SNAPSHOTS_KEPT_DAYS, remove unused files of this installation.

    Raises :class:`LakeError` when a step fails; the steps before it are kept.
    """
    started = time.monotonic()
    with lake.layer_lock(settings, *lake.LAYERS), lake.connect(settings) as connection:
        with _step("taking out deleted rows"):
            # Any deleted row: by default only files that are nearly empty are rewritten, and what was
            # withdrawn or corrected would stay in the others. Such files are never merged either.
            rewritten = _call(connection, "rewrite_data_files", "delete_threshold => 0")
        with _step("merging small files"):
            merged = _call(connection, "merge_adjacent_files")
        with _step("expiring snapshots"):
            expired = _call(
                connection,
                "expire_snapshots",
                _older_than(timedelta(days=settings.snapshots_kept_days)),
            )
        with _step("removing unused files"):
            catalog.forget_files_of_others(settings)
            removed = _call(connection, "cleanup_old_files", _older_than(_FILE_GRACE))
            orphans = _call(connection, "delete_orphaned_files", _older_than(_FILE_GRACE))
        with _step("keeping text out of the catalog"):
            catalog.keep_text_out_of_catalog(settings)
    return MaintenanceReport(
        files_rewritten=rewritten,
        files_merged=merged,
        snapshots_expired=expired,
        files_removed=removed + orphans,
        seconds=time.monotonic() - started,
    )


def _call(connection: duckdb.DuckDBPyConnection, function: str, options: str = "") -> int:
    """Rows that one of DuckLake's maintenance functions tells of."""
    arguments = f"'{lake.LAKE}'" + (f", {options}" if options else "")
    return len(connection.execute(f"call ducklake_{function}({arguments})").fetchall())


def _older_than(age: timedelta) -> str:
    return f"older_than => now() - interval '{age.total_seconds():.0f} seconds'"


@contextmanager
def _step(words: str) -> Iterator[None]:
    """Tell what failed and how, without the error's text: it may quote a value or a path."""
    try:
        yield
    except (duckdb.Error, psycopg.Error) as error:
        raise LakeError(
            f"Maintenance of the lake failed at {words} ({type(error).__name__}).",
            hint="Nothing is lost; the next maintenance does it again. `lakehouse status` shows "
            "whether Postgres and the object store are up.",
        ) from None
