"""Anchors of the audit trail: its head, noted in the object store, where the database cannot reach.

A hash chain shows every change but one: whoever removes its newest events leaves a shorter chain that
is whole. So the head is put into ``raw/``, immutable (and locked, where the store has object lock),
whenever the trail was found intact: every night, and by ``lakehouse audit``. A chain that an anchor
contradicts gets no new anchor.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from lakehouse.errors import ObjectExists
from lakehouse.metadata import audit
from lakehouse.metadata.models import AuditEvent
from lakehouse.store import ObjectStore

_PREFIX = "raw/_audit/"
_KEY = re.compile(r"raw/_audit/(?P<events>\d{12})-(?P<head>[0-9a-f]{64})\.json")


@dataclass(frozen=True)
class Anchor:
    """The chain had ``events`` events, the last of them with hash ``head``."""

    events: int
    head: str

    @property
    def key(self) -> str:
        return f"{_PREFIX}{self.events:012d}-{self.head}.json"


def verify(engine: Engine, store: ObjectStore) -> audit.Verification:
    """The chain recomputed, and compared with every anchor."""
    found = audit.verify(engine)
    if not found.intact:
        return found
    for anchor in stored(store):
        if anchor.events > found.events:
            problem = (
                f"is the last one, but the trail had {anchor.events:,} events when it was anchored: "
                "the newest were removed"
            )
            return replace(found, broken_at=_id_at(engine, found.events), problem=problem)
        if _hash_at(engine, anchor.events) != anchor.head:
            problem = "is not the one that was anchored: the trail was written anew"
            return replace(
                found,
                events=anchor.events - 1,
                broken_at=_id_at(engine, anchor.events),
                problem=problem,
            )
    return found


def anchor(engine: Engine, store: ObjectStore) -> audit.Verification:
    """Verify, and where all is well note the head; an anchor that is there already stays."""
    found = verify(engine, store)
    noted = Anchor(found.events, found.head)
    if found.intact and found.events and not store.exists(noted.key):
        content = {"events": noted.events, "head": noted.head, "at": datetime.now(UTC).isoformat()}
        try:
            store.put(noted.key, json.dumps(content).encode(), if_absent=True)
        except ObjectExists:
            return found
        store.make_immutable(noted.key)
    return found


def stored(store: ObjectStore) -> list[Anchor]:
    """All anchors, shortest chain first; their names say everything, so none is read."""
    names = (_KEY.fullmatch(info.key) for info in store.list(_PREFIX))
    return sorted(
        (Anchor(int(name["events"]), name["head"]) for name in names if name),
        key=lambda one: one.events,
    )


def _hash_at(engine: Engine, position: int) -> str | None:
    """Hash of the event at ``position``, counted from one."""
    with Session(engine) as session:
        query = select(AuditEvent.hash).order_by(AuditEvent.id).offset(position - 1).limit(1)
        return session.scalar(query)


def _id_at(engine: Engine, position: int) -> int:
    """Id of the event at ``position``; 0 where there is none any more."""
    with Session(engine) as session:
        query = select(AuditEvent.id).order_by(AuditEvent.id).offset(max(position - 1, 0)).limit(1)
        return session.scalar(query) or 0
