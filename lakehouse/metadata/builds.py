"""Builds: which submissions one run of dbt adds to Silver or removes from it.

The builder holds ``lakehouse.lake.layer_lock(settings, "silver")`` from :func:`start_build` to
:func:`finish_build`: whoever holds it knows that no other build is alive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine, case, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from lakehouse.errors import BuildError
from lakehouse.metadata import audit, models, submissions
from lakehouse.metadata.ids import next_id


@dataclass(frozen=True)
class Build:
    """A running build. ``pending`` maps a submission id to ``added`` or ``removed``."""

    build_id: str
    full_refresh: bool
    started_at: datetime
    max_queue_id: int
    pending: Mapping[str, str] = field(default_factory=dict)
    abandoned: str | None = None

    @property
    def nothing_to_do(self) -> bool:
        return not self.pending and not self.full_refresh


@dataclass(frozen=True)
class Finished:
    """What a finished build consumed: submissions that are in Silver now, and that left it."""

    build_id: str
    status: str
    integrated: list[str]
    removed: list[str]


def pending(engine: Engine) -> dict[str, str]:
    """What the next build would add or remove."""
    with Session(engine) as session:
        return _queue(session)[0]


def waiting_since(engine: Engine) -> datetime | None:
    """When what waits longest for Silver was queued."""
    with Session(engine) as session:
        return session.scalar(select(func.min(models.IntegrationQueue.enqueued_at)))


def start_build(engine: Engine, *, full_refresh: bool, run_id: str | None, actor: str) -> Build:
    """Register a build over everything in the queue now.

    A build that still counts as running died with its process (see the module's first lines): it
    is marked failed, and its submissions are in the queue still.
    """
    now = datetime.now(UTC)
    with Session(engine) as session, session.begin():
        audit.lock(session)
        abandoned = session.scalar(
            update(models.Build)
            .where(models.Build.status == "running")
            .values(status="failed", finished_at=now, note="abandoned: its process ended")
            .returning(models.Build.build_id)
        )
        changes, max_queue_id = _queue(session)
        build_id = next_id(session.scalar(select(func.max(models.Build.build_id))), now)
        session.execute(
            insert(models.Build),
            [
                {
                    "build_id": build_id,
                    "started_at": now,
                    "status": "running",
                    "full_refresh": full_refresh,
                    "run_id": run_id,
                    "max_queue_id": max_queue_id,
                }
            ],
        )
        if changes:
            session.execute(
                insert(models.BuildSubmission),
                [
                    {"build_id": build_id, "submission_id": submission_id, "change": change}
                    for submission_id, change in changes.items()
                ],
            )
        audit.append(
            session,
            audit.Event(
                actor=actor,
                action="build.started",
                subject=f"build:{build_id}",
                after={"full_refresh": full_refresh, "pending": len(changes), "run_id": run_id},
            ),
        )
    return Build(build_id, full_refresh, now, max_queue_id, changes, abandoned)


def to_judge(engine: Engine, build_id: str) -> list[str]:
    """Submissions that the build adds and whose rows, as they are now, no rule has judged yet."""
    with Session(engine) as session:
        return list(
            session.scalars(
                select(models.BuildSubmission.submission_id)
                .join(
                    models.Submission,
                    models.Submission.submission_id == models.BuildSubmission.submission_id,
                )
                .where(
                    models.BuildSubmission.build_id == build_id,
                    models.BuildSubmission.change == "added",
                    models.Submission.judged_at.is_(None),
                )
                .order_by(models.BuildSubmission.submission_id)
            )
        )


def try_with(engine: Engine, build_id: str, candidates: Sequence[str], kept: Sequence[str]) -> None:
    """Let the running build add of the candidates only those kept, and remove the others.

    For a trial: the queue is not touched, so a build that follows a crash takes in all of them.
    """
    change = case((models.BuildSubmission.submission_id.in_(kept), "added"), else_="removed")
    with Session(engine) as session, session.begin():
        session.execute(
            update(models.BuildSubmission)
            .where(
                models.BuildSubmission.build_id == build_id,
                models.BuildSubmission.submission_id.in_(candidates),
            )
            .values(change=change)
            .execution_options(synchronize_session=False)
        )


def hold(
    engine: Engine,
    build_id: str,
    breaches: Mapping[str, Sequence[submissions.Breach]],
    *,
    actor: str,
) -> list[str]:
    """Take submissions that break error rules out of the running build; gives those held.

    The build removes their rows and adds those of what they had replaced; the queue says the same,
    so that a build that follows a crash does too. A submission that somebody withdrew, replaced or
    landed again meanwhile only leaves this build: its next change is in the queue.
    """
    held = []
    with Session(engine) as session, session.begin():
        audit.lock(session)  # nobody else writes the queue meanwhile
        newest = session.scalar(select(func.coalesce(func.max(models.IntegrationQueue.id), 0)))
        for submission_id, broken in sorted(breaches.items()):
            if submissions.get(session, submission_id).state == "LANDED":
                submissions.hold(session, submission_id, broken, build_id=build_id, actor=actor)
                held.append(submission_id)
        session.execute(
            update(models.BuildSubmission)
            .where(
                models.BuildSubmission.build_id == build_id,
                models.BuildSubmission.submission_id.in_(breaches),
            )
            .values(change="removed")
        )
        queued = session.execute(
            select(
                models.IntegrationQueue.id.label("queue_id"),
                models.IntegrationQueue.submission_id,
                models.IntegrationQueue.change,
            ).where(models.IntegrationQueue.id > newest)
        ).all()
        changed = postgresql.insert(models.BuildSubmission)
        for row in queued:
            session.execute(
                changed.values(build_id=build_id, **row._asdict()).on_conflict_do_update(
                    index_elements=["build_id", "submission_id"],
                    set_={"change": row.change, "queue_id": row.queue_id},
                )
            )
    return held


def finish_build(
    engine: Engine,
    build_id: str,
    status: str,
    snapshot: int | None,
    *,
    actor: str = "lakehouse",
    note: str | None = None,
) -> Finished:
    """Close a build with ``status`` ``succeeded`` or ``failed``.

    On success its added submissions become INTEGRATED (unless they were withdrawn or superseded
    meanwhile: that is in the queue for the next build) and its queue rows are removed, in one
    transaction. On failure nothing is consumed.
    """
    if status not in ("succeeded", "failed"):
        raise ValueError(f"a build ends as succeeded or failed, not as {status}")
    with Session(engine) as session, session.begin():
        audit.lock(session)
        build = session.get(models.Build, build_id, with_for_update=True)
        if build is None or build.status != "running":
            raise BuildError(
                f"Build {build_id} is not running"
                + ("." if build is None else f": it is {build.status}."),
                hint="Another build took over; run the build again.",
            )
        build.status, build.finished_at, build.note = status, datetime.now(UTC), note
        build.silver_snapshot = snapshot
        integrated: list[str] = []
        removed: list[str] = []
        if status == "succeeded":
            integrated, removed = _consume(session, build, actor)
        audit.append(
            session,
            audit.Event(
                actor=actor,
                action=f"build.{status}",
                subject=f"build:{build_id}",
                reason=note,
                after={
                    "silver_snapshot": snapshot,
                    "integrated": len(integrated),
                    "removed": len(removed),
                },
            ),
        )
    return Finished(build_id, status, integrated, removed)


def succeeded_id(engine: Engine) -> str | None:
    """The newest successful build, where there is one."""
    with Session(engine) as session:
        return session.scalar(
            select(func.max(models.Build.build_id)).where(models.Build.status == "succeeded")
        )


@dataclass(frozen=True)
class Gold:
    """What Gold and marts hold: a build of Silver, whole in ``snapshot`` of the lake."""

    build_id: str
    snapshot: int


def record_gold(engine: Engine, build_id: str, snapshot: int, *, actor: str) -> None:
    """Say that Gold and marts hold this build. To be said last: after the tables and their checks.

    A run that is killed before leaves no record, so Gold is made again; what it was before is still
    whole in the snapshot of the record before. The caller holds the layers' lock.
    """
    with Session(engine) as session, session.begin():
        audit.lock(session)
        session.execute(
            update(models.Build)
            .where(models.Build.build_id == build_id)
            .values(gold_snapshot=snapshot)
        )
        audit.append(
            session,
            audit.Event(
                actor=actor,
                action="gold.built",
                subject=f"build:{build_id}",
                after={"gold_snapshot": snapshot},
            ),
        )


def gold(engine: Engine) -> Gold | None:
    """What Gold and marts held when they were last whole; None before the first time."""
    with Session(engine) as session:
        row = session.execute(
            select(models.Build.build_id, models.Build.gold_snapshot)
            .where(models.Build.gold_snapshot.is_not(None))
            .order_by(models.Build.build_id.desc())
            .limit(1)
        ).one_or_none()
    return Gold(row.build_id, row.gold_snapshot) if row is not None else None


def not_in_gold(engine: Engine) -> list[str]:
    """Submissions that Silver took in after the build that Gold held when it was last whole."""
    held = gold(engine)
    with Session(engine) as session:
        return list(
            session.scalars(
                select(models.BuildSubmission.submission_id)
                .join(models.Build, models.Build.build_id == models.BuildSubmission.build_id)
                .join(
                    models.Submission,
                    models.Submission.submission_id == models.BuildSubmission.submission_id,
                )
                .where(
                    models.BuildSubmission.change == "added",
                    models.Submission.in_silver,
                    models.Build.build_id > (held.build_id if held is not None else ""),
                )
                .distinct()
                .order_by(models.BuildSubmission.submission_id)
            )
        )


def whole_silver(engine: Engine) -> str:
    """The build that Silver holds. Raises :class:`BuildError` where the newest one did not succeed.

    Whoever builds on Silver holds its lock, shared, meanwhile: then no build is alive.
    """
    with Session(engine) as session:
        newest = _newest(session)
    if newest is None:
        raise BuildError("Nothing has been built yet.", hint="Run `lakehouse run`.")
    if newest.status != "succeeded":
        raise BuildError(
            f"Build {newest.build_id} left Silver unfinished, so nothing is built on it.",
            hint="Run `lakehouse run`: it finishes Silver first.",
        )
    return newest.build_id


def newest_id(engine: Engine) -> str | None:
    """The newest build, whatever became of it."""
    with Session(engine) as session:
        return session.scalar(select(func.max(models.Build.build_id)))


def unfinished(engine: Engine) -> bool:
    """Whether the newest build did not get through Silver, Gold, marts and their checks."""
    with Session(engine) as session:
        newest = _newest(session)
    return newest is not None and (newest.status != "succeeded" or newest.gold_snapshot is None)


def last_changes(session: Session, *, until: str | None = None) -> dict[str, tuple[str, str]]:
    """For each submission the last successful build that changed it, and the change.

    With ``until`` as it was after that build. Who was ``added`` last is in Silver.
    """
    query = (
        select(
            models.BuildSubmission.submission_id,
            models.BuildSubmission.build_id,
            models.BuildSubmission.change,
        )
        .join(models.Build, models.Build.build_id == models.BuildSubmission.build_id)
        .where(models.Build.status == "succeeded")
        .distinct(models.BuildSubmission.submission_id)
        .order_by(models.BuildSubmission.submission_id, models.BuildSubmission.build_id.desc())
    )
    if until is not None:
        query = query.where(models.Build.build_id <= until)
    return {row.submission_id: (row.build_id, row.change) for row in session.execute(query)}


def queued(session: Session) -> dict[str, str]:
    """The last change of each submission that waits for Silver."""
    return _queue(session)[0]


def _newest(session: Session) -> models.Build | None:
    return session.scalars(
        select(models.Build).order_by(models.Build.build_id.desc()).limit(1)
    ).one_or_none()


def _queue(session: Session) -> tuple[dict[str, str], int]:
    """The last change of each queued submission, and the newest queue id."""
    rows = session.execute(
        select(
            models.IntegrationQueue.id,
            models.IntegrationQueue.submission_id,
            models.IntegrationQueue.change,
        ).order_by(models.IntegrationQueue.id)
    ).all()
    changes = {row.submission_id: row.change for row in rows}
    return dict(sorted(changes.items())), rows[-1].id if rows else 0


def _consume(session: Session, build: models.Build, actor: str) -> tuple[list[str], list[str]]:
    changes = {
        row.submission_id: row.change
        for row in session.execute(
            select(models.BuildSubmission.submission_id, models.BuildSubmission.change).where(
                models.BuildSubmission.build_id == build.build_id
            )
        )
    }
    added = [name for name, change in changes.items() if change == "added"]
    removed = [name for name, change in changes.items() if change == "removed"]
    for names, in_silver in ((added, True), (removed, False)):
        session.execute(
            update(models.Submission)
            .where(models.Submission.submission_id.in_(names))
            .values(in_silver=in_silver)
            .execution_options(synchronize_session=False)
        )
    session.execute(
        update(models.Submission)
        .where(
            models.Submission.submission_id.in_(added),
            models.Submission.judged_at.is_(None),
            # Landed again while the build ran: those rows were not judged.
            or_(
                models.Submission.landed_at.is_(None),
                models.Submission.landed_at <= build.started_at,
            ),
        )
        .values(judged_at=func.now())
        .execution_options(synchronize_session=False)
    )
    integrated = submissions.transition_all(
        session,
        added,
        "INTEGRATED",
        actor=actor,
        reason=f"built into Silver by build {build.build_id}",
        only_from="LANDED",
    )
    of_holds = select(models.BuildSubmission.queue_id).where(
        models.BuildSubmission.build_id == build.build_id,
        models.BuildSubmission.queue_id.is_not(None),
    )
    session.execute(
        delete(models.IntegrationQueue).where(
            or_(
                models.IntegrationQueue.id <= build.max_queue_id,
                models.IntegrationQueue.id.in_(of_holds),
            )
        )
    )
    return integrated, removed
