"""Views that have to be dropped and made again: everything about them that must be as before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from installation.databases import READER_ROLE
from publishing.marts_database import MartsDatabase, text


@dataclass(frozen=True)
class SavedView:
    """What must be put back after a view was dropped."""

    schema: str
    name: str
    definition: str
    owner: str
    options: tuple[str, ...]
    comment: str | None
    has_privileges: bool
    privileges: tuple[Any, ...]
    column_comments: tuple[Any, ...]

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @classmethod
    def read(cls, database: MartsDatabase, schema: str, name: str, oid: int) -> SavedView:
        # With an empty search path the definition names every relation in full.
        database.execute("set local search_path = ''")
        row = database.one(text("view_definition"), {"view": oid})
        view = cls(
            schema,
            name,
            row.definition.rstrip().removesuffix(";"),
            row.owner,
            tuple(row.options),
            row.comment,
            row.has_privileges,
            tuple(database.execute(text("view_privileges"), {"view": oid}).fetchall()),
            tuple(database.execute(text("column_comments"), {"view": oid}).fetchall()),
        )
        database.execute("set local search_path to default")
        return view

    def create(self, database: MartsDatabase) -> None:
        options = (
            sql.SQL(" with ({})").format(sql.SQL(", ").join(map(_option, self.options)))
            if self.options
            else sql.SQL("")
        )
        database.execute(
            sql.SQL("create view {}{} as {}").format(
                sql.Identifier(self.schema, self.name),
                options,
                sql.SQL(self.definition),
            )
        )
        names = {name for name, _ in database.columns(self.schema, self.name)}
        self.restore_extras(database, names)

    def restore_extras(self, database: MartsDatabase, columns: set[str]) -> None:
        """Privileges exactly as they were, owner and comments, for the ``columns`` there are."""
        view = sql.Identifier(self.schema, self.name)
        if self.has_privileges:
            self._restore_privileges(database, view, columns)
        if self.comment is not None:
            database.execute(
                sql.SQL("comment on view {} is {}").format(view, sql.Literal(self.comment))
            )
        for row in self.column_comments:
            if row.attname in columns:
                database.execute(
                    sql.SQL("comment on column {} is {}").format(
                        sql.Identifier(self.schema, self.name, row.attname),
                        sql.Literal(row.comment),
                    )
                )
        database.execute(
            sql.SQL("alter view {} owner to {}").format(view, sql.Identifier(self.owner))
        )

    def _restore_privileges(
        self, database: MartsDatabase, view: sql.Identifier, columns: set[str]
    ) -> None:
        # Default privileges may have granted what somebody had revoked.
        if database.reader_exists():
            database.execute(
                sql.SQL("revoke all on {} from {}").format(view, sql.Identifier(READER_ROLE))
            )
        for row in self.privileges:
            if row.column_name is not None and row.column_name not in columns:
                continue
            column = (
                sql.SQL(" ({})").format(sql.Identifier(row.column_name))
                if row.column_name is not None
                else sql.SQL("")
            )
            database.execute(
                sql.SQL("grant {}{} on {} to {}{}").format(
                    sql.SQL(row.privilege_type),
                    column,
                    view,
                    sql.SQL("public") if row.grantee is None else sql.Identifier(row.grantee),
                    sql.SQL(" with grant option" if row.is_grantable else ""),
                )
            )


def _option(option: str) -> sql.Composed:
    name, _, value = option.partition("=")
    return sql.SQL("{}={}").format(sql.Identifier(name), sql.Literal(value))
