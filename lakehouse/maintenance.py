"""Keeping the lake small: compaction, snapshot expiry, removal of files nobody needs.

Nothing in DuckLake compacts itself. Everything here runs while the writers' locks of all layers are
held, so that no build or landing re-run is in the middle of a table.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

import duckdb

from lakehouse import lake
from lakehouse.errors import LakeError
from lakehouse.settings import Settings

#: A file is deleted only when it has been unused for longer than the longest reader may take.
_FILE_GRACE = timedelta(days=2)


@dataclass(frozen=True)
class MaintenanceReport:
    """Counts of what was done, and the seconds it took."""

    files_merged: int
    snapshots_expired: int
    files_removed: int
    seconds: float


def run(settings: Settings) -> MaintenanceReport:
    """Merge small files, expire snapshots older than SNAPSHOTS_KEPT_DAYS, remove unused files.

    Raises :class:`LakeError` when a step fails; the steps before it are kept.
    """
    started = time.monotonic()
    with lake.layer_lock(settings, *lake.LAYERS), lake.connect(settings) as connection:
        try:
            merged = len(
                connection.execute(f"call ducklake_merge_adjacent_files('{lake.LAKE}')").fetchall()
            )
            connection.execute(f"call ducklake_rewrite_data_files('{lake.LAKE}')")
            expired = connection.execute(
                f"call ducklake_expire_snapshots('{lake.LAKE}', older_than => now() - ?::interval)",
                [timedelta(days=settings.snapshots_kept_days)],
            ).fetchall()
            removed = connection.execute(
                f"call ducklake_cleanup_old_files('{lake.LAKE}', older_than => now() - ?::interval)",
                [_FILE_GRACE],
            ).fetchall()
            orphans = connection.execute(
                f"call ducklake_delete_orphaned_files('{lake.LAKE}', older_than => now() - ?::interval)",
                [_FILE_GRACE],
            ).fetchall()
        except duckdb.Error as error:
            raise LakeError(f"Maintenance of the lake failed: {error}") from error
    return MaintenanceReport(
        files_merged=merged,
        snapshots_expired=len(expired),
        files_removed=len(removed) + len(orphans),
        seconds=time.monotonic() - started,
    )
