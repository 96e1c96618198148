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
    from flask_appbuilder import Model
    from superset.utils.encrypt import EncryptedType, SecretsMigrator

    tables = Model.metadata.tables
    encrypted = {
        name: columns
        for name, table in tables.items()
        if (columns := {c.name: c.type for c in table.columns if isinstance(c.type, EncryptedType)})
    }
    if _opens_all(db, tables, encrypted):
        return False
    migrator = SecretsMigrator(previous_secret_key=former.read_text("utf-8").strip())
    # Superset 6.1 looks for encrypted columns where its models are not, and finds none.
    migrator.discover_encrypted_fields = lambda: encrypted
    migrator.run()
    return True


def _opens_all(db: Any, tables: Any, encrypted: dict[str, dict[str, Any]]) -> bool:
    """Whether the present key opens every encrypted value."""
    for table, columns in encrypted.items():
        stored = tables[table]
        try:
            found = db.session.execute(
                stored.select().with_only_columns(*map(stored.c.get, columns))
            )
            [tuple(row) for row in found]
        except ValueError:  # what the column's type says of bytes that its key does not open
            return False
    return True
