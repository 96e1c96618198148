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
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import duckdb
import psycopg
from psycopg import sql

from installation.databases import READER_ROLE
from lakehouse.errors import PublishError
from lakehouse.settings import Settings
from publishing import loading
from publishing.marts_database import MartsDatabase, text
from publishing.saved_views import SavedView
from publishing.target import Publication, Switch

P = ParamSpec("P")
T = TypeVar("T")

VIEWS = "marts"
#: One-row table of each publication: which publish, build and snapshot it is. Shown as a view too.
PUBLICATION = "publication"

_LOCK = "lakehouse.publish"
#: Bound of one attempt to lock the views; below Postgres' deadlock_timeout of one second.
_ATTEMPT_MILLISECONDS = 400
_PAUSE_SECONDS = 0.05


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
        self._database = MartsDatabase(settings)

    def close(self) -> None:
        self._database.connection.close()

    @contextmanager
    def exclusive(self, wait_seconds: float) -> Iterator[None]:
        deadline = time.monotonic() + wait_seconds
        while not self._database.one("select pg_try_advisory_lock(hashtext(%s))", [_LOCK])[0]:
            if time.monotonic() > deadline:
                raise PublishError(
                    f"Another publish has been running for more than {wait_seconds:.0f} s.",
                    hint="Wait for it, then publish again.",
                )
            time.sleep(_PAUSE_SECONDS)
        try:
            yield
        finally:
            if not self._database.connection.closed:
                self._database.execute("select pg_advisory_unlock(hashtext(%s))", [_LOCK])

    @_told
    def prepare(self) -> None:
        self._database.execute(
            sql.SQL("create schema if not exists {}").format(sql.Identifier(VIEWS))
        )
        if self._database.reader_exists():
            names = {"schema": sql.Identifier(VIEWS), "role": sql.Identifier(READER_ROLE)}
            self._database.execute(
                sql.SQL("grant usage on schema {schema} to {role}").format(**names)
            )
            self._database.execute(
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
        rows = self._database.execute(
            "select nspname from pg_namespace where nspname ~ '^marts_[0-9]+$'"
        )
        return sorted(int(row.nspname.removeprefix("marts_")) for row in rows)

    @_told
    def count(self, n: int) -> dict[str, int]:
        return {
            table: int(
                self._database.one(
                    sql.SQL("select count(*) from {}").format(sql.Identifier(f"marts_{n}", table))
                )[0]
            )
            for table in self._database.tables(f"marts_{n}")
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
        self._database.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        with loading.attached(lake, self._settings):
            for table in tables:
                loading.copy(lake, self._database, schema, table, snapshot)
        return self.count(publication.n)

    @_told
    def complete(self, publication: Publication, counts: Mapping[str, int]) -> None:
        schema = publication.place
        self._database.execute("set maintenance_work_mem = '256MB'")  # indexes are sorted in memory
        for table, rows in counts.items():
            loading.index(self._database, schema, table, rows)
            self._database.execute(sql.SQL("analyze {}").format(sql.Identifier(schema, table)))
        self._describe(publication)

    @_told
    def relabel(self, publication: Publication) -> None:
        self._database.execute(
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
                with self._database.connection.transaction():
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
        tables = [sql.Identifier(schema, table) for table in self._database.tables(f"marts_{n}")]
        try:
            with self._database.connection.transaction():
                if tables:
                    names = sql.SQL(", ").join(tables)
                    self._database.execute(
                        sql.SQL("lock table {} in access exclusive mode nowait").format(names)
                    )
                    self._database.execute(sql.SQL("drop table {}").format(names))
                self._database.execute(
                    sql.SQL("drop schema if exists {}").format(sql.Identifier(schema))
                )
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DependentObjectsStillExist):
            return False
        return True

    def _describe(self, publication: Publication) -> None:
        """Fill the one-row table last: its presence says that the publication is complete."""
        table = sql.Identifier(publication.place, PUBLICATION)
        with self._database.connection.transaction():
            self._database.execute(
                sql.SQL(
                    "create table {} (publish integer not null, build_id text,"
                    " snapshot_id bigint not null, published_at timestamptz not null)"
                ).format(table)
            )
            self._database.execute(
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
        visible = sql.SQL(text("visible_to_all")).format(publication=table)
        while True:
            self._database.execute(sql.SQL("vacuum (freeze) {}").format(table))
            if self._database.one(visible)[0]:
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
        tables = self._database.tables(f"marts_{n}")
        if PUBLICATION not in tables:
            raise PublishError(f"{schema} is not a complete publication.")
        managed = {name: oid for name, (oid, _) in self._managed_views().items()}
        self._refuse_occupied_names([table for table in tables if table not in managed])

        wanted = {table: self._database.columns(schema, table) for table in tables}
        present = {name: self._database.columns(VIEWS, name) for name in managed}
        in_place = [t for t in tables if t in managed and _extends(wanted[t], present[t])]
        rebuilt = [t for t in tables if t in managed and t not in in_place]
        removed = [name for name in managed if name not in wanted]

        lost = [managed[name] for name in (*rebuilt, *removed)]
        dependents = self._dependents(lost)
        self._lock([(VIEWS, name) for name in managed], dependents)
        saved = {
            name: SavedView.read(self._database, VIEWS, name, managed[name]) for name in rebuilt
        }
        saved_dependents = [
            SavedView.read(self._database, row.schema, row.name, row.oid) for row in dependents
        ]
        if lost:
            self._drop([(row.schema, row.name) for row in dependents], [*rebuilt, *removed])
        for table in tables:
            columns = [name for name, _ in wanted[table]]
            if table in in_place:
                # The order of existing columns must stay; new ones are appended.
                known = [name for name, _ in present[table]]
                columns = known + [name for name in columns if name not in known]
            self._database.execute(
                sql.SQL("create or replace view {} as select {} from {}").format(
                    sql.Identifier(VIEWS, table),
                    sql.SQL(", ").join(sql.Identifier(column) for column in columns),
                    sql.Identifier(schema, table),
                )
            )
            if table in saved:
                saved[table].restore_extras(self._database, {name for name, _ in wanted[table]})
        recreated, dropped = self._recreate(saved_dependents, drop_broken_views)
        return Switch(tuple(rebuilt), tuple(recreated), dropped, attempts)

    def _refuse_occupied_names(self, names: Sequence[str]) -> None:
        for name in names:
            occupied = self._database.one(
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
        dependents = self._database.execute(
            text("dependent_views"), {"views": list(views)}
        ).fetchall()
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
        self._database.execute(
            sql.SQL("set local statement_timeout = {}").format(sql.Literal(_ATTEMPT_MILLISECONDS))
        )
        self._database.execute(
            sql.SQL("lock table {} in access exclusive mode").format(
                sql.SQL(", ").join(sql.Identifier(*name) for name in names)
            )
        )
        self._database.execute("set local statement_timeout = 0")

    def _drop(self, dependents: Sequence[tuple[str, str]], views: Sequence[str]) -> None:
        names = [*dependents, *((VIEWS, name) for name in views)]
        try:
            self._database.execute(
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
        self, views: Sequence[SavedView], drop_broken: bool
    ) -> tuple[list[str], dict[str, str]]:
        """Other people's views, shallowest first; the ones that no longer fit are named."""
        recreated: list[str] = []
        broken: dict[str, str] = {}
        reasons: list[str] = []
        for view in views:
            try:
                with self._database.connection.transaction():
                    view.create(self._database)
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
        return {row.name: (row.oid, row.n) for row in self._database.execute(text("managed_views"))}

    def _publication(self, n: int) -> Publication:
        row = self._database.one(
            sql.SQL("select * from {}").format(sql.Identifier(f"marts_{n}", PUBLICATION))
        )
        return Publication(row.publish, row.build_id, row.snapshot_id, row.published_at)

    def _readers(self) -> str:
        """Who is in the way, as far as this role may see it."""
        rows = self._database.execute(text("readers")).fetchall()
        named = [
            f"pid {row.pid} (role {row.role}, {row.seconds} s)"
            for row in rows
            if row.role is not None and row.seconds is not None
        ]
        return f": {', '.join(named)}" if named else ""


def _extends(wanted: Sequence[tuple[str, str]], present: Sequence[tuple[str, str]]) -> bool:
    """Whether every present column is still wanted with its type (then replacing is enough)."""
    types = dict(wanted)
    return all(types.get(name) == kind for name, kind in present)
