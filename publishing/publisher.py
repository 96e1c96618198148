"""One publish from gate to switch: what may be published, of which lake snapshot, and the record.

The target's own views say what readers see; the ``publish`` rows of the metadata database are its
record and are corrected from the target when a crash came between the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import duckdb
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from lakehouse import lake as lakes
from lakehouse.errors import PublishError
from lakehouse.lake import catalog
from lakehouse.metadata import builds, models, publishes
from lakehouse.progress import report
from lakehouse.settings import Settings
from publishing import record
from publishing.opening import WAIT_SECONDS, lake_counts, opened_lake, opened_target
from publishing.reports import PublishReport
from publishing.target import Publication, Target


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
        opened_target(settings, target) as place,
        place.exclusive(wait_seconds),
        opened_lake(settings, con) as lake,
    ):
        place.prepare()
        record.reconcile(engine, place, actor)
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
        number = max(record.highest_number(engine), *place.present(), 0) + 1
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
                record.record_failure(engine, place, publication, actor)
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
    with opened_target(settings, target) as place, place.exclusive(wait_seconds):
        record.reconcile(engine, place, actor)
        record.correct_states(engine, place.current(), actor)


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
        _refuse_different_counts(counts, lake_counts(lake, snapshot))
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
    record.intend_switch(engine, publication, counts, actor)
    with _timed(seconds, "switch"):
        switch = place.switch(
            publication.n, drop_broken_views=drop_broken_views, wait_seconds=wait_seconds
        )
    shown = record.record_publication(engine, publication, counts, run_id, actor)
    with _timed(seconds, "clean up"):
        discarded, busy = record.discard_old(settings, engine, place, publication.n)
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
    shown = record.record_publication(engine, current, counts, None, actor)
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


def _holds(publication: Publication, gold: builds.Gold) -> bool:
    return (publication.build_id, publication.snapshot_id) == (gold.build_id, gold.snapshot)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - started
