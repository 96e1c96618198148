"""Databases and roles of the one Postgres server: one database per concern, one role per service.

Run by the no-Docker mode at start and by the compose stack's one-shot job. Everything is
idempotent; passwords are set only where they are given.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from lakehouse.errors import ConfigurationError
from lakehouse.settings import DATABASES, Settings

#: Reads published marts and the operations views, nothing else. Superset connects as this role.
READER_ROLE = "bi_reader"


def ensure(settings: Settings) -> None:
    """Create the databases and the read-only role where they are missing.

    Raises :class:`ConfigurationError` when the server cannot be reached or refuses.
    """
    try:
        with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
            # Two processes may start at once: CREATE DATABASE has no IF NOT EXISTS.
            connection.execute("select pg_advisory_lock(hashtext('lakehouse.databases'))")
            existing = {row[0] for row in connection.execute("select datname from pg_database")}
            for name in DATABASES:
                database = settings.database_prefix + name
                if database not in existing:
                    connection.execute(
                        sql.SQL("create database {}").format(sql.Identifier(database))
                    )
                    if name == "dagster":
                        # Hundreds of small event rows a run. A crash of the machine may lose the
                        # last moments of a run's log; no data and no state depends on it.
                        connection.execute(
                            sql.SQL("alter database {} set synchronous_commit = off").format(
                                sql.Identifier(database)
                            )
                        )
            _set_utc(connection, settings)
            role = connection.execute(
                "select 1 from pg_roles where rolname = %s", [READER_ROLE]
            ).fetchone()
            if role is None:
                connection.execute(
                    sql.SQL("create role {} nologin").format(sql.Identifier(READER_ROLE))
                )
    except psycopg.Error as error:
        raise ConfigurationError(
            f"Postgres refused the set-up of databases: {type(error).__name__}.",
            hint="Check POSTGRES_URL and POSTGRES_PASSWORD, and that the role may create databases.",
        ) from error


def _set_utc(connection: psycopg.Connection[tuple[object, ...]], settings: Settings) -> None:
    """Sessions of the platform's databases are in UTC, whoever opens them and wherever the server is.

    Else a day or month in a dashboard is the server's, and not that of the lake.
    """
    utc = {
        row[0]
        for row in connection.execute(
            "select d.datname from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase"
            " where s.setrole = 0 and 'TimeZone=UTC' = any(s.setconfig)"
        )
    }
    for name in DATABASES:
        database = settings.database_prefix + name
        if database not in utc:
            connection.execute(
                sql.SQL("alter database {} set timezone = 'UTC'").format(sql.Identifier(database))
            )
