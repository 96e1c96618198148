"""States of submissions: the only code that changes them.

Each move is one transaction of the caller that also appends the audit event and, where Silver has
to hear of it, a row of the integration queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.orm import Session

from lakehouse.errors import IntakeError, UnknownSubmission
from lakehouse.metadata import audit
from lakehouse.metadata.ids import next_id
from lakehouse.metadata.models import AuditEvent, IntegrationQueue, Submission, SubmissionHold

_LEAVES = frozenset({"QUARANTINED", "SUPERSEDED", "WITHDRAWN"})

#: From a state to the states that may follow it. A landed submission may be landed again, and goes
#: back to STAGED when files of it can be read that could not before; its rows stay meanwhile.
ALLOWED: dict[str, frozenset[str]] = {
    "RECEIVED": frozenset({"STAGED", "NEEDS_REVIEW"}) | _LEAVES,
    "NEEDS_REVIEW": frozenset({"STAGED"}) | _LEAVES,
    "STAGED": frozenset({"LANDED", "NEEDS_REVIEW"}) | _LEAVES,
    "LANDED": frozenset({"STAGED", "LANDED", "INTEGRATED", "HELD"}) | _LEAVES,
    "INTEGRATED": frozenset({"STAGED", "LANDED", "PUBLISHED"}) | _LEAVES,
    # Readers may be shown an earlier publish again.
    "PUBLISHED": frozenset({"STAGED", "LANDED", "INTEGRATED"}) | _LEAVES,
    "HELD": frozenset({"STAGED", "LANDED"}) | _LEAVES,
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


@dataclass(frozen=True)
class Breach:
    """An error rule that a submission's rows break; ``observed`` are counts and shares."""

    layer: str
    table: str
    rule: str
    column: str | None
    observed: Mapping[str, float | int | str]
    expected: str
    message: str

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.table} {self.rule}"

    @property
    def told(self) -> str:
        return f"{self.name}: {self.message}"


def get(session: Session, submission_id: str) -> Submission:
    """The submission. Raises :class:`IntakeError` when there is none."""
    submission = session.get(Submission, submission_id)
    if submission is None:
        raise _unknown(submission_id)
    return submission


def drop_name(engine: Engine, submission_id: str) -> str:
    """The name of the drop that the submission was made of, for a person who asked."""
    with Session(engine) as session:
        return get(session, submission_id).drop_id


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
    queue, to be judged anew, and supersedes the submissions it replaces (their rows leave Silver in
    the same build in which its rows arrive); leaving the lake (WITHDRAWN, SUPERSEDED, QUARANTINED)
    puts it there as removed. HELD is reached by :func:`hold`. Raises :class:`IntakeError` when the
    submission is unknown or may not move so.
    """
    audit.lock(session)
    submission = _locked(session, submission_id)
    _refuse_impossible(submission, to)
    _move(session, submission, to, actor=actor, reason=reason, fields=fields)
    if to == "LANDED":
        submission.judged_at = None
        _set_holds(session, submission_id, "ended", where=("held", "released"))
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
    if to not in ALLOWED[only_from] or to in ("LANDED", "HELD"):
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
        _move(
            session,
            submission,
            to,
            actor=actor,
            reason=reason,
            fields={},
            reached=only_from != "PUBLISHED",
        )
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
    _move(
        session,
        submission,
        to,
        actor=actor,
        reason=reason,
        fields={"superseded_by": None},
        reached=False,
    )
    session.flush()
    return submission


def restore_replaced(
    session: Session, submission_id: str, *, actor: str, reason: str
) -> list[Submission]:
    """Bring back what this submission had replaced, newest first, down to the first in the lake."""
    replaced = [
        one.submission_id
        for one in lineage(session, submission_id)[1:]
        if one.state == "SUPERSEDED" and one.superseded_by == submission_id
    ]
    restored = []
    for earlier in replaced:
        restored.append(restore(session, earlier, actor=actor, reason=reason))
        if restored[-1].state == "LANDED":
            break
    return restored


def hold(
    session: Session,
    submission_id: str,
    breaches: Sequence[Breach],
    *,
    build_id: str | None,
    actor: str,
) -> Submission:
    """A landed submission whose rows break error rules leaves the lake as if it had never come.

    It is queued for Silver as removed; what it had replaced counts again.
    """
    audit.lock(session)
    submission = _locked(session, submission_id)
    _refuse_impossible(submission, "HELD")
    rules = [breach.name for breach in breaches]
    _move(
        session,
        submission,
        "HELD",
        actor=actor,
        reason="its rows break " + ", ".join(rules),
        fields={},
        told={"rules": rules, "build_id": build_id},
    )
    submission.judged_at = datetime.now(UTC)
    session.execute(
        insert(SubmissionHold),
        [
            {
                "submission_id": submission_id,
                "build_id": build_id,
                "layer": breach.layer,
                "table_name": breach.table,
                "rule": breach.rule,
                "column_name": breach.column,
                "observed": dict(breach.observed),
                "expected": breach.expected,
                "message": breach.message,
                "status": "held",
            }
            for breach in breaches
        ],
    )
    restore_replaced(
        session,
        submission_id,
        actor=actor,
        reason=f"submission {submission_id}, which had replaced it, is held",
    )
    session.flush()
    return submission


def release(session: Session, submission_id: str, *, actor: str, reason: str) -> list[str]:
    """Take a held submission in nevertheless; gives the rules that do not hold it any more.

    It is LANDED again, and so replaces its predecessors again. The next build judges it by the
    other rules only. Raises :class:`IntakeError` where it is not held.
    """
    audit.lock(session)
    submission = _locked(session, submission_id)
    if submission.state != "HELD":
        raise IntakeError(
            f"Submission {submission_id} is {submission.state}, not HELD: nothing to release.",
            hint="`lakehouse status` shows what is held, and by which rule.",
        )
    released = _set_holds(session, submission_id, "released", where=("held",))
    _move(
        session,
        submission,
        "LANDED",
        actor=actor,
        reason=reason,
        fields={},
        action="released",
        told={"rules": released},
        reached=False,
    )
    submission.judged_at = None
    _supersede_predecessors(session, submission, actor=actor)
    session.flush()
    return released


def released_rules(engine: Engine) -> dict[tuple[str, str, str], list[str]]:
    """Of (layer, table, rule), the submissions that were released from it."""
    found: dict[tuple[str, str, str], list[str]] = {}
    with Session(engine) as session:
        rows = session.execute(
            select(
                SubmissionHold.layer,
                SubmissionHold.table_name,
                SubmissionHold.rule,
                SubmissionHold.submission_id,
            )
            .where(SubmissionHold.status == "released")
            .distinct()
            .order_by(SubmissionHold.submission_id)
        )
        for layer, table, rule, submission_id in rows:
            found.setdefault((layer, table, rule), []).append(submission_id)
    return found


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


def _refuse_impossible(submission: Submission, to: str) -> None:
    if to not in ALLOWED.get(submission.state, frozenset()):
        raise IntakeError(
            f"Submission {submission.submission_id} is {submission.state} and cannot become {to}.",
            hint="`lakehouse status` shows where each submission stands.",
        )


def _set_holds(
    session: Session, submission_id: str, status: str, *, where: tuple[str, ...]
) -> list[str]:
    rows = session.execute(
        update(SubmissionHold)
        .where(SubmissionHold.submission_id == submission_id, SubmissionHold.status.in_(where))
        .values(status=status)
        .returning(SubmissionHold.layer, SubmissionHold.table_name, SubmissionHold.rule)
        .execution_options(synchronize_session=False)
    )
    return sorted(f"{layer}.{table} {rule}" for layer, table, rule in rows)


def _move(
    session: Session,
    submission: Submission,
    to: str,
    *,
    actor: str,
    reason: str | None,
    fields: dict[str, Any],
    action: str | None = None,
    told: Mapping[str, Any] | None = None,
    reached: bool = True,
) -> None:
    """``action`` is the audit event's (default: the state), ``told`` goes into it beside the state.

    ``reached`` is false where the submission returns to a state: the time stays when it first
    reached it.
    """
    before = submission.state
    was_landed = submission.landed_at is not None
    submission.state = to
    submission.state_reason = reason
    if reached and to in _REACHED_AT:
        setattr(submission, _REACHED_AT[to], datetime.now(UTC))
    for name, value in fields.items():
        if name not in Submission.__table__.columns or name in ("submission_id", "state"):
            raise ValueError(f"submission has no column {name} to set")
        setattr(submission, name, value)
    after: dict[str, Any] = {"state": to, **fields, **(told or {})}
    audit.append(
        session,
        audit.Event(
            actor=actor,
            action=f"submission.{action or to.lower()}",
            subject=f"submission:{submission.submission_id}",
            reason=reason,
            before={"state": before},
            after=after,
        ),
    )
    leaves = to == "HELD" or (to in _LEAVES and before != "HELD")  # what is held has left already
    if to == "LANDED":
        _enqueue(session, submission.submission_id, "added")
    elif leaves and was_landed and before != "SUPERSEDED":
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


def _unknown(submission_id: str) -> UnknownSubmission:
    return UnknownSubmission(
        f"There is no submission {submission_id}.", hint="`lakehouse status` lists them."
    )
