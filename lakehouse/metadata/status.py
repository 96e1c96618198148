"""Where everything stands, read in one place for the command line, Dagster and the hub.

Nothing here names a file of a submitter except :func:`quarantined`, whose caller decides whether
to show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from lakehouse.metadata import models


@dataclass(frozen=True)
class SubmissionLine:
    """One submission, of the drop ``drop``. ``arrived``, ``accepted``, ``quarantined`` count records
    of its files."""

    submission_id: str
    drop: str
    submitter: str
    file_type: str
    state: str
    state_reason: str | None
    file_count: int
    byte_count: int
    arrived: int
    accepted: int
    quarantined: int
    supersedes: str | None
    received_at: datetime


@dataclass(frozen=True)
class OpenGroup:
    """A drop that is still arriving, and what closes it."""

    group_key: str
    file_count: int
    byte_count: int
    last_changed_at: datetime
    note: str | None


@dataclass(frozen=True)
class ReasonCount:
    """How many items (files, entries, lines) and records were not taken for one reason."""

    reason: str
    items: int
    records: int
    submissions: int


@dataclass(frozen=True)
class QuarantinedItem:
    """One thing that was not taken. ``path`` is the submitter's file name: show it with care."""

    submission_id: str
    path: str
    position: str | None
    reason: str
    detail: str
    record_count: int
    sample: Mapping[str, Any] | None
    created_at: datetime


@dataclass(frozen=True)
class ReviewItem:
    """A file whose type a person has to name. ``path`` is the submitter's: show it with care."""

    submission_id: str
    path: str
    note: str | None


@dataclass(frozen=True)
class BuildLine:
    """One build. ``added`` and ``removed`` count submissions."""

    build_id: str
    status: str
    note: str | None
    full_refresh: bool
    started_at: datetime
    finished_at: datetime | None
    silver_snapshot: int | None
    added: int
    removed: int


@dataclass(frozen=True)
class PublishLine:
    """The publish that readers see."""

    n: int
    schema_name: str
    build_id: str | None
    published_at: datetime
    row_counts: Mapping[str, Any]


@dataclass(frozen=True)
class CheckLine:
    """One rule, as evaluated last."""

    layer: str
    table_name: str
    rule: str
    column_name: str | None
    severity: str
    passed: bool
    observed: Mapping[str, Any] | None
    expected: str | None
    message: str | None
    build_id: str | None
    checked_at: datetime


@dataclass(frozen=True)
class HeldLine:
    """One error rule that keeps a held submission out of Silver, with its numbers."""

    submission_id: str
    submitter: str
    file_type: str
    layer: str
    table_name: str
    rule: str
    observed: Mapping[str, Any]
    expected: str
    message: str
    held_at: datetime


@dataclass(frozen=True)
class Stage:
    """When something last reached a stage, and how long ago; None where nothing has yet."""

    stage: str
    newest_at: datetime | None
    age_seconds: float | None


@dataclass(frozen=True)
class StatusReport:
    """Everything ``lakehouse status`` shows. Checks are what each rule says now."""

    submissions_by_state: Mapping[str, int]
    submissions: Sequence[SubmissionLine]
    open_groups: Sequence[OpenGroup]
    duplicates: int
    needs_review: Sequence[ReviewItem]
    quarantine: Sequence[ReasonCount]
    arrived: int
    accepted: int
    quarantined: int
    held: Sequence[HeldLine]
    waiting_for_silver: int
    last_build: BuildLine | None
    last_publish: PublishLine | None
    checks_passed: int
    checks_failed: int
    failed_checks: Sequence[CheckLine]
    freshness: Sequence[Stage]


#: Quarantine of submissions in these states no longer concerns anybody.
_GONE = ("SUPERSEDED", "WITHDRAWN")


def status(engine: Engine, *, newest: int = 20) -> StatusReport:
    """Read everything in one consistent snapshot; ``newest`` limits the submissions listed."""
    with Session(engine) as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        checks = _latest_checks(session)
        lines = _submissions(session, newest)
        balance = session.execute(
            select(
                func.coalesce(func.sum(models.SubmissionFile.arrived), 0),
                func.coalesce(func.sum(models.SubmissionFile.accepted), 0),
                func.coalesce(func.sum(models.SubmissionFile.quarantined), 0),
            )
            .join(
                models.Submission,
                models.Submission.submission_id == models.SubmissionFile.submission_id,
            )
            .where(models.Submission.state.not_in(_GONE))
        ).one()
        return StatusReport(
            submissions_by_state=_by_state(session),
            submissions=lines,
            open_groups=_open_groups(session),
            duplicates=session.scalar(
                select(func.count()).where(models.InboxGroup.outcome == "duplicate")
            )
            or 0,
            needs_review=_review(session),
            quarantine=_reasons(session),
            arrived=int(balance[0]),
            accepted=int(balance[1]),
            quarantined=int(balance[2]),
            held=_held(session),
            waiting_for_silver=session.scalar(
                select(func.count(models.IntegrationQueue.submission_id.distinct()))
            )
            or 0,
            last_build=_last_build(session),
            last_publish=_last_publish(session),
            checks_passed=sum(check.passed for check in checks),
            checks_failed=sum(not check.passed for check in checks),
            failed_checks=[check for check in checks if not check.passed],
            freshness=_freshness(session),
        )


def quarantined(
    engine: Engine, *, submission_id: str | None = None, limit: int = 50
) -> list[QuarantinedItem]:
    """What was not taken, newest first; of live submissions, or of the one named."""
    query = select(models.Quarantine).order_by(models.Quarantine.id.desc()).limit(limit)
    if submission_id is None:
        query = query.join(
            models.Submission, models.Submission.submission_id == models.Quarantine.submission_id
        ).where(models.Submission.state.not_in(_GONE))
    else:
        query = query.where(models.Quarantine.submission_id == submission_id)
    with Session(engine) as session:
        return [
            QuarantinedItem(
                submission_id=item.submission_id,
                path=item.path,
                position=item.position,
                reason=item.reason,
                detail=item.detail,
                record_count=item.record_count,
                sample=item.sample,
                created_at=item.created_at,
            )
            for item in session.scalars(query)
        ]


def latest_checks(engine: Engine) -> list[CheckLine]:
    """What each rule says now (the view ``ops.current_check``), failed ones first."""
    with Session(engine) as session:
        return _latest_checks(session)


def held(engine: Engine) -> list[HeldLine]:
    """What is held now, and by which rules, in the order of registration."""
    with Session(engine) as session:
        return _held(session)


def errors_of_run(engine: Engine, run_id: str) -> list[str]:
    """``layer.table rule: numbers`` of each error that failed when this Dagster run checked it."""
    check = models.CheckResult
    with Session(engine) as session:
        rows = session.execute(
            select(check.layer, check.table_name, check.rule, check.message)
            .where(check.run_id == run_id, ~check.passed, check.severity == "error")
            .distinct()
            .order_by(check.layer, check.table_name, check.rule)
        )
        return [f"{layer}.{table} {rule}: {message}" for layer, table, rule, message in rows]


def _by_state(session: Session) -> dict[str, int]:
    counts = session.execute(
        select(models.Submission.state, func.count()).group_by(models.Submission.state)
    )
    found = {row[0]: row[1] for row in counts}
    return {state: found[state] for state in models.STATES if state in found}


def _submissions(session: Session, newest: int) -> list[SubmissionLine]:
    chosen = (
        select(models.Submission)
        .order_by(models.Submission.submission_id.desc())
        .limit(newest)
        .subquery()
    )
    files = models.SubmissionFile
    rows = session.execute(
        select(
            chosen.c.submission_id,
            chosen.c.drop_id.label("drop"),
            chosen.c.submitter,
            chosen.c.file_type,
            chosen.c.state,
            chosen.c.state_reason,
            chosen.c.file_count,
            chosen.c.byte_count,
            func.coalesce(func.sum(files.arrived), 0).label("arrived"),
            func.coalesce(func.sum(files.accepted), 0).label("accepted"),
            func.coalesce(func.sum(files.quarantined), 0).label("quarantined"),
            chosen.c.supersedes,
            chosen.c.received_at,
        )
        .outerjoin(files, files.submission_id == chosen.c.submission_id)
        .group_by(*chosen.c)
        .order_by(chosen.c.submission_id.desc())
    )
    return [
        SubmissionLine(
            **{
                **row._asdict(),
                "arrived": int(row.arrived),
                "accepted": int(row.accepted),
                "quarantined": int(row.quarantined),
            }
        )
        for row in rows
    ]


def _open_groups(session: Session) -> list[OpenGroup]:
    groups = session.scalars(
        select(models.InboxGroup)
        .where(models.InboxGroup.outcome == "open")
        .order_by(models.InboxGroup.group_key)
    )
    return [
        OpenGroup(
            group.group_key, group.file_count, group.byte_count, group.last_changed_at, group.note
        )
        for group in groups
    ]


def _review(session: Session) -> list[ReviewItem]:
    rows = session.execute(
        select(
            models.SubmissionFile.submission_id,
            models.SubmissionFile.path,
            models.SubmissionFile.note,
        )
        .join(
            models.Submission,
            models.Submission.submission_id == models.SubmissionFile.submission_id,
        )
        .where(models.SubmissionFile.outcome == "review", models.Submission.state == "NEEDS_REVIEW")
        .order_by(models.SubmissionFile.submission_id, models.SubmissionFile.path)
    )
    return [ReviewItem(*row) for row in rows]


def _reasons(session: Session) -> list[ReasonCount]:
    rows = session.execute(
        select(
            models.Quarantine.reason,
            func.count(),
            func.sum(models.Quarantine.record_count),
            func.count(models.Quarantine.submission_id.distinct()),
        )
        .join(models.Submission, models.Submission.submission_id == models.Quarantine.submission_id)
        .where(models.Submission.state.not_in(_GONE))
        .group_by(models.Quarantine.reason)
        .order_by(func.sum(models.Quarantine.record_count).desc(), models.Quarantine.reason)
    )
    return [ReasonCount(reason, items, int(records), held) for reason, items, records, held in rows]


def _last_build(session: Session) -> BuildLine | None:
    build = session.scalars(
        select(models.Build).order_by(models.Build.build_id.desc()).limit(1)
    ).one_or_none()
    if build is None:
        return None
    changes = session.scalars(
        select(models.BuildSubmission.change).where(
            models.BuildSubmission.build_id == build.build_id
        )
    ).all()
    return BuildLine(
        build_id=build.build_id,
        status=build.status,
        note=build.note,
        full_refresh=build.full_refresh,
        started_at=build.started_at,
        finished_at=build.finished_at,
        silver_snapshot=build.silver_snapshot,
        added=changes.count("added"),
        removed=changes.count("removed"),
    )


def _last_publish(session: Session) -> PublishLine | None:
    publish = session.scalars(
        select(models.Publish)
        .where(models.Publish.state == "current")
        .order_by(models.Publish.n.desc())
        .limit(1)
    ).one_or_none()
    if publish is None:
        return None
    return PublishLine(
        n=publish.n,
        schema_name=publish.schema_name,
        build_id=publish.build_id,
        published_at=publish.published_at,
        row_counts=publish.row_counts,
    )


def _latest_checks(session: Session) -> list[CheckLine]:
    check = models.OPS_CURRENT_CHECK.c
    rows = session.execute(
        select(*check).order_by(
            check.passed,
            check.severity,
            check.layer,
            check.table_name,
            check.rule,
            check.column_name,
        )
    )
    return [CheckLine(**row._asdict()) for row in rows]


def _held(session: Session) -> list[HeldLine]:
    line = models.OPS_HELD_SUBMISSION.c
    rows = session.execute(
        select(*line).order_by(line.submission_id, line.layer, line.table_name, line.rule)
    )
    return [HeldLine(**row._asdict()) for row in rows]


def _freshness(session: Session) -> list[Stage]:
    freshness = models.OPS_FRESHNESS
    rows = session.execute(
        select(freshness.c.stage, freshness.c.newest_at, freshness.c.age_seconds)
    )
    return [Stage(*row) for row in rows]
