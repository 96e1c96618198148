"""Withdrawing a submission: everything downstream then reads as if it had never come."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from lakehouse.metadata import audit, models, submissions


@dataclass(frozen=True)
class Withdrawal:
    """What a withdrawal did.

    ``withdrawn`` are the submissions withdrawn; ``restored`` those that the withdrawn one had
    replaced and that count again; ``leaves_silver`` says whether a build has to follow;
    ``repeated_by`` counts drops that were not taken in because they had the same content.
    """

    withdrawn: list[str]
    restored: list[str]
    leaves_silver: bool
    repeated_by: int


def withdraw(
    engine: Engine, submission_id: str, *, reason: str, actor: str, whole_drop: bool = False
) -> Withdrawal:
    """Withdraw a submission; Silver, Gold and marts follow with the next build and publish.

    Where it replaced an earlier state of its drop, that one counts again, as if the later one had
    never come; ``whole_drop`` withdraws the earlier ones too. Raw files and the audit trail stay.
    Raises :class:`lakehouse.errors.IntakeError` when there is no such submission, or it is
    withdrawn already.
    """
    with Session(engine) as session, session.begin():
        audit.lock(session)
        chain = submissions.lineage(session, submission_id)
        goes = [submission_id]
        if whole_drop:
            goes += [one.submission_id for one in chain[1:] if one.state != "WITHDRAWN"]
        leaves_silver = any(one.in_silver for one in chain if one.submission_id in goes)
        for going in goes:
            submissions.transition(session, going, "WITHDRAWN", actor=actor, reason=reason)
        restored = [] if whole_drop else _restore(session, submission_id, actor)
        repeated_by = len(
            session.scalars(
                select(models.InboxGroup.group_key).where(
                    models.InboxGroup.submission_id == submission_id,
                    models.InboxGroup.outcome == "duplicate",
                )
            ).all()
        )
    return Withdrawal(goes, restored, leaves_silver, repeated_by)


def _restore(session: Session, withdrawn: str, actor: str) -> list[str]:
    """Bring back what the withdrawn submission had replaced."""
    restored = submissions.restore_replaced(
        session,
        withdrawn,
        actor=actor,
        reason=f"submission {withdrawn}, which had replaced it, was withdrawn",
    )
    return [one.submission_id for one in restored]
