"""What people stored in Superset stays readable with a new SUPERSET_SECRET_KEY."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def renew(db: Any) -> bool:
    """Encrypt stored values (passwords of databases that people added) anew; whether that was needed.

    The key before the present one lies beside its file. Nothing is done where the present key opens every
    value: what it encrypted must never be read with the former one, which now and then "opens" it.
    """
    former = Path(os.environ.get("SUPERSET_SECRET_KEY_FILE", "") + ".former")
    if not former.is_file():
        return False
    from superset.utils.encrypt import SecretsMigrator

    migrator = SecretsMigrator(previous_secret_key=former.read_text("utf-8").strip())
    if _opens_all(db, migrator.discover_encrypted_fields()):
        return False
    migrator.run()
    return True


def _opens_all(db: Any, encrypted: dict[str, dict[str, Any]]) -> bool:
    """Whether the present key opens every encrypted value."""
    for table, columns in encrypted.items():
        stored = db.metadata.tables[table]
        try:
            found = db.session.execute(
                stored.select().with_only_columns(*map(stored.c.get, columns))
            )
            [tuple(row) for row in found]
        except ValueError:  # what the column's type says of bytes that its key does not open
            return False
    return True
