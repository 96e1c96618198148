"""One publish from gate to switch: what may be published, of which lake snapshot, and the record.

The target's own views say what readers see; the ``publish`` rows of the metadata database are its
record and are corrected from the target when a crash came between the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
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
from lakehouse.lake import catalog
from lakehouse.metadata import audit, builds, models, publishes
from lakehouse.progress import report
from lakehouse.quoting import identifier
from lakehouse.settings import Settings
from publishing.postgres import PostgresTarget
from publishing.target import Publication, Switch, Target

#: How long a publish waits for another publisher, and for readers of old snapshots.
WAIT_SECONDS = 60.0

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class PublishReport:
    """What a publish or rollback did.

    ``changed`` is false when readers saw the newest marts already; ``seconds`` are per stage;
    ``busy`` are older publications that a reader still holds, to be dropped next time.
    ``submissions`` became PUBLISHED, ``no_longer`` stopped being it. ``gone`` left the lake and are
    seen by readers still: an earlier publish has them.
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
    no_longer: Sequence[str] = ()
    gone: Sequence[str] = ()

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
    """What readers see against what they should see.

    Counts of the current publication (``source`` says what they were compared with), the build of
    Silver that it holds, and the submissions that it should hold.
    """

    n: int
    build_id: str | None
    snapshot_id: int | None
    source: str
    tables: Sequence[TableCount]
    submissions: publishes.Comparison
    rolled_back: bool

    @property
    def agrees(self) -> bool:
        return all(table.agrees for table in self.tables) and self.submissions.agrees


def publish(
    settings: Settings,
    engine: Engine,
    *,
    run_id: str | None,
    actor: str,
    build_id: str | None = None,
    con: duckdb.DuckDBPyConnection | None = None,
    inspect: Callable[[str], Sequence[str]] | None = None,
    drop_broken_views: bool = False,
    wait_seconds: float = WAIT_SECONDS,
    target: Target | None = None,
) -> PublishReport:
    """Publish what Gold and marts held when they were last whole, as of the snapshot of then.

    ``build_id`` names an earlier build instead. ``inspect`` is called with the schema of the loaded
    publication before readers see it, and gives the reasons to refuse it. ``con`` is a lake
    connection to use; ``wait_seconds`` bounds the wait for another publisher and for readers in long
    transactions. Submissions become PUBLISHED that these marts hold, and only those.

    Raises :class:`PublishError`; what readers see is then unchanged.
    """
    with (
        _target(settings, target) as place,
        place.exclusive(wait_seconds),
        _lake(settings, con) as lake,
    ):
        place.prepare()
        _reconcile(engine, place, actor)
        gold = _gold(engine, build_id)
        _refuse_failed_checks(engine, gold.build_id)
        current = place.current()
        if current is not None and _holds(current, gold):
            return _already_published(engine, place, current, actor)
        snapshot = _readable_snapshot(lake, gold)
        if (
            current is not None
            and catalog.last_change(lake, "marts", snapshot) <= current.snapshot_id
        ):
            current = replace(current, build_id=gold.build_id, snapshot_id=gold.snapshot)
            place.relabel(current)
            return _already_published(engine, place, current, actor)
        number = max(_highest_number(engine), *place.present(), 0) + 1
        publication = Publication(number, gold.build_id, gold.snapshot, datetime.now(UTC))
        try:
            return _publish(
                settings,
                engine,
                place,
                lake,
                publication,
                snapshot=snapshot,
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


def reconcile(
    settings: Settings,
    engine: Engine,
    *,
    actor: str,
    wait_seconds: float = WAIT_SECONDS,
    target: Target | None = None,
) -> None:
    """Correct record and states, as after a publisher that died: readers see what their views show.

    Raises :class:`PublishError` where another publisher is at work for ``wait_seconds``.
    """
    with _target(settings, target) as place, place.exclusive(wait_seconds):
        _reconcile(engine, place, actor)
        _correct_states(engine, place.current(), actor)


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

    ``to`` may also be a later one, to take a rollback back. Submissions that the earlier one does
    not hold go back to INTEGRATED; nothing goes forward again before Gold is built anew, or somebody
    publishes. Raises :class:`PublishError`.
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
        row = kept[wanted]
        hidden = _intend_return(engine, wanted, row.build_id, actor)
        try:
            switch = place.switch(
                wanted, drop_broken_views=drop_broken_views, wait_seconds=wait_seconds
            )
        except BaseException:
            with suppress(PublishError, SQLAlchemyError):
                _reconcile(engine, place, actor)
            raise
        shown = _record_switch(
            engine,
            wanted,
            row.build_id,
            audit.Event(
                actor=actor,
                action="publish.rolled_back",
                subject=f"publish:{wanted}",
                reason=reason,
                before={"publish": current.n},
                after={"publish": wanted},
            ),
        )
        gone = publishes.compare(engine, row.build_id).gone
        return PublishReport(
            n=wanted,
            schema=row.schema_name,
            build_id=row.build_id,
            snapshot_id=row.snapshot_id,
            row_counts=dict(row.row_counts),
            changed=True,
            message=f"Readers see publish {wanted} again instead of {current.n}."
            + _what_changed(hidden, gone),
            seconds={"switch": time.perf_counter() - started},
            switch=switch,
            submissions=shown.published,
            no_longer=hidden,
            gone=gone,
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
    """Compare what readers see with what they should see.

    Their rows with the lake's at the published snapshot (where that has expired, with the counts
    recorded when it was published), and the submissions in them with those that belong there.
    """
    with _target(settings, target) as place:
        current = place.current()
        if current is None:
            raise PublishError("Nothing has been published yet.", hint="Run `lakehouse publish`.")
        published = place.count(current.n)
    with _lake(settings, con) as lake:
        kept = catalog.snapshot_is_kept(lake, current.snapshot_id)
        expected: Mapping[str, int] = _lake_counts(lake, current.snapshot_id) if kept else {}
    source = f"lake snapshot {current.snapshot_id}"
    if not kept:
        source = "the counts recorded at publishing, as the snapshot has expired"
        with Session(engine) as session:
            row = session.get(models.Publish, current.n)
        expected = row.row_counts if row is not None else {}
    names = sorted({*published, *expected})
    return VerifyReport(
        n=current.n,
        build_id=current.build_id,
        snapshot_id=current.snapshot_id,
        source=source,
        tables=[TableCount(name, expected.get(name), published.get(name)) for name in names],
        submissions=publishes.compare(engine, current.build_id),
        rolled_back=publishes.rolled_back(engine),
    )


def _publish(
    settings: Settings,
    engine: Engine,
    place: Target,
    lake: duckdb.DuckDBPyConnection,
    publication: Publication,
    *,
    snapshot: int,
    run_id: str | None,
    actor: str,
    inspect: Callable[[str], Sequence[str]] | None,
    drop_broken_views: bool,
    wait_seconds: float,
) -> PublishReport:
    seconds: dict[str, float] = {}
    tables = catalog.tables(lake, "marts", snapshot)
    if not tables:
        raise PublishError("The lake has no marts yet.", hint="Run `lakehouse build` first.")
    with _timed(seconds, "load"):
        counts = place.load(lake, publication, tables, snapshot)
    with _timed(seconds, "verify"):
        _refuse_different_counts(counts, _lake_counts(lake, snapshot))
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
    _intend_switch(engine, publication, counts, actor)
    with _timed(seconds, "switch"):
        switch = place.switch(
            publication.n, drop_broken_views=drop_broken_views, wait_seconds=wait_seconds
        )
    shown = _record_publication(engine, publication, counts, run_id, actor)
    with _timed(seconds, "clean up"):
        discarded, busy = _discard_old(settings, engine, place, publication.n)
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
        submissions=shown.published,
        no_longer=shown.no_longer,
    )


def _already_published(
    engine: Engine, place: Target, current: Publication, actor: str
) -> PublishReport:
    """Readers see these marts already; the record and the states say so too."""
    counts = place.count(current.n)
    shown = _record_publication(engine, current, counts, None, actor)
    message = f"The marts have not changed since publish {current.n}: nothing to do."
    report("publish", current.place, "unchanged")
    return PublishReport(
        n=current.n,
        schema=current.place,
        build_id=current.build_id,
        snapshot_id=current.snapshot_id,
        row_counts=counts,
        changed=False,
        message=message,
        submissions=shown.published,
        no_longer=shown.no_longer,
    )


def _what_changed(hidden: Sequence[str], gone: Sequence[str]) -> str:
    """What a rollback means for submissions, in words."""
    words = ""
    if hidden:
        words += f" {len(hidden)} submission(s) are not in it and are INTEGRATED again."
    if gone:
        words += (
            f" It still holds {len(gone)} submission(s) that were withdrawn or replaced since:"
            f" {', '.join(gone[:5])}{', …' if len(gone) > 5 else ''}."
        )
    return words


# -- gate -------------------------------------------------------------------------------------


def _gold(engine: Engine, build_id: str | None) -> builds.Gold:
    """What is to be published: what Gold holds, or held of the build that was named."""
    if build_id is None:
        found = builds.gold(engine)
        if found is None:
            raise PublishError("The lake has no marts yet.", hint="Run `lakehouse run`.")
        return found
    with Session(engine) as session:
        build = session.get(models.Build, build_id)
    if build is None or build.gold_snapshot is None:
        raise PublishError(
            f"Gold and marts were not built and checked with build {build_id}.",
            hint="Run `lakehouse run`.",
        )
    return builds.Gold(build_id, build.gold_snapshot)


def _refuse_failed_checks(engine: Engine, build_id: str) -> None:
    """Errors of the build's checks block it; of a rule checked twice the later result counts."""
    rows = publishes.checks_of(engine, build_id)
    if not rows:
        raise PublishError(
            f"Build {build_id} has not been checked, so it is not published.",
            hint="Run `lakehouse check`, then publish again.",
        )
    failed = publishes.failed_checks(rows)
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


def _readable_snapshot(lake: duckdb.DuckDBPyConnection, gold: builds.Gold) -> int:
    """The snapshot of ``gold``; where it has expired the newest, if the marts are as they were."""
    if catalog.snapshot_is_kept(lake, gold.snapshot):
        return gold.snapshot
    newest = lakes.snapshot_id(lake)
    if catalog.last_change(lake, "marts", newest) > gold.snapshot:
        raise PublishError(
            f"The lake no longer keeps snapshot {gold.snapshot}, in which the marts were whole.",
            hint="Run `lakehouse build`, then publish again.",
        )
    return newest


def _lake_counts(lake: duckdb.DuckDBPyConnection, snapshot: int) -> dict[str, int]:
    counts = {}
    for table in catalog.tables(lake, "marts", snapshot):
        row = lake.execute(
            f"select count(*) from {lakes.LAKE}.marts.{identifier(table)} at (version => {snapshot})"
        ).fetchone()
        counts[table] = int(row[0]) if row else 0
    return counts


def _holds(publication: Publication, gold: builds.Gold) -> bool:
    return (publication.build_id, publication.snapshot_id) == (gold.build_id, gold.snapshot)


# -- the record -------------------------------------------------------------------------------


def _highest_number(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.max(models.Publish.n))) or 0


def _intend_switch(
    engine: Engine, publication: Publication, counts: Mapping[str, int], actor: str
) -> None:
    """Note that readers are about to be shown a new publication: whoever dies now is found out."""
    with Session(engine) as session, session.begin():
        _upsert(session, publication, counts, actor, state="switching")


def _intend_return(engine: Engine, n: int, build_id: str | None, actor: str) -> list[str]:
    """The same for an earlier one; what it does not hold stops being PUBLISHED before."""
    with Session(engine) as session, session.begin():
        hidden = publishes.mark_hidden(
            session, build_id, actor=actor, reason=f"publish {n} is shown again, without it"
        )
        session.execute(
            update(models.Publish).where(models.Publish.n == n).values(state="returning")
        )
    return hidden


def _upsert(
    session: Session, publication: Publication, counts: Mapping[str, int], actor: str, *, state: str
) -> None:
    values = {
        "n": publication.n,
        "schema_name": publication.place,
        "build_id": publication.build_id,
        "snapshot_id": publication.snapshot_id,
        "state": state,
        "row_counts": dict(counts),
        "published_at": publication.published_at,
        "actor": actor,
    }
    kept = {name: values[name] for name in ("build_id", "snapshot_id", "state", "row_counts")}
    session.execute(
        insert(models.Publish).values(values).on_conflict_do_update(index_elements=["n"], set_=kept)
    )


def _record_publication(
    engine: Engine,
    publication: Publication,
    counts: Mapping[str, int],
    run_id: str | None,
    actor: str,
    *,
    action: str = "publish.published",
) -> publishes.Shown:
    """What readers see now, with its audit event where that is new."""
    with Session(engine) as session:
        row = session.get(models.Publish, publication.n)
        known = row is not None and (row.state, row.build_id, row.snapshot_id) == (
            "current",
            publication.build_id,
            publication.snapshot_id,
        )
    if known:
        return _correct_states(engine, publication, actor)
    with Session(engine) as session, session.begin():
        _upsert(session, publication, counts, actor, state="previous")
        return _switched(
            session,
            publication.n,
            publication.build_id,
            audit.Event(
                actor=actor,
                action=action,
                subject=f"publish:{publication.n}",
                after={
                    "build_id": publication.build_id,
                    "snapshot_id": publication.snapshot_id,
                    "rows": sum(counts.values()),
                    "run_id": run_id,
                },
            ),
        )


def _correct_states(engine: Engine, publication: Publication | None, actor: str) -> publishes.Shown:
    """Have the states say what readers see: this publication, or none."""
    build_id = publication.build_id if publication is not None else None
    with Session(engine) as session, session.begin():
        return publishes.mark_shown(
            session, build_id, actor=actor, reason=f"readers see build {build_id or 'none'}"
        )


def _record_switch(
    engine: Engine, n: int, build_id: str | None, event: audit.Event
) -> publishes.Shown:
    with Session(engine) as session, session.begin():
        return _switched(session, n, build_id, event)


def _switched(
    session: Session, n: int, build_id: str | None, event: audit.Event
) -> publishes.Shown:
    """Number ``n`` is current now: record, states of submissions and audit event in one transaction."""
    audit.lock(session)
    session.execute(
        update(models.Publish).where(models.Publish.state == "current").values(state="previous")
    )
    session.execute(update(models.Publish).where(models.Publish.n == n).values(state="current"))
    audit.append(session, event)
    return publishes.mark_shown(
        session, build_id, actor=event.actor, reason=f"readers see build {build_id}"
    )


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
            .on_conflict_do_update(index_elements=["n"], set_={"state": "failed"})
        )


def _reconcile(engine: Engine, place: Target, actor: str) -> None:
    """Correct the record from the target, and clear what a killed publisher left there."""
    current = place.current()
    with Session(engine) as session:
        recorded = {row.n: row.state for row in session.scalars(select(models.Publish))}
    if current is not None and recorded.get(current.n) != "current":
        seen_before = recorded.get(current.n) in ("returning", "previous")
        _record_publication(
            engine,
            current,
            place.count(current.n),
            None,
            actor,
            action="publish.rolled_back" if seen_before else "publish.published",
        )
        recorded[current.n] = "current"
    unseen = {n: state for n, state in recorded.items() if state in ("switching", "returning")}
    if unseen:
        # A new publication that nobody saw is none; an earlier one stays what it was.
        after = {n: "failed" if state == "switching" else "previous" for n, state in unseen.items()}
        with Session(engine) as session, session.begin():
            for n, state in after.items():
                session.execute(
                    update(models.Publish).where(models.Publish.n == n).values(state=state)
                )
        recorded |= after
        _correct_states(engine, current, actor)
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
