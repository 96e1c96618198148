"""The record of publishes: rows of the metadata database, states of submissions, audit events.

What readers see is said by the target's views; the record is corrected from them when a crash came
between the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from lakehouse.metadata import audit, models, publishes
from lakehouse.settings import Settings
from publishing.target import Publication, Target


def highest_number(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.max(models.Publish.n))) or 0


def intend_switch(
    engine: Engine, publication: Publication, counts: Mapping[str, int], actor: str
) -> None:
    """Note that readers are about to be shown a new publication: whoever dies now is found out."""
    with Session(engine) as session, session.begin():
        _upsert(session, publication, counts, actor, state="switching")


def intend_return(engine: Engine, n: int, build_id: str | None, actor: str) -> list[str]:
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


def record_publication(
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
        return correct_states(engine, publication, actor)
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


def correct_states(engine: Engine, publication: Publication | None, actor: str) -> publishes.Shown:
    """Have the states say what readers see: this publication, or none."""
    build_id = publication.build_id if publication is not None else None
    with Session(engine) as session, session.begin():
        return publishes.mark_shown(
            session, build_id, actor=actor, reason=f"readers see build {build_id or 'none'}"
        )


def record_switch(
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


def record_failure(engine: Engine, place: Target, publication: Publication, actor: str) -> None:
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


def reconcile(engine: Engine, place: Target, actor: str) -> None:
    """Correct the record from the target, and clear what a killed publisher left there."""
    current = place.current()
    with Session(engine) as session:
        recorded = {row.n: row.state for row in session.scalars(select(models.Publish))}
    if current is not None and recorded.get(current.n) != "current":
        seen_before = recorded.get(current.n) in ("returning", "previous")
        record_publication(
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
        correct_states(engine, current, actor)
    for n in place.present():
        kept = recorded.get(n) in ("current", "previous") or (
            current is not None and n == current.n
        )
        if not kept:
            place.discard(n)


def discard_old(
    settings: Settings, engine: Engine, place: Target, current: int
) -> tuple[list[str], list[str]]:
    old = place.present()[: -settings.publishes_kept]
    return discard(engine, place, [n for n in old if n != current])


def discard(engine: Engine, place: Target, numbers: Sequence[int]) -> tuple[list[str], list[str]]:
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
