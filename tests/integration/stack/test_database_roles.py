"""Roles on a real server: each service reaches its own database and no other."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from installation import database_roles
from lakehouse.settings import DATABASES, Settings


@pytest.fixture
def served(settings: Settings) -> Iterator[Settings]:
    passwords = {role.name: f"password-of-{role.name}" for role in database_roles.ROLES}
    database_roles.set_up(settings, passwords)
    database_roles.set_up(settings, passwords)  # again: nothing to complain about
    yield settings
    with psycopg.connect(settings.libpq_url("postgres"), autocommit=True) as connection:
        connection.execute("grant connect on database postgres to public")
        for name in DATABASES:
            connection.execute(
                f'alter database "{settings.database_prefix}{name}" owner to postgres'
            )


def may_connect(settings: Settings, role: str) -> set[str]:
    with psycopg.connect(settings.libpq_url("postgres")) as connection:
        return {
            name
            for name in DATABASES
            if connection.execute(
                "select has_database_privilege(%s, %s, 'connect')",
                [role, settings.database_prefix + name],
            ).fetchone()
            == (True,)
        }


def test_each_role_reaches_only_its_own_databases(served: Settings) -> None:
    assert may_connect(served, "lakehouse") == {"lakehouse", "ducklake", "marts"}
    assert may_connect(served, "dagster") == {"dagster"}
    assert may_connect(served, "superset") == {"superset"}
    assert may_connect(served, "bi_reader") == {"lakehouse", "marts"}


def test_no_role_may_do_what_only_an_administrator_should(served: Settings) -> None:
    with psycopg.connect(served.libpq_url("postgres")) as connection:
        rows = connection.execute(
            "select rolname from pg_roles where rolname = any(%s)"
            " and (rolsuper or rolcreatedb or rolcreaterole or rolreplication)",
            [[role.name for role in database_roles.ROLES]],
        ).fetchall()
    assert rows == []


def test_the_reader_writes_nothing_by_default(served: Settings) -> None:
    with psycopg.connect(served.libpq_url("postgres")) as connection:
        row = connection.execute(
            "select rolconfig from pg_roles where rolname = 'bi_reader'"
        ).fetchone()
    assert row is not None
    assert "default_transaction_read_only=on" in row[0]


def test_an_owner_makes_schemas_in_its_database(served: Settings) -> None:
    with psycopg.connect(served.libpq_url("marts")) as connection:
        connection.execute("set role lakehouse")
        connection.execute("create schema marts_1")
        connection.execute("create table marts_1.t (n int)")
        connection.rollback()
