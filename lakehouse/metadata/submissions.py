"""States of submissions: the only code that changes them.

Each move is one transaction of the caller that also appends the audit event and, where Silver has
to hear of it, a row of the integration queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, func, insert, select
from sqlalchemy.orm import Session

from lakehouse.errors import IntakeError
from lakehouse.metadata import audit
from lakehouse.metadata.ids import next_id
from lakehouse.metadata.models import AuditEvent, IntegrationQueue, Submission

_LEAVES = frozenset({"QUARANTINED", "SUPERSEDED", "WITHDRAWN"})

#: From a state to the states that may follow it. A landed submission may be landed again, and goes
#: back to STAGED when files of it can be read that could not before; its rows stay meanwhile.
ALLOWED: dict[str, frozenset[str]] = {
    "RECEIVED": frozenset({"STAGED", "NEEDS_REVIEW"}) | _LEAVES,
    "NEEDS_REVIEW": frozenset({"STAGED"}) | _LEAVES,
    "STAGED": frozenset({"LANDED", "NEEDS_REVIEW"}) | _LEAVES,
    "LANDED": frozenset({"STAGED", "LANDED", "INTEGRATED"}) | _LEAVES,
    "INTEGRATED": frozenset({"STAGED", "LANDED", "PUBLISHED"}) | _LEAVES,
    "PUBLISHED": frozenset({"STAGED", "LANDED"}) | _LEAVES,
    "QUARANTINED": frozenset({"STAGED", "LANDED", "SUPERSEDED", "WITHDRAWN"}),
    "SUPERSEDED": frozenset({"WITHDRAWN"}),
    "WITHDRAWN": frozenset(),
}

_REACHED_AT = {
    "STAGED": "staged_at",
    "LANDED": "landed_at",
    "INTEGRATED": "integrated_at",
    "PUBLISHED": "published_at",
    "WITHDRAWN": "withdrawn_at",
}


def get(session: Session, submission_id: str) -> Submission:
    """The submission. Raises :class:`IntakeError` when there is none."""
    submission = session.get(Submission, submission_id)
    if submission is None:
        raise _unknown(submission_id)
    return submission


def new_id(session: Session, now: datetime) -> str:
    """An id that sorts after every submission registered so far. Holds the writers' lock."""
    audit.lock(session)
    return next_id(session.scalar(select(func.max(Submission.submission_id))), now)


def transition(
    session: Session,
    submission_id: str,
    to: str,
    *,
    actor: str,
    reason: str | None,
    **fields: Any,
) -> Submission:
    """Move a submission to state ``to``, with its audit event, in the caller's transaction.

    ``fields`` are further columns to set. Reaching LANDED puts the submission into the integration
    queue and supersedes the submissions it replaces (their rows leave Silver in the same build in
    which its rows arrive); leaving the lake (WITHDRAWN, SUPERSEDED, QUARANTINED) puts it there as
    removed. Raises :class:`IntakeError` when the submission is unknown or may not move so.
    """
    audit.lock(session)
    submission = _locked(session, submission_id)
    if to not in ALLOWED.get(submission.state, frozenset()):
        raise IntakeError(
            f"Submission {submission_id} is {submission.state} and cannot become {to}.",
            hint="`lakehouse status` shows where each submission stands.",
        )
    _move(session, submission, to, actor=actor, reason=reason, fields=fields)
    if to == "LANDED":
        _supersede_predecessors(session, submission, actor=actor)
    session.flush()
    return submission


def transition_all(
    session: Session,
    submission_ids: Iterable[str],
    to: str,
    *,
    actor: str,
    reason: str | None,
    only_from: str,
) -> list[str]:
    """Move those of ``submission_ids`` that are in ``only_from``; returns which were moved."""
    wanted = sorted(set(submission_ids))
    if not wanted:
        return []
    if to not in ALLOWED[only_from] or to == "LANDED":
        raise ValueError(f"{only_from} to {to} is no move for many")
    audit.lock(session)
    rows = session.scalars(
        select(Submission)
        .where(Submission.submission_id.in_(wanted), Submission.state == only_from)
        .order_by(Submission.submission_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for submission in rows:
        _move(session, submission, to, actor=actor, reason=reason, fields={})
    session.flush()
    return [submission.submission_id for submission in rows]


def restore(session: Session, submission_id: str, *, actor: str, reason: str) -> Submission:
    """Bring a superseded submission back because what replaced it was withdrawn.

    It returns to where the audit trail says it stood; where that was the lake, it becomes LANDED
    and is queued for Silver as added.
    """
    audit.lock(session)
    submission = _locked(session, submission_id)
    if submission.state != "SUPERSEDED":
        raise IntakeError(f"Submission {submission_id} is {submission.state}: nothing to restore.")
    before = session.scalars(
        select(AuditEvent.before)
        .where(
            AuditEvent.subject == f"submission:{submission_id}",
            AuditEvent.action == "submission.superseded",
        )
        .order_by(AuditEvent.id.desc())
        .limit(1)
    ).one()
    stood = str((before or {})["state"])
    to = "LANDED" if stood in ("LANDED", "INTEGRATED", "PUBLISHED") else stood
    _move(session, submission, to, actor=actor, reason=reason, fields={"superseded_by": None})
    session.flush()
    return submission


def lineage(session: Session, submission_id: str) -> list[Submission]:
    """The submission and what it replaces, newest first."""
    chain: list[Submission] = []
    following: str | None = submission_id
    while following is not None:
        submission = get(session, following)
        chain.append(submission)
        following = submission.supersedes
    return chain


def in_state(session: Session, *states: str) -> Sequence[Submission]:
    """Submissions in one of ``states``, in the order of registration."""
    return session.scalars(
        select(Submission).where(Submission.state.in_(states)).order_by(Submission.submission_id)
    ).all()


def staged(engine: Engine) -> list[str]:
    """Ids of the submissions that wait for landing, in the order of registration."""
    with Session(engine) as session:
        return [submission.submission_id for submission in in_state(session, "STAGED")]


def _supersede_predecessors(session: Session, submission: Submission, *, actor: str) -> None:
    following = submission.supersedes
    while following is not None:
        predecessor = _locked(session, following)
        if predecessor.state not in ("SUPERSEDED", "WITHDRAWN"):
            _move(
                session,
                predecessor,
                "SUPERSEDED",
                actor=actor,
                reason=f"replaced by submission {submission.submission_id}",
                fields={"superseded_by": submission.submission_id},
            )
        following = predecessor.supersedes


def _move(
    session: Session,
    submission: Submission,
    to: str,
    *,
    actor: str,
    reason: str | None,
    fields: dict[str, Any],
) -> None:
    before = submission.state
    was_landed = submission.landed_at is not None
    submission.state = to
    submission.state_reason = reason
    if to in _REACHED_AT:
        setattr(submission, _REACHED_AT[to], datetime.now(UTC))
    for name, value in fields.items():
        if name not in Submission.__table__.columns or name in ("submission_id", "state"):
            raise ValueError(f"submission has no column {name} to set")
        setattr(submission, name, value)
    after: dict[str, Any] = {"state": to, **fields}
    audit.append(
        session,
        audit.Event(
            actor=actor,
            action=f"submission.{to.lower()}",
            subject=f"submission:{submission.submission_id}",
            reason=reason,
            before={"state": before},
            after=after,
        ),
    )
    if to == "LANDED":
        _enqueue(session, submission.submission_id, "added")
    elif to in _LEAVES and was_landed:
        _enqueue(session, submission.submission_id, "removed")


def _enqueue(session: Session, submission_id: str, change: str) -> None:
    session.execute(insert(IntegrationQueue), [{"submission_id": submission_id, "change": change}])


def _locked(session: Session, submission_id: str) -> Submission:
    submission = session.scalars(
        select(Submission)
        .where(Submission.submission_id == submission_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if submission is None:
        raise _unknown(submission_id)
    return submission


def _unknown(submission_id: str) -> IntakeError:
    return IntakeError(
        f"There is no submission {submission_id}.", hint="`lakehouse status` lists them."
    )
