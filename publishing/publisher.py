"""One publish from gate to switch: what may be published, of which lake snapshot, and the record.

The target's own views say what readers see; the ``publish`` rows of the metadata database are its
record and are corrected from the target when a crash came between the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import duckdb
from sqlalchemy import Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from lakehouse import lake as lakes
from lakehouse.errors import PublishError
from lakehouse.metadata import audit, builds, models
from lakehouse.progress import report
from lakehouse.settings import Settings
from publishing.postgres import PostgresTarget
from publishing.target import Publication, Switch, Target

#: Layer of the checks that run on a publication itself; they gate the switch, not the load.
PUBLISHED = "published"

#: How long a publish waits for another publisher, and for readers of old snapshots.
WAIT_SECONDS = 60.0

_FOLDER = Path(__file__).parent
_CATALOG = f"__ducklake_metadata_{lakes.LAKE}"


@dataclass(frozen=True)
class PublishReport:
    """What a publish or rollback did.

    ``changed`` is false when readers saw the newest marts already; ``seconds`` are per stage;
    ``busy`` are older publications that a reader still holds, to be dropped next time.
    """

    n: int
    schema: str
    build_id: str | None
    snapshot_id: int | None
    row_counts: Mapping[str, int]
    changed: bool
    message: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    switch: Switch = field(default_factory=Switch)
    discarded: Sequence[str] = ()
    busy: Sequence[str] = ()
    submissions: Sequence[str] = ()

    @property
    def rows(self) -> int:
        return sum(self.row_counts.values())


@dataclass(frozen=True)
class TableCount:
    """Rows of one mart in the lake and where readers see it; null where it is not there."""

    table: str
    lake: int | None
    published: int | None

    @property
    def agrees(self) -> bool:
        return self.lake == self.published


@dataclass(frozen=True)
class VerifyReport:
    """Counts of the current publication; ``source`` says what they were compared with."""

    n: int
    snapshot_id: int | None
    source: str
    tables: Sequence[TableCount]

    @property
    def agrees(self) -> bool:
        return all(table.agrees for table in self.tables)


def publish(
    settings: Settings,
    engine: Engine,
    *,
    build_id: str,
    run_id: str | None,
    actor: str,
    snapshot_id: int | None = None,
    con: duckdb.DuckDBPyConnection | None = None,
    inspect: Callable[[str], Sequence[str]] | None = None,
    drop_broken_views: bool = False,
    wait_seconds: float = WAIT_SECONDS,
    target: Target | None = None,
) -> PublishReport:
    """Publish every table of the lake's schema ``marts`` as of one snapshot.

    ``snapshot_id`` defaults to the newest one (when another build is running, to the newest one
    after it). ``inspect`` is called with the schema of the loaded publication before readers see
    it, and gives the reasons to refuse it. ``con`` is a lake connection to use; ``wait_seconds``
    bounds the wait for another publisher and for readers in long transactions.

    Raises :class:`PublishError`; what readers see is then unchanged.
    """
    _refuse_failed_checks(engine, build_id)
    with (
        _target(settings, target) as place,
        place.exclusive(wait_seconds),
        _lake(settings, con) as lake,
    ):
        place.prepare()
        _reconcile(engine, place, actor)
        snapshot = snapshot_id
        if snapshot is None:
            snapshot = _newest_snapshot(settings, engine, lake, build_id)
        current = place.current()
        if current is not None and _unchanged(lake, current, snapshot):
            return _already_published(engine, place, current, build_id, actor)
        number = max(_highest_number(engine), *place.present(), 0) + 1
        publication = Publication(number, build_id, snapshot, datetime.now(UTC))
        try:
            return _publish(
                settings,
                engine,
                place,
                lake,
                publication,
                run_id=run_id,
                actor=actor,
                inspect=inspect,
                drop_broken_views=drop_broken_views,
                wait_seconds=wait_seconds,
            )
        except BaseException:
            # Also when interrupted: nobody else may find a half-written publication. Where that
            # fails too, the first error is the one to tell, and the next publish clears up.
            with suppress(PublishError, SQLAlchemyError):
                _record_failure(engine, place, publication, actor)
            raise


def rollback(
    settings: Settings,
    engine: Engine,
    *,
    actor: str,
    reason: str | None = None,
    to: int | None = None,
    drop_broken_views: bool = False,
    wait_seconds: float = WAIT_SECONDS,
    target: Target | None = None,
) -> PublishReport:
    """Show readers an earlier publication: the one before the current, or number ``to``.

    ``to`` may also be a later one, to take a rollback back. Raises :class:`PublishError`.
    """
    started = time.perf_counter()
    with _target(settings, target) as place, place.exclusive(wait_seconds):
        _reconcile(engine, place, actor)
        current = place.current()
        if current is None:
            raise PublishError("Nothing has been published yet.", hint="Run `lakehouse publish`.")
        with Session(engine) as session:
            kept = {
                row.n: row
                for row in session.scalars(
                    select(models.Publish).where(models.Publish.state.in_(("current", "previous")))
                )
            }
        present = set(place.present()) & set(kept)
        earlier = [n for n in sorted(present) if n < current.n]
        wanted = to if to is not None else (earlier[-1] if earlier else None)
        if wanted is None or wanted not in present or wanted == current.n:
            choice = ", ".join(str(n) for n in sorted(present - {current.n})) or "none"
            raise PublishError(
                f"There is no publish {wanted} to go to."
                if wanted is not None
                else f"There is no publish before {current.n}.",
                hint=f"Kept besides the current one ({current.n}): {choice}.",
            )
        switch = place.switch(
            wanted, drop_broken_views=drop_broken_views, wait_seconds=wait_seconds
        )
        _record_switch(
            engine,
            wanted,
            audit.Event(
                actor=actor,
                action="publish.rolled_back",
                subject=f"publish:{wanted}",
                reason=reason,
                before={"publish": current.n},
                after={"publish": wanted},
            ),
        )
        row = kept[wanted]
        return PublishReport(
            n=wanted,
            schema=row.schema_name,
            build_id=row.build_id,
            snapshot_id=row.snapshot_id,
            row_counts=dict(row.row_counts),
            changed=True,
            message=f"Readers see publish {wanted} again instead of {current.n}.",
            seconds={"switch": time.perf_counter() - started},
            switch=switch,
        )


def forget_earlier(
    settings: Settings,
    engine: Engine,
    *,
    actor: str,
    reason: str,
    wait_seconds: float = WAIT_SECONDS,
    target: Target | None = None,
) -> tuple[list[str], list[str]]:
    """Drop every publication but the current one, so that nothing withdrawn can be shown again.

    Returns the schemas that were dropped, and those that a reader still holds: call it again.
    """
    with _target(settings, target) as place, place.exclusive(wait_seconds):
        _reconcile(engine, place, actor)
        current = place.current()
        numbers = [n for n in place.present() if current is None or n != current.n]
        dropped, busy = _discard(engine, place, numbers)
        with Session(engine) as session, session.begin():
            audit.append(
                session,
                audit.Event(
                    actor=actor,
                    action="publish.forgotten",
                    subject=f"publish:{current.n if current else 0}",
                    reason=reason,
                    after={"dropped": len(dropped), "busy": len(busy)},
                ),
            )
    return dropped, busy


def verify(
    settings: Settings,
    engine: Engine,
    *,
    con: duckdb.DuckDBPyConnection | None = None,
    target: Target | None = None,
) -> VerifyReport:
    """Compare the rows that readers see with the lake at the published snapshot.

    Where that snapshot has expired, with the counts recorded when it was published.
    """
    with _target(settings, target) as place:
        current = place.current()
        if current is None:
            raise PublishError("Nothing has been published yet.", hint="Run `lakehouse publish`.")
        published = place.count(current.n)
    with _lake(settings, con) as lake:
        kept = _snapshot_is_kept(lake, current.snapshot_id)
        expected: Mapping[str, int] = _lake_counts(lake, current.snapshot_id) if kept else {}
    source = f"lake snapshot {current.snapshot_id}"
    if not kept:
        source = "the counts recorded at publishing, as the snapshot has expired"
        with Session(engine) as session:
            row = session.get(models.Publish, current.n)
        expected = row.row_counts if row is not None else {}
    names = sorted({*published, *expected})
    return VerifyReport(
        current.n,
        current.snapshot_id,
        source,
        [TableCount(name, expected.get(name), published.get(name)) for name in names],
    )


def _publish(
    settings: Settings,
    engine: Engine,
    place: Target,
    lake: duckdb.DuckDBPyConnection,
    publication: Publication,
    *,
    run_id: str | None,
    actor: str,
    inspect: Callable[[str], Sequence[str]] | None,
    drop_broken_views: bool,
    wait_seconds: float,
) -> PublishReport:
    seconds: dict[str, float] = {}
    tables = _mart_tables(lake, publication.snapshot_id)
    if not tables:
        raise PublishError("The lake has no marts yet.", hint="Run `lakehouse build` first.")
    with _timed(seconds, "load"):
        counts = place.load(lake, publication, tables)
    with _timed(seconds, "verify"):
        _refuse_different_counts(counts, _lake_counts(lake, publication.snapshot_id))
    with _timed(seconds, "complete"):
        place.complete(publication, counts)
    if inspect is not None:
        with _timed(seconds, "inspect"):
            reasons = inspect(publication.place)
        if reasons:
            raise PublishError(
                f"Publishing is blocked by {len(reasons)} failed check(s) on the loaded marts:\n"
                + "\n".join(f"  - {reason}" for reason in reasons),
                hint="Readers still see the earlier publish.",
            )
    with _timed(seconds, "switch"):
        switch = place.switch(
            publication.n, drop_broken_views=drop_broken_views, wait_seconds=wait_seconds
        )
    _record_publication(engine, publication, counts, run_id, actor)
    with _timed(seconds, "clean up"):
        discarded, busy = _discard_old(settings, engine, place, publication.n)
    submissions = builds.mark_published(engine, _build_of(publication), actor=actor)
    rows = sum(counts.values())
    report("publish", publication.place, f"{rows} rows in {len(counts)} marts")
    return PublishReport(
        n=publication.n,
        schema=publication.place,
        build_id=publication.build_id,
        snapshot_id=publication.snapshot_id,
        row_counts=counts,
        changed=True,
        message=f"Published {rows} rows in {len(counts)} marts as publish {publication.n}.",
        seconds=seconds,
        switch=switch,
        discarded=discarded,
        busy=busy,
        submissions=submissions,
    )


def _already_published(
    engine: Engine, place: Target, current: Publication, build_id: str, actor: str
) -> PublishReport:
    submissions = builds.mark_published(engine, build_id, actor=actor)
    message = f"The marts have not changed since publish {current.n}: nothing to do."
    report("publish", current.place, "unchanged")
    return PublishReport(
        n=current.n,
        schema=current.place,
        build_id=current.build_id,
        snapshot_id=current.snapshot_id,
        row_counts=place.count(current.n),
        changed=False,
        message=message,
        submissions=submissions,
    )


# -- gate -------------------------------------------------------------------------------------


def _refuse_failed_checks(engine: Engine, build_id: str) -> None:
    """Errors of the build's checks block it; of a rule checked twice the later result counts."""
    result = models.CheckResult
    latest = (
        select(func.max(result.id))
        .where(result.build_id == build_id, result.layer != PUBLISHED)
        .group_by(result.layer, result.table_name, result.rule)
    )
    with Session(engine) as session:
        rows = session.scalars(
            select(result).where(result.id.in_(latest)).order_by(result.layer, result.id)
        ).all()
    if not rows:
        raise PublishError(
            f"Build {build_id} has not been checked, so it is not published.",
            hint="Run `lakehouse check`, then publish again.",
        )
    failed = [row for row in rows if row.severity == "error" and not row.passed]
    if failed:
        raise PublishError(
            f"Publishing is blocked by {len(failed)} failed check(s):\n"
            + "\n".join(
                f"  - {row.layer}.{row.table_name} {row.rule}: {row.message}" for row in failed
            ),
            hint="Correct the input or the rule and run again; readers still see the earlier "
            "publish.",
        )


def _refuse_different_counts(published: Mapping[str, int], lake: Mapping[str, int]) -> None:
    different = [
        f"{name} ({lake.get(name)} in the lake, {published.get(name)} loaded)"
        for name in sorted({*published, *lake})
        if published.get(name) != lake.get(name)
    ]
    if different:
        raise PublishError(
            "Loaded rows differ from the lake: " + ", ".join(different) + ".",
            hint="Publish again; if it stays so, run `lakehouse build --full-refresh`.",
        )


# -- the lake ---------------------------------------------------------------------------------


def _newest_snapshot(
    settings: Settings, engine: Engine, lake: duckdb.DuckDBPyConnection, build_id: str
) -> int:
    """The newest snapshot at which no build is half-way through the marts."""
    with Session(engine) as session:
        running = session.scalar(
            select(models.Build.build_id).where(
                models.Build.status == "running", models.Build.build_id != build_id
            )
        )
    if running is None:
        return lakes.snapshot_id(lake)
    with lakes.layer_lock(settings, "silver"):  # held by a build from start to end
        return lakes.snapshot_id(lake)


def _mart_tables(lake: duckdb.DuckDBPyConnection, snapshot: int) -> list[str]:
    rows = lake.execute(_text("mart_tables").format(catalog=_CATALOG, snapshot=snapshot)).fetchall()
    return [str(row[0]) for row in rows]


def _lake_counts(lake: duckdb.DuckDBPyConnection, snapshot: int) -> dict[str, int]:
    counts = {}
    for table in _mart_tables(lake, snapshot):
        name = table.replace('"', '""')
        row = lake.execute(
            f'select count(*) from {lakes.LAKE}.marts."{name}" at (version => {snapshot})'
        ).fetchone()
        counts[table] = int(row[0]) if row else 0
    return counts


def _snapshot_is_kept(lake: duckdb.DuckDBPyConnection, snapshot: int) -> bool:
    row = lake.execute(
        f"select count(*) from ducklake_snapshots('{lakes.LAKE}') where snapshot_id = {snapshot}"
    ).fetchone()
    return row is not None and row[0] == 1


def _unchanged(lake: duckdb.DuckDBPyConnection, current: Publication, snapshot: int) -> bool:
    """Whether no commit after the published snapshot touched a mart."""
    row = lake.execute(_text("last_change").format(catalog=_CATALOG, snapshot=snapshot)).fetchone()
    return row is not None and int(row[0]) <= current.snapshot_id


# -- the record -------------------------------------------------------------------------------


def _highest_number(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.max(models.Publish.n))) or 0


def _record_publication(
    engine: Engine,
    publication: Publication,
    counts: Mapping[str, int],
    run_id: str | None,
    actor: str,
) -> None:
    values = {
        "n": publication.n,
        "schema_name": publication.place,
        "build_id": publication.build_id,
        "snapshot_id": publication.snapshot_id,
        "state": "previous",
        "row_counts": dict(counts),
        "published_at": publication.published_at,
        "actor": actor,
    }
    with Session(engine) as session, session.begin():
        session.execute(insert(models.Publish).values(values).on_conflict_do_nothing())
    _record_switch(
        engine,
        publication.n,
        audit.Event(
            actor=actor,
            action="publish.published",
            subject=f"publish:{publication.n}",
            after={
                "build_id": publication.build_id,
                "snapshot_id": publication.snapshot_id,
                "rows": sum(counts.values()),
                "run_id": run_id,
            },
        ),
    )


def _record_switch(engine: Engine, n: int, event: audit.Event) -> None:
    """Number ``n`` is current now, with the audit event in the same transaction."""
    with Session(engine) as session, session.begin():
        audit.lock(session)
        session.execute(
            update(models.Publish).where(models.Publish.state == "current").values(state="previous")
        )
        session.execute(update(models.Publish).where(models.Publish.n == n).values(state="current"))
        audit.append(session, event)


def _record_failure(engine: Engine, place: Target, publication: Publication, actor: str) -> None:
    """Leave nothing half-written behind."""
    current = place.current()
    if current is not None and current.n == publication.n:
        return  # the switch had happened: the next call reconciles the record
    place.discard(publication.n)
    with Session(engine) as session, session.begin():
        session.execute(
            insert(models.Publish)
            .values(
                n=publication.n,
                schema_name=publication.place,
                build_id=publication.build_id,
                snapshot_id=publication.snapshot_id,
                state="failed",
                row_counts={},
                published_at=publication.published_at,
                actor=actor,
            )
            .on_conflict_do_nothing()
        )


def _reconcile(engine: Engine, place: Target, actor: str) -> None:
    """Correct the record from the target, and clear what a killed publisher left there."""
    current = place.current()
    with Session(engine) as session:
        recorded = {row.n: row.state for row in session.scalars(select(models.Publish))}
    if current is not None and recorded.get(current.n) != "current":
        _record_publication(engine, current, place.count(current.n), None, actor)
    for n in place.present():
        kept = recorded.get(n) in ("current", "previous") or (
            current is not None and n == current.n
        )
        if not kept:
            place.discard(n)


def _discard_old(
    settings: Settings, engine: Engine, place: Target, current: int
) -> tuple[list[str], list[str]]:
    old = place.present()[: -settings.publishes_kept]
    return _discard(engine, place, [n for n in old if n != current])


def _discard(engine: Engine, place: Target, numbers: Sequence[int]) -> tuple[list[str], list[str]]:
    """Schemas that were dropped, and those that a reader holds."""
    dropped = [n for n in numbers if place.discard(n)]
    with Session(engine) as session, session.begin():
        session.execute(
            update(models.Publish)
            .where(models.Publish.state == "previous", models.Publish.n.not_in(place.present()))
            .values(state="dropped")
        )
    busy = [f"marts_{n}" for n in numbers if n not in dropped]
    return [f"marts_{n}" for n in dropped], busy


def _build_of(publication: Publication) -> str:
    if publication.build_id is None:
        raise AssertionError("a publish always names its build")
    return publication.build_id


# -- resources --------------------------------------------------------------------------------


@contextmanager
def _target(settings: Settings, given: Target | None) -> Iterator[Target]:
    if given is not None:
        yield given
        return
    target = PostgresTarget(settings)
    try:
        yield target
    finally:
        target.close()


@contextmanager
def _lake(
    settings: Settings, given: duckdb.DuckDBPyConnection | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    if given is not None:
        yield given
        return
    connection = lakes.connect(settings)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - started


@cache
def _text(name: str) -> str:
    # Numbers are written into the text: DuckDB imports pandas (1.4 s) on the first bound parameter.
    return (_FOLDER / "sql" / f"{name}.sql").read_text(encoding="utf-8")
