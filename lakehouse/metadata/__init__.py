"""The metadata database: submissions, audit trail, builds, check results, publishes.

Alembic owns the schema (``alembic/`` beside this package); the ORM models are its mirror.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from lakehouse.errors import ConfigurationError
from lakehouse.settings import Settings

#: ``alembic.ini`` of this project; it lies beside the package, not in the current folder.
ALEMBIC_INI = Path(__file__).resolve().parents[2] / "alembic.ini"
_GRANTS = Path(__file__).with_name("grants.sql")


def engine(settings: Settings) -> Engine:
    """Engine on database ``lakehouse`` (psycopg 3, timestamps in UTC).

    The caller owns it: make one per process and ``dispose()`` it at the end.
    """
    return create_engine(
        settings.database_url("lakehouse"),
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10, "options": "-c timezone=UTC"},
    )


def migrate(settings: Settings, *, revision: str = "head") -> None:
    """Bring database ``lakehouse`` to ``revision``.

    Safe to run from several processes at once (an advisory lock makes them take turns) and to run
    again. Raises :class:`ConfigurationError` when the server refuses.
    """
    from alembic.config import Config
    from sqlalchemy.exc import OperationalError

    from alembic import command

    configuration = Config(ALEMBIC_INI)
    connectable = engine(settings)
    try:
        with connectable.connect() as connection:
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, revision)
            connection.execute(text(_GRANTS.read_text(encoding="utf-8")))
            connection.commit()
    except OperationalError as error:
        raise ConfigurationError(
            f"The metadata database cannot be migrated: {type(error.orig).__name__}.",
            hint="Check POSTGRES_URL and POSTGRES_PASSWORD, and that the role owns the database.",
        ) from error
    finally:
        connectable.dispose()
