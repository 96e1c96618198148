"""One-shot set-up of Postgres roles for a server that is shared: one role per service.

Runs as the server's superuser, which no service uses afterwards. Each role owns or reads only what
is its own; nobody may connect to a database by default. Passwords are set anew each time, so that
changing one in ``.env`` and starting again is all it takes. Each is handed to its service after that:
what a service reads always opens its database.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from installation import databases, secrets
from lakehouse.errors import ConfigurationError, LakehouseError
from lakehouse.settings import DatabaseName, Settings, load_settings


@dataclass(frozen=True)
class Role:
    """A login: which databases it owns, which it may only connect to."""

    name: str
    password_name: str
    owns: tuple[DatabaseName, ...] = ()
    connects: tuple[DatabaseName, ...] = ()


ROLES = (
    Role("lakehouse", "LAKEHOUSE_DB_PASSWORD", owns=("lakehouse", "ducklake", "marts")),
    Role("dagster", "DAGSTER_DB_PASSWORD", owns=("dagster",)),
    Role("superset", "SUPERSET_DB_PASSWORD", owns=("superset",)),
    Role(databases.READER_ROLE, "BI_READER_PASSWORD", connects=("lakehouse", "marts")),
)


def set_up(settings: Settings, passwords: Mapping[str, str]) -> None:
    """Make databases and roles; ``passwords`` by role name.

    Raises :class:`ConfigurationError` when the server refuses.
    """
    databases.ensure(settings)
    try:
        with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
            for role in ROLES:
                _ensure_role(connection, role.name, passwords[role.name])
            for role in ROLES:
                for database in role.owns:
                    _give_database(connection, settings.database_prefix + database, role.name)
                for database in role.connects:
                    _allow_connect(connection, settings.database_prefix + database, role.name)
            # The platform's own set-up looks there which databases exist.
            _allow_connect(connection, "postgres", "lakehouse", revoke=True)
            reader = sql.Identifier(databases.READER_ROLE)
            for setting in ("default_transaction_read_only = on", "statement_timeout = '60s'"):
                connection.execute(sql.SQL("alter role {} set " + setting).format(reader))
    except psycopg.Error as error:
        raise ConfigurationError(
            f"Postgres refused the set-up of roles: {type(error).__name__}.",
            hint="Check POSTGRES_ADMIN_PASSWORD; a server keeps the one it was first started with.",
        ) from error


def renew_administrator(settings: Settings, former: str | None) -> bool:
    """Give the superuser the password there is now, with the one before it; whether that was needed.

    A server keeps the password it was first started with, so a new one is set from here.
    """
    password = settings.postgres_password.get_secret_value() if settings.postgres_password else ""
    if former is None or not settings.postgres_url or _opens(settings.libpq_url("postgres")):
        return False
    with psycopg.connect(
        settings.libpq_url("postgres"), password=former, autocommit=True
    ) as connection:
        connection.execute(
            sql.SQL("alter role current_user password {}").format(sql.Literal(password))
        )
    return True


def _opens(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _ensure_role(
    connection: psycopg.Connection[tuple[object, ...]], name: str, password: str
) -> None:
    known = connection.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone()
    verb = "alter" if known else "create"
    connection.execute(
        sql.SQL(
            verb + " role {} login nosuperuser nocreatedb nocreaterole noreplication password {}"
        ).format(sql.Identifier(name), sql.Literal(password))
    )


def _give_database(
    connection: psycopg.Connection[tuple[object, ...]], database: str, owner: str
) -> None:
    names = {"database": sql.Identifier(database), "owner": sql.Identifier(owner)}
    connection.execute(sql.SQL("alter database {database} owner to {owner}").format(**names))
    connection.execute(sql.SQL("revoke all on database {database} from public").format(**names))


def _allow_connect(
    connection: psycopg.Connection[tuple[object, ...]],
    database: str,
    role: str,
    *,
    revoke: bool = False,
) -> None:
    names = {"database": sql.Identifier(database), "role": sql.Identifier(role)}
    if revoke:
        connection.execute(sql.SQL("revoke all on database {database} from public").format(**names))
    connection.execute(sql.SQL("grant connect on database {database} to {role}").format(**names))


if __name__ == "__main__":
    try:
        settings = load_settings()
        if renew_administrator(settings, secrets.former("POSTGRES_PASSWORD", os.environ)):
            sys.stdout.write("databases: the superuser has its new password\n")
        passwords = {
            role.password_name: secrets.read(role.password_name, os.environ) for role in ROLES
        }
        set_up(settings, {role.name: passwords[role.password_name] for role in ROLES})
        secrets.hand_out(Path(os.environ["KEYS_FOLDER"]), passwords)
        sys.stdout.write(f"databases: {len(ROLES)} roles\n")
    except LakehouseError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
