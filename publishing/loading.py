"""Rows of the lake's marts into tables of a publication's schema, with their indexes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb
import yaml
from psycopg import sql

from lakehouse.errors import PublishError
from lakehouse.lake import LAKE
from lakehouse.quoting import identifier, literal
from lakehouse.settings import Settings
from publishing.marts_database import MartsDatabase

_ATTACHED = "publish_target"


@dataclass(frozen=True)
class Indexes:
    """Which columns of published marts are indexed (``indexes.yml``)."""

    minimum_rows: int
    columns: tuple[str, ...]
    tables: Mapping[str, tuple[tuple[str, ...], ...]]

    def of(self, table: str, columns: Sequence[str], rows: int) -> list[tuple[str, ...]]:
        """Column lists to index in ``table``."""
        if rows < self.minimum_rows:
            return []
        single = [(column,) for column in self.columns if column in columns]
        listed = [index for index in self.tables.get(table, ()) if set(index) <= set(columns)]
        return single + [index for index in listed if index not in single]


@cache
def indexes() -> Indexes:
    document = yaml.safe_load(Path(__file__).with_name("indexes.yml").read_text(encoding="utf-8"))
    return Indexes(
        minimum_rows=int(document["minimum_rows"]),
        columns=tuple(document["columns"]),
        tables={
            table: tuple(tuple(columns) for columns in lists)
            for table, lists in document["tables"].items()
        },
    )


@contextmanager
def attached(lake: duckdb.DuckDBPyConnection, settings: Settings) -> Iterator[None]:
    """The marts database within the lake's DuckDB. Raises :class:`PublishError`."""
    dsn = literal(settings.libpq_dsn("marts"))
    try:
        lake.execute(f"attach {dsn} as {_ATTACHED} (type postgres)")
    except duckdb.Error as error:
        # The text of the error may hold the connection string.
        raise PublishError(
            f"DuckDB cannot connect to the marts database ({type(error).__name__})."
        ) from None
    try:
        # Postgres has no text with NUL in it; without this the whole load would stop.
        lake.execute("set pg_null_byte_replacement = ''")
        yield
    finally:
        lake.execute(f"detach {_ATTACHED}")


def copy(
    lake: duckdb.DuckDBPyConnection,
    database: MartsDatabase,
    schema: str,
    table: str,
    snapshot: int,
) -> None:
    """Copy a mart as it was at ``snapshot`` into ``schema``, inside :func:`attached`.

    Raises :class:`PublishError` where a value has no place in Postgres.
    """
    source = f"{LAKE}.marts.{identifier(table)} at (version => {snapshot})"
    columns = [
        (name, kind)
        for name, kind in lake.execute(
            f"select column_name, column_type from (describe select * from {source})"
        ).fetchall()
    ]
    selected = ", ".join(_for_postgres(name, kind) for name, kind in columns)
    try:
        lake.execute(
            f"create table {_ATTACHED}.{schema}.{identifier(table)} as "
            f"select {selected} from {source}"
        )
    except duckdb.Error as error:
        # DuckDB quotes the value that it could not convert: it stays out of the message.
        raise PublishError(
            f"Mart {table} could not be copied ({type(error).__name__}).",
            hint="Look at its column types: " + ", ".join(f"{n} {k}" for n, k in columns) + ".",
        ) from None
    documents = [name for name, kind in columns if _is_document(kind)]
    if documents:
        database.execute(
            sql.SQL("alter table {} {}").format(
                sql.Identifier(schema, table),
                sql.SQL(", ").join(
                    sql.SQL("alter column {0} type jsonb using {0}::jsonb").format(
                        sql.Identifier(name)
                    )
                    for name in documents
                ),
            )
        )


def index(database: MartsDatabase, schema: str, table: str, rows: int) -> None:
    """Make the indexes that ``indexes.yml`` lists for a table of so many rows."""
    columns = [name for name, _ in database.columns(schema, table)]
    for listed in indexes().of(table, columns, rows):
        database.execute(
            sql.SQL("create index on {} ({})").format(
                sql.Identifier(schema, table),
                sql.SQL(", ").join(sql.Identifier(column) for column in listed),
            )
        )


def _for_postgres(name: str, kind: str) -> str:
    """The column as an expression whose type Postgres has; values stay what they are."""
    column = identifier(name)
    if kind in ("HUGEINT", "UHUGEINT", "UBIGINT"):
        # Sums of counts are HUGEINT; the extension would make them floating point.
        return f"{column}::bigint as {column}"
    if _is_document(kind) and kind != "JSON":
        return f"to_json({column}) as {column}"
    if kind.startswith("ENUM"):
        return f"{column}::varchar as {column}"
    if kind in ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"):
        return f"{column}::timestamp as {column}"
    return column


def _is_document(kind: str) -> bool:
    """Types that become jsonb: JSON and everything with named parts."""
    return kind == "JSON" or kind.startswith(("STRUCT", "MAP", "UNION"))
