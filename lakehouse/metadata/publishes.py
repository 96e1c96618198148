"""Publishes as the metadata database knows them: which one readers see, what it holds, and whether it lags.

A submission is PUBLISHED when the marts that readers see hold it as the last build left it in Silver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from lakehouse.metadata import audit, builds, submissions
from lakehouse.metadata.models import CheckResult, Publish, Submission

#: Layer of the checks that run on a publication itself; they gate the switch, not the load.
PUBLISHED = "published"

_SHOWN_ONCE = ("current", "previous", "dropped")
_ABOUT_TO_BE_SHOWN = ("switching", "returning")


def current(engine: Engine) -> Publish | None:
    """The publish that the views read now."""
    with Session(engine, expire_on_commit=False) as session:
        return session.scalars(
            select(Publish).where(Publish.state == "current").order_by(Publish.n.desc()).limit(1)
        ).one_or_none()


def behind(engine: Engine) -> bool:
    """Whether Gold holds something else than what was published last.

    A rollback makes the views read an older publish on purpose: that is not lagging, so the newest
    publish counts, whatever the views read.
    """
    made = builds.gold(engine)
    if made is None:
        return False
    with Session(engine) as session:
        newest = session.execute(
            select(Publish.build_id, Publish.snapshot_id)
            .where(Publish.state.in_(_SHOWN_ONCE))
            .order_by(Publish.n.desc())
            .limit(1)
        ).one_or_none()
    return newest is None or (newest.build_id, newest.snapshot_id) != (
        made.build_id,
        made.snapshot,
    )


def rolled_back(engine: Engine) -> bool:
    """Whether readers were shown an earlier publish again, and still see it."""
    with Session(engine) as session:
        newest = session.scalar(select(func.max(Publish.n)).where(Publish.state.in_(_SHOWN_ONCE)))
        shown = session.scalar(select(func.max(Publish.n)).where(Publish.state == "current"))
    return newest is not None and shown is not None and shown < newest


def is_unsure(engine: Engine) -> bool:
    """Whether what readers see has to be looked up.

    A publisher re-points the views now, or died before it had noted the result; or states of
    submissions say otherwise than the publish that counts as current.
    """
    with Session(engine) as session:
        switching = session.scalar(
            select(Publish.n).where(Publish.state.in_(_ABOUT_TO_BE_SHOWN)).limit(1)
        )
        shown = session.scalar(
            select(Publish.build_id)
            .where(Publish.state == "current")
            .order_by(Publish.n.desc())
            .limit(1)
        )
        return switching is not None or bool(_misstated(session, shown))


def checks_of(engine: Engine, build_id: str) -> list[CheckResult]:
    """The last result of each rule that was evaluated on the lake's tables for this build."""
    latest = (
        select(func.max(CheckResult.id))
        .where(CheckResult.build_id == build_id, CheckResult.layer != PUBLISHED)
        .group_by(CheckResult.layer, CheckResult.table_name, CheckResult.rule)
    )
    with Session(engine, expire_on_commit=False) as session:
        return list(
            session.scalars(
                select(CheckResult)
                .where(CheckResult.id.in_(latest))
                .order_by(CheckResult.layer, CheckResult.id)
            )
        )


def failed_checks(checks: Sequence[CheckResult]) -> list[CheckResult]:
    """Those that keep a build from being published."""
    return [check for check in checks if check.severity == "error" and not check.passed]


@dataclass(frozen=True)
class Shown:
    """Submissions whose state was corrected: readers see them now, or no longer."""

    published: list[str]
    no_longer: list[str]


def mark_shown(session: Session, build_id: str | None, *, actor: str, reason: str) -> Shown:
    """Set the states to what readers see: marts of this build. In the caller's transaction."""
    audit.lock(session)
    shown = _shown(session, build_id)
    states = _states(session)
    return Shown(
        submissions.transition_all(
            session, shown, "PUBLISHED", actor=actor, reason=reason, only_from="INTEGRATED"
        ),
        submissions.transition_all(
            session,
            states["PUBLISHED"] - shown,
            "INTEGRATED",
            actor=actor,
            reason=reason,
            only_from="PUBLISHED",
        ),
    )


def mark_hidden(session: Session, build_id: str | None, *, actor: str, reason: str) -> list[str]:
    """Before readers are shown marts of an earlier build: what is not in them is not PUBLISHED."""
    audit.lock(session)
    return submissions.transition_all(
        session,
        _states(session)["PUBLISHED"] - _shown(session, build_id),
        "INTEGRATED",
        actor=actor,
        reason=reason,
        only_from="PUBLISHED",
    )


@dataclass(frozen=True)
class Comparison:
    """What readers see against what should be there, as ids of submissions.

    ``missing`` belong in the marts and are not in them as they are in the lake; ``gone`` left the
    lake and are seen still; ``misstated`` have a state that says otherwise than what readers see.
    """

    missing: list[str]
    gone: list[str]
    misstated: list[str]

    @property
    def agrees(self) -> bool:
        return not (self.missing or self.gone or self.misstated)


def compare(engine: Engine, build_id: str | None) -> Comparison:
    """Compare marts of this build, which readers see, with the submissions that belong there."""
    with Session(engine) as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        waiting = builds.queued(session)
        changes = {name: change for name, (_, change) in builds.last_changes(session).items()}
        belongs = {name for name, change in (changes | waiting).items() if change == "added"}
        shown = _shown(session, build_id)
        seen = set()
        if build_id is not None:
            before = builds.last_changes(session, until=build_id)
            seen = {name for name, (_, change) in before.items() if change == "added"}
        misstated = _misstated(session, build_id)
    return Comparison(
        missing=sorted(belongs - (shown - waiting.keys())),
        gone=sorted(seen - belongs),
        misstated=sorted(misstated),
    )


def _shown(session: Session, build_id: str | None) -> set[str]:
    """Submissions that marts of this build hold as they are in Silver now."""
    if build_id is None:
        return set()
    return {
        name
        for name, (changed_by, change) in builds.last_changes(session).items()
        if change == "added" and changed_by <= build_id
    }


def _misstated(session: Session, build_id: str | None) -> set[str]:
    shown, states = _shown(session, build_id), _states(session)
    return (states["PUBLISHED"] - shown) | (states["INTEGRATED"] & shown)


def _states(session: Session) -> dict[str, set[str]]:
    rows = session.execute(
        select(Submission.submission_id, Submission.state).where(
            Submission.state.in_(("INTEGRATED", "PUBLISHED"))
        )
    )
    states: dict[str, set[str]] = {"INTEGRATED": set(), "PUBLISHED": set()}
    for name, state in rows:
        states[state].add(name)
    return states
