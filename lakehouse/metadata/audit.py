"""The audit trail: append-only, hash-chained, verifiable.

Each event's hash covers its content and the hash before it, so a changed, removed or inserted event
breaks the chain. Removing the newest events leaves a valid shorter chain:
:mod:`lakehouse.metadata.anchors` notes the head elsewhere, and compares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, func, insert, select
from sqlalchemy.orm import Session

from lakehouse.errors import MetadataError
from lakehouse.metadata.models import AuditEvent

#: ``previous_hash`` of the first event.
GENESIS = "0" * 64
_LOCK = "lakehouse.audit"


@dataclass(frozen=True)
class Event:
    """One thing to record. ``subject`` is ``kind:id``; ``before`` and ``after`` carry no
    identifiers of patients, and their floats are kept as text (a float's text is not the same
    everywhere, the hash must be)."""

    actor: str
    action: str
    subject: str
    reason: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Verification:
    """``events`` found good; ``head`` is their last hash; ``broken_at`` the first bad id."""

    events: int
    head: str
    broken_at: int | None
    problem: str | None

    @property
    def intact(self) -> bool:
        return self.broken_at is None

    def require_intact(self) -> None:
        """Raise :class:`MetadataError` where it is not."""
        if not self.intact:
            raise MetadataError(
                f"The audit trail is not whole: event {self.broken_at} {self.problem}.",
                hint="Compare with a backup; who may write to the metadata database?",
            )


def lock(session: Session) -> None:
    """Take the writers' lock until the transaction ends.

    Every writer takes it before any row lock, so writers cannot deadlock, and ids of audit events
    and of the integration queue rise in the order of commits.
    """
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(_LOCK))))


def append(session: Session, *events: Event) -> None:
    """Add events to the chain inside the caller's transaction."""
    if not events:
        return
    lock(session)
    previous = session.scalar(select(AuditEvent.hash).order_by(AuditEvent.id.desc()).limit(1))
    previous = previous or GENESIS
    rows = []
    for event in events:
        row: dict[str, Any] = {
            "occurred_at": datetime.now(UTC),
            "actor": event.actor,
            "action": event.action,
            "subject": event.subject,
            "reason": event.reason,
            "before": _plain(event.before),
            "after": _plain(event.after),
            "previous_hash": previous,
        }
        previous = row["hash"] = _digest(row)
        rows.append(row)
    session.execute(insert(AuditEvent), rows)


def verify(engine: Engine) -> Verification:
    """Recompute the chain from its first event."""
    count, previous = 0, GENESIS
    with Session(engine) as session:
        events = session.scalars(
            select(AuditEvent)
            .order_by(AuditEvent.id)
            .execution_options(yield_per=5_000, stream_results=True)
        )
        for event in events:
            row = {
                name: getattr(event, name)
                for name in (
                    *("occurred_at", "actor", "action", "subject", "reason"),
                    *("before", "after", "previous_hash"),
                )
            }
            if event.previous_hash != previous:
                problem = "does not follow the event before it: one was removed or inserted"
                return Verification(count, previous, event.id, problem)
            if event.hash != _digest(row):
                return Verification(count, previous, event.id, "was changed after it was written")
            count, previous = count + 1, event.hash
    return Verification(count, previous, None, None)


def history(session: Session, subject: str) -> Sequence[AuditEvent]:
    """The events of one subject, oldest first."""
    return session.scalars(
        select(AuditEvent).where(AuditEvent.subject == subject).order_by(AuditEvent.id)
    ).all()


def _plain(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """``value`` as JSON gives it back; datetimes become ISO 8601 text in UTC."""
    if value is None:
        return None

    def encode(item: object) -> str:
        if isinstance(item, datetime):
            return item.astimezone(UTC).isoformat()
        raise TypeError(f"{type(item).__name__} has no place in an audit event")

    plain: dict[str, Any] = json.loads(json.dumps(dict(value), default=encode), parse_float=str)
    return plain


def _digest(row: Mapping[str, Any]) -> str:
    content = dict(row)
    occurred_at: datetime = content["occurred_at"]
    content["occurred_at"] = occurred_at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
