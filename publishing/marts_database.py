"""The database of the marts: statements, and what its catalog says."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from installation.databases import READER_ROLE
from lakehouse.errors import PublishError
from lakehouse.settings import Settings

Query = str | sql.SQL | sql.Composed
_FOLDER = Path(__file__).parent


class MartsDatabase:
    """One connection to the database ``marts``. Errors are those of psycopg."""

    def __init__(self, settings: Settings) -> None:
        """Raises :class:`PublishError` when the database cannot be reached."""
        try:
            self.connection = psycopg.connect(
                settings.libpq_url("marts"), autocommit=True, row_factory=namedtuple_row
            )
        except psycopg.Error as error:
            raise PublishError(
                f"The marts database cannot be reached ({type(error).__name__}).",
                hint="Check that Postgres is up and that the databases exist: `lakehouse status`.",
            ) from error

    def execute(self, query: Query, parameters: Any = None) -> psycopg.Cursor[Any]:
        if isinstance(query, str):
            query = sql.SQL(query)
        return self.connection.execute(query, parameters)

    def one(self, query: Query, parameters: Any = None) -> Any:
        """The one row of an answer. Raises :class:`PublishError` where there is none."""
        row = self.execute(query, parameters).fetchone()
        if row is None:
            raise PublishError("The marts database gave no answer where one row was due.")
        return row

    def tables(self, schema: str) -> list[str]:
        rows = self.execute(
            "select tablename from pg_tables where schemaname = %s order by tablename", [schema]
        )
        return [row.tablename for row in rows]

    def columns(self, schema: str, relation: str) -> list[tuple[str, str]]:
        """Name and type of each column, in order."""
        name = sql.Identifier(schema, relation).as_string(self.connection)
        rows = self.execute(text("columns"), {"relation": name}).fetchall()
        return [(row.attname, row.type) for row in rows]

    def reader_exists(self) -> bool:
        return bool(self.one("select count(*) from pg_roles where rolname = %s", [READER_ROLE])[0])


@cache
def text(name: str) -> str:
    """The statement in ``sql/<name>.sql``."""
    return (_FOLDER / "sql" / f"{name}.sql").read_text(encoding="utf-8")
