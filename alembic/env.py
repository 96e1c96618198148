"""Alembic's entry point: runs migrations on the connection it is given, or on the settings' own."""

from __future__ import annotations

from sqlalchemy import Connection, text

from alembic import context
from installation import embedded
from lakehouse import metadata
from lakehouse.metadata.models import Base
from lakehouse.settings import load_settings


def run(connection: Connection) -> None:
    # Two processes may migrate at once: they take turns, and the second finds nothing to do.
    connection.execute(text("select pg_advisory_lock(hashtext('lakehouse.migrate'))"))
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_server_default=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(text("select pg_advisory_unlock(hashtext('lakehouse.migrate'))"))
        connection.commit()


given = context.config.attributes.get("connection")
if context.is_offline_mode():
    raise SystemExit("Offline SQL is not made here: migrations run on a live database.")
if given is not None:
    run(given)
else:
    engine = metadata.engine(embedded.ensure_running(load_settings()))
    with engine.connect() as own:
        run(own)
    engine.dispose()
