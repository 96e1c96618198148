"""The register of submitters: each change is one transaction with its audit event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from lakehouse.errors import IntakeError
from lakehouse.metadata import audit
from lakehouse.metadata.models import Submitter


def register(
    engine: Engine, name: str, *, locale: str | None, time_zone: str | None, actor: str
) -> bool:
    """Register a submitter, or change what is given; returns whether it is a new one."""
    with Session(engine) as session, session.begin():
        audit.lock(session)
        found = session.get(Submitter, name)
        is_new = found is None or found.removed_at is not None
        if found is None:
            found = Submitter(name=name, registered_at=datetime.now(UTC))
            session.add(found)
        before = {"locale": found.locale, "time_zone": found.time_zone}
        found.locale = locale or found.locale
        found.time_zone = time_zone or found.time_zone
        found.removed_at = None
        after = {"locale": found.locale, "time_zone": found.time_zone}
        _tell(session, name, "registered" if is_new else "changed", actor, before, after)
    return is_new


def remove(engine: Engine, name: str, *, actor: str) -> None:
    """Note that a submitter's key was taken away. Raises :class:`IntakeError` for an unknown one."""
    with Session(engine) as session, session.begin():
        audit.lock(session)
        found = session.get(Submitter, name)
        if found is None or found.removed_at is not None:
            raise IntakeError(
                f"There is no submitter {name}.", hint="`lakehouse submitter list` names them."
            )
        found.removed_at = datetime.now(UTC)
        _tell(session, name, "removed", actor, None, None)


def registered(engine: Engine) -> Sequence[Submitter]:
    """The submitters that may drop files, by name."""
    with Session(engine, expire_on_commit=False) as session:
        return session.scalars(
            select(Submitter).where(Submitter.removed_at.is_(None)).order_by(Submitter.name)
        ).all()


def _tell(
    session: Session,
    name: str,
    what: str,
    actor: str,
    before: dict[str, str | None] | None,
    after: dict[str, str | None] | None,
) -> None:
    audit.append(
        session,
        audit.Event(
            actor=actor,
            action=f"submitter.{what}",
            subject=f"submitter:{name}",
            before=before,
            after=after,
        ),
    )
