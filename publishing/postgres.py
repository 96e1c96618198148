"""Publishing to Postgres: one schema per publication, and the views that readers use.

Readers know schema ``marts`` only. Its views are re-pointed with ``create or replace view``, so
that grants and other people's views on them stay. Two dangers are met here:

- A reader whose snapshot is older than the new rows would see the new tables empty. So the views
  are re-pointed only after every older snapshot in the database is gone.
- Re-pointing locks the views. All locks are asked for in one statement that gives up well before
  Postgres looks for deadlocks (``deadlock_timeout``, one second), so it is never a reader that is
  cancelled, and no reader waits longer than that.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import duckdb
import psycopg
import yaml
from psycopg import sql
from psycopg.rows import namedtuple_row

from installation.databases import READER_ROLE
from lakehouse.errors import PublishError
from lakehouse.lake import LAKE
from lakehouse.quoting import identifier, literal
from lakehouse.settings import Settings
from publishing.target import Publication, Switch

P = ParamSpec("P")
T = TypeVar("T")

VIEWS = "marts"
#: One-row table of each publication: which publish, build and snapshot it is. Shown as a view too.
PUBLICATION = "publication"

_FOLDER = Path(__file__).parent
_LOCK = "lakehouse.publish"
#: Bound of one attempt to lock the views; below Postgres' deadlock_timeout of one second.
_ATTEMPT_MILLISECONDS = 400
_PAUSE_SECONDS = 0.05
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
    document = yaml.safe_load((_FOLDER / "indexes.yml").read_text(encoding="utf-8"))
    return Indexes(
        minimum_rows=int(document["minimum_rows"]),
        columns=tuple(document["columns"]),
        tables={
            table: tuple(tuple(columns) for columns in lists)
            for table, lists in document["tables"].items()
        },
    )


def _told(method: Callable[P, T]) -> Callable[P, T]:
    """Have what Postgres refuses told as a :class:`PublishError`, without any value in it."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except psycopg.Error as error:
            raise PublishError(
                f"The marts database refused or went away ({type(error).__name__}"
                + (f", SQLSTATE {error.sqlstate}" if error.sqlstate else "")
                + ").",
                hint="Look at the Postgres log, then publish again; readers still see the earlier "
                "publish.",
            ) from error

    return call


class PostgresTarget:
    """The database ``marts`` of the platform's Postgres server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        try:
            self._connection = psycopg.connect(
                settings.libpq_url("marts"), autocommit=True, row_factory=namedtuple_row
            )
        except psycopg.Error as error:
            raise PublishError(
                f"The marts database cannot be reached ({type(error).__name__}).",
                hint="Check that Postgres is up and that the databases exist: `lakehouse status`.",
            ) from error

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def exclusive(self, wait_seconds: float) -> Iterator[None]:
        deadline = time.monotonic() + wait_seconds
        while not self._one("select pg_try_advisory_lock(hashtext(%s))", [_LOCK])[0]:
            if time.monotonic() > deadline:
                raise PublishError(
                    f"Another publish has been running for more than {wait_seconds:.0f} s.",
                    hint="Wait for it, then publish again.",
                )
            time.sleep(_PAUSE_SECONDS)
        try:
            yield
        finally:
            if not self._connection.closed:
                self._execute("select pg_advisory_unlock(hashtext(%s))", [_LOCK])

    @_told
    def prepare(self) -> None:
        self._execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(VIEWS)))
        if self._reader_exists():
            names = {"schema": sql.Identifier(VIEWS), "role": sql.Identifier(READER_ROLE)}
            self._execute(sql.SQL("grant usage on schema {schema} to {role}").format(**names))
            self._execute(
                sql.SQL(
                    "alter default privileges in schema {schema} grant select on tables to {role}"
                ).format(**names)
            )

    @_told
    def current(self) -> Publication | None:
        views = self._managed_views()
        if not views:
            return None
        return self._publication(max(n for _, n in views.values()))

    @_told
    def present(self) -> list[int]:
        rows = self._execute("select nspname from pg_namespace where nspname ~ '^marts_[0-9]+$'")
        return sorted(int(row.nspname.removeprefix("marts_")) for row in rows)

    @_told
    def count(self, n: int) -> dict[str, int]:
        return {
            table: int(
                self._one(
                    sql.SQL("select count(*) from {}").format(sql.Identifier(f"marts_{n}", table))
                )[0]
            )
            for table in self._tables(n)
            if table != PUBLICATION
        }

    @_told
    def load(
        self,
        lake: duckdb.DuckDBPyConnection,
        publication: Publication,
        tables: Sequence[str],
        snapshot: int,
    ) -> dict[str, int]:
        if PUBLICATION in tables:
            raise PublishError(
                f"A mart is called {PUBLICATION}, which is the name of publishing's own table.",
                hint="Rename the dbt model.",
            )
        schema = publication.place
        self._execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        with self._attached(lake):
            for table in tables:
                self._copy(lake, publication, table, snapshot)
        return self.count(publication.n)

    @_told
    def complete(self, publication: Publication, counts: Mapping[str, int]) -> None:
        schema = publication.place
        self._execute("set maintenance_work_mem = '256MB'")  # indexes are sorted in memory
        for table, rows in counts.items():
            self._index(schema, table, rows)
            self._execute(sql.SQL("analyze {}").format(sql.Identifier(schema, table)))
        self._describe(publication)

    @_told
    def relabel(self, publication: Publication) -> None:
        self._execute(
            sql.SQL("update {} set build_id = %s, snapshot_id = %s").format(
                sql.Identifier(publication.place, PUBLICATION)
            ),
            [publication.build_id, publication.snapshot_id],
        )

    @_told
    def switch(self, n: int, *, drop_broken_views: bool, wait_seconds: float) -> Switch:
        deadline = time.monotonic() + wait_seconds
        self._await_older_snapshots(n, deadline, wait_seconds)
        attempts = 0
        while True:
            attempts += 1
            try:
                with self._connection.transaction():
                    return self._repoint(n, drop_broken_views, attempts)
            except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
                if time.monotonic() > deadline:
                    raise PublishError(
                        f"Readers kept the published views locked for {wait_seconds:.0f} s"
                        f"{self._readers()}; they still see the earlier publish.",
                        hint="End the long transaction, or publish again when it is over.",
                    ) from None
                time.sleep(random.uniform(1, 4) * _PAUSE_SECONDS)  # noqa: S311

    @_told
    def discard(self, n: int) -> bool:
        schema = f"marts_{n}"
        if any(number == n for _, number in self._managed_views().values()):
            raise PublishError(f"{schema} is what readers see; it cannot be dropped.")
        tables = [sql.Identifier(schema, table) for table in self._tables(n)]
        try:
            with self._connection.transaction():
                if tables:
                    names = sql.SQL(", ").join(tables)
                    self._execute(
                        sql.SQL("lock table {} in access exclusive mode nowait").format(names)
                    )
                    self._execute(sql.SQL("drop table {}").format(names))
                self._execute(sql.SQL("drop schema if exists {}").format(sql.Identifier(schema)))
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DependentObjectsStillExist):
            return False
        return True

    # -- loading ------------------------------------------------------------------------------

    @contextmanager
    def _attached(self, lake: duckdb.DuckDBPyConnection) -> Iterator[None]:
        dsn = literal(self._settings.libpq_dsn("marts"))
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

    def _copy(
        self,
        lake: duckdb.DuckDBPyConnection,
        publication: Publication,
        table: str,
        snapshot: int,
    ) -> None:
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
                f"create table {_ATTACHED}.{publication.place}.{identifier(table)} as "
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
            self._execute(
                sql.SQL("alter table {} {}").format(
                    sql.Identifier(publication.place, table),
                    sql.SQL(", ").join(
                        sql.SQL("alter column {0} type jsonb using {0}::jsonb").format(
                            sql.Identifier(name)
                        )
                        for name in documents
                    ),
                )
            )

    def _index(self, schema: str, table: str, rows: int) -> None:
        columns = [name for name, _ in self._columns(schema, table)]
        for index in indexes().of(table, columns, rows):
            self._execute(
                sql.SQL("create index on {} ({})").format(
                    sql.Identifier(schema, table),
                    sql.SQL(", ").join(sql.Identifier(column) for column in index),
                )
            )

    def _describe(self, publication: Publication) -> None:
        """Fill the one-row table last: its presence says that the publication is complete."""
        table = sql.Identifier(publication.place, PUBLICATION)
        with self._connection.transaction():
            self._execute(
                sql.SQL(
                    "create table {} (publish integer not null, build_id text,"
                    " snapshot_id bigint not null, published_at timestamptz not null)"
                ).format(table)
            )
            self._execute(
                sql.SQL("insert into {} values (%s, %s, %s, %s)").format(table),
                [
                    publication.n,
                    publication.build_id,
                    publication.snapshot_id,
                    publication.published_at,
                ],
            )

    # -- re-pointing --------------------------------------------------------------------------

    def _await_older_snapshots(self, n: int, deadline: float, wait_seconds: float) -> None:
        table = sql.Identifier(f"marts_{n}", PUBLICATION)
        visible = sql.SQL(_text("visible_to_all")).format(publication=table)
        while True:
            self._execute(sql.SQL("vacuum (freeze) {}").format(table))
            if self._one(visible)[0]:
                return
            if time.monotonic() > deadline:
                raise PublishError(
                    "A transaction older than this publish has been open for more than "
                    f"{wait_seconds:.0f} s{self._readers()}; it would have seen empty tables, so "
                    "the views were left as they are.",
                    hint="End the long transaction, or publish again when it is over.",
                )
            time.sleep(_PAUSE_SECONDS)

    def _repoint(self, n: int, drop_broken_views: bool, attempts: int) -> Switch:
        schema = f"marts_{n}"
        tables = self._tables(n)
        if PUBLICATION not in tables:
            raise PublishError(f"{schema} is not a complete publication.")
        managed = {name: oid for name, (oid, _) in self._managed_views().items()}
        self._refuse_occupied_names([table for table in tables if table not in managed])

        wanted = {table: self._columns(schema, table) for table in tables}
        present = {name: self._columns(VIEWS, name) for name in managed}
        in_place = [t for t in tables if t in managed and _extends(wanted[t], present[t])]
        rebuilt = [t for t in tables if t in managed and t not in in_place]
        removed = [name for name in managed if name not in wanted]

        lost = [managed[name] for name in (*rebuilt, *removed)]
        dependents = self._dependents(lost)
        self._lock([(VIEWS, name) for name in managed], dependents)
        saved = {name: _SavedView.read(self, VIEWS, name, managed[name]) for name in rebuilt}
        saved_dependents = [
            _SavedView.read(self, row.schema, row.name, row.oid) for row in dependents
        ]
        if lost:
            self._drop([(row.schema, row.name) for row in dependents], [*rebuilt, *removed])
        for table in tables:
            columns = [name for name, _ in wanted[table]]
            if table in in_place:
                # The order of existing columns must stay; new ones are appended.
                known = [name for name, _ in present[table]]
                columns = known + [name for name in columns if name not in known]
            self._execute(
                sql.SQL("create or replace view {} as select {} from {}").format(
                    sql.Identifier(VIEWS, table),
                    sql.SQL(", ").join(sql.Identifier(column) for column in columns),
                    sql.Identifier(schema, table),
                )
            )
            if table in saved:
                saved[table].restore_extras(self, {name for name, _ in wanted[table]})
        recreated, dropped = self._recreate(saved_dependents, drop_broken_views)
        return Switch(tuple(rebuilt), tuple(recreated), dropped, attempts)

    def _refuse_occupied_names(self, names: Sequence[str]) -> None:
        for name in names:
            occupied = self._one(
                "select count(*) from pg_class c join pg_namespace s on s.oid = c.relnamespace"
                " where s.nspname = %s and c.relname = %s",
                [VIEWS, name],
            )[0]
            if occupied:
                raise PublishError(
                    f"Something that publishing did not make is called {VIEWS}.{name}.",
                    hint="Rename it, or move it to another schema, and publish again.",
                )

    def _dependents(self, views: Sequence[int]) -> list[Any]:
        if not views:
            return []
        dependents = self._execute(_text("dependent_views"), {"views": list(views)}).fetchall()
        for row in dependents:
            if row.kind != "v":
                raise PublishError(
                    f"The materialized view {row.schema}.{row.name} reads a mart whose columns "
                    "change, and cannot be made again without blocking readers.",
                    hint="Drop it, publish, and create it again.",
                )
        return dependents

    def _lock(self, views: Sequence[tuple[str, str]], dependents: Sequence[Any]) -> None:
        names = sorted({*views, *((row.schema, row.name) for row in dependents)})
        if not names:
            return
        self._execute(
            sql.SQL("set local statement_timeout = {}").format(sql.Literal(_ATTEMPT_MILLISECONDS))
        )
        self._execute(
            sql.SQL("lock table {} in access exclusive mode").format(
                sql.SQL(", ").join(sql.Identifier(*name) for name in names)
            )
        )
        self._execute("set local statement_timeout = 0")

    def _drop(self, dependents: Sequence[tuple[str, str]], views: Sequence[str]) -> None:
        names = [*dependents, *((VIEWS, name) for name in views)]
        try:
            self._execute(
                sql.SQL("drop view {}").format(
                    sql.SQL(", ").join(sql.Identifier(*name) for name in names)
                )
            )
        except psycopg.errors.DependentObjectsStillExist as error:
            raise PublishError(
                "Something other than a view depends on a mart whose columns change: "
                f"{error.diag.message_detail}",
                hint="Drop it, publish, and create it again.",
            ) from None

    def _recreate(
        self, views: Sequence[_SavedView], drop_broken: bool
    ) -> tuple[list[str], dict[str, str]]:
        """Other people's views, shallowest first; the ones that no longer fit are named."""
        recreated: list[str] = []
        broken: dict[str, str] = {}
        reasons: list[str] = []
        for view in views:
            try:
                with self._connection.transaction():
                    view.create(self)
                recreated.append(view.full_name)
            except psycopg.Error as error:
                broken[view.full_name] = view.definition
                reasons.append(f"{view.full_name} ({error.diag.message_primary})")
        if broken and not drop_broken:
            raise PublishError(
                "Views that people made on the marts cannot survive this publish: "
                + "; ".join(reasons)
                + ".",
                hint="Change or drop them, or publish with drop_broken_views"
                " (their definitions are then in the report).",
            )
        return recreated, broken

    # -- reading the catalog ------------------------------------------------------------------

    def _managed_views(self) -> dict[str, tuple[int, int]]:
        """Name → (oid, number of the publication it shows)."""
        return {row.name: (row.oid, row.n) for row in self._execute(_text("managed_views"))}

    def _publication(self, n: int) -> Publication:
        row = self._one(
            sql.SQL("select * from {}").format(sql.Identifier(f"marts_{n}", PUBLICATION))
        )
        return Publication(row.publish, row.build_id, row.snapshot_id, row.published_at)

    def _tables(self, n: int) -> list[str]:
        rows = self._execute(
            "select tablename from pg_tables where schemaname = %s order by tablename",
            [f"marts_{n}"],
        )
        return [row.tablename for row in rows]

    def _columns(self, schema: str, relation: str) -> list[tuple[str, str]]:
        name = sql.Identifier(schema, relation).as_string(self._connection)
        return [
            (row.attname, row.type)
            for row in self._execute(_text("columns"), {"relation": name}).fetchall()
        ]

    def _reader_exists(self) -> bool:
        return bool(self._one("select count(*) from pg_roles where rolname = %s", [READER_ROLE])[0])

    def _readers(self) -> str:
        """Who is in the way, as far as this role may see it."""
        rows = self._execute(_text("readers")).fetchall()
        named = [
            f"pid {row.pid} (role {row.role}, {row.seconds} s)"
            for row in rows
            if row.role is not None and row.seconds is not None
        ]
        return f": {', '.join(named)}" if named else ""

    def _execute(
        self, query: str | sql.SQL | sql.Composed, parameters: Any = None
    ) -> psycopg.Cursor[Any]:
        if isinstance(query, str):
            query = sql.SQL(query)
        return self._connection.execute(query, parameters)

    def _one(self, query: str | sql.SQL | sql.Composed, parameters: Any = None) -> Any:
        row = self._execute(query, parameters).fetchone()
        if row is None:
            raise PublishError("The marts database gave no answer where one row was due.")
        return row


@dataclass(frozen=True)
class _SavedView:
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
    def read(cls, target: PostgresTarget, schema: str, name: str, oid: int) -> _SavedView:
        # With an empty search path the definition names every relation in full.
        target._execute("set local search_path = ''")
        row = target._one(_text("view_definition"), {"view": oid})
        view = cls(
            schema,
            name,
            row.definition.rstrip().removesuffix(";"),
            row.owner,
            tuple(row.options),
            row.comment,
            row.has_privileges,
            tuple(target._execute(_text("view_privileges"), {"view": oid}).fetchall()),
            tuple(target._execute(_text("column_comments"), {"view": oid}).fetchall()),
        )
        target._execute("set local search_path to default")
        return view

    def create(self, target: PostgresTarget) -> None:
        options = (
            sql.SQL(" with ({})").format(sql.SQL(", ").join(map(_option, self.options)))
            if self.options
            else sql.SQL("")
        )
        target._execute(
            sql.SQL("create view {}{} as {}").format(
                sql.Identifier(self.schema, self.name),
                options,
                sql.SQL(self.definition),
            )
        )
        names = {name for name, _ in target._columns(self.schema, self.name)}
        self.restore_extras(target, names)

    def restore_extras(self, target: PostgresTarget, columns: set[str]) -> None:
        """Privileges exactly as they were, owner and comments, for the ``columns`` there are."""
        view = sql.Identifier(self.schema, self.name)
        if self.has_privileges:
            self._restore_privileges(target, view, columns)
        if self.comment is not None:
            target._execute(
                sql.SQL("comment on view {} is {}").format(view, sql.Literal(self.comment))
            )
        for row in self.column_comments:
            if row.attname in columns:
                target._execute(
                    sql.SQL("comment on column {} is {}").format(
                        sql.Identifier(self.schema, self.name, row.attname),
                        sql.Literal(row.comment),
                    )
                )
        target._execute(
            sql.SQL("alter view {} owner to {}").format(view, sql.Identifier(self.owner))
        )

    def _restore_privileges(
        self, target: PostgresTarget, view: sql.Identifier, columns: set[str]
    ) -> None:
        # Default privileges may have granted what somebody had revoked.
        if target._reader_exists():
            target._execute(
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
            target._execute(
                sql.SQL("grant {}{} on {} to {}{}").format(
                    sql.SQL(row.privilege_type),
                    column,
                    view,
                    sql.SQL("public") if row.grantee is None else sql.Identifier(row.grantee),
                    sql.SQL(" with grant option" if row.is_grantable else ""),
                )
            )


def _extends(wanted: Sequence[tuple[str, str]], present: Sequence[tuple[str, str]]) -> bool:
    """Whether every present column is still wanted with its type (then replacing is enough)."""
    types = dict(wanted)
    return all(types.get(name) == kind for name, kind in present)


def _option(option: str) -> sql.Composed:
    name, _, value = option.partition("=")
    return sql.SQL("{}={}").format(sql.Identifier(name), sql.Literal(value))


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


@cache
def _text(name: str) -> str:
    return (_FOLDER / "sql" / f"{name}.sql").read_text(encoding="utf-8")
