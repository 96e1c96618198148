"""Earlier publications: showing one again, and forgetting them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from lakehouse.errors import PublishError
from lakehouse.metadata import audit, models, publishes
from lakehouse.settings import Settings
from publishing import record
from publishing.opening import WAIT_SECONDS, opened_target
from publishing.reports import PublishReport
from publishing.target import Target


def rollback(
    settings: Settings,
    engine: Engine,
    *,
    actor: str,
    reason: str | None = None,
    to: int | None = None,
    drop_broken_views: bool = False,
    wait_seconds: float = WAIT_SECONDS,
    target: Target | None = None,
) -> PublishReport:
    """Show readers an earlier publication: the one before the current, or number ``to``.

    ``to`` may also be a later one, to take a rollback back. Submissions that the earlier one does
    not hold go back to INTEGRATED; nothing goes forward again before Gold is built anew, or somebody
    publishes. Raises :class:`PublishError`.
    """
    started = time.perf_counter()
    with opened_target(settings, target) as place, place.exclusive(wait_seconds):
        record.reconcile(engine, place, actor)
        current = place.current()
        if current is None:
            raise PublishError("Nothing has been published yet.", hint="Run `lakehouse publish`.")
        with Session(engine) as session:
            kept = {
                row.n: row
                for row in session.scalars(
                    select(models.Publish).where(models.Publish.state.in_(("current", "previous")))
                )
            }
        present = set(place.present()) & set(kept)
        earlier = [n for n in sorted(present) if n < current.n]
        wanted = to if to is not None else (earlier[-1] if earlier else None)
        if wanted is None or wanted not in present or wanted == current.n:
            choice = ", ".join(str(n) for n in sorted(present - {current.n})) or "none"
            raise PublishError(
                f"There is no publish {wanted} to go to."
                if wanted is not None
                else f"There is no publish before {current.n}.",
                hint=f"Kept besides the current one ({current.n}): {choice}.",
            )
        row = kept[wanted]
        hidden = record.intend_return(engine, wanted, row.build_id, actor)
        try:
            switch = place.switch(
                wanted, drop_broken_views=drop_broken_views, wait_seconds=wait_seconds
            )
        except BaseException:
            with suppress(PublishError, SQLAlchemyError):
                record.reconcile(engine, place, actor)
            raise
        shown = record.record_switch(
            engine,
            wanted,
            row.build_id,
            audit.Event(
                actor=actor,
                action="publish.rolled_back",
                subject=f"publish:{wanted}",
                reason=reason,
                before={"publish": current.n},
                after={"publish": wanted},
            ),
        )
        gone = publishes.compare(engine, row.build_id).gone
        return PublishReport(
            n=wanted,
            schema=row.schema_name,
            build_id=row.build_id,
            snapshot_id=row.snapshot_id,
            row_counts=dict(row.row_counts),
            changed=True,
            message=f"Readers see publish {wanted} again instead of {current.n}."
            + _what_changed(hidden, gone),
            seconds={"switch": time.perf_counter() - started},
            switch=switch,
            submissions=shown.published,
            no_longer=hidden,
            gone=gone,
        )


def forget_earlier(
    settings: Settings,
    engine: Engine,
    *,
    actor: str,
    reason: str,
    wait_seconds: float = WAIT_SECONDS,
    target: Target | None = None,
) -> tuple[list[str], list[str]]:
    """Drop every publication but the current one, so that nothing withdrawn can be shown again.

    Returns the schemas that were dropped, and those that a reader still holds: call it again.
    """
    with opened_target(settings, target) as place, place.exclusive(wait_seconds):
        record.reconcile(engine, place, actor)
        current = place.current()
        numbers = [n for n in place.present() if current is None or n != current.n]
        dropped, busy = record.discard(engine, place, numbers)
        with Session(engine) as session, session.begin():
            audit.append(
                session,
                audit.Event(
                    actor=actor,
                    action="publish.forgotten",
                    subject=f"publish:{current.n if current else 0}",
                    reason=reason,
                    after={"dropped": len(dropped), "busy": len(busy)},
                ),
            )
    return dropped, busy


def _what_changed(hidden: Sequence[str], gone: Sequence[str]) -> str:
    """What a rollback means for submissions, in words."""
    words = ""
    if hidden:
        words += f" {len(hidden)} submission(s) are not in it and are INTEGRATED again."
    if gone:
        words += (
            f" It still holds {len(gone)} submission(s) that were withdrawn or replaced since:"
            f" {', '.join(gone[:5])}{', …' if len(gone) > 5 else ''}."
        )
    return words
