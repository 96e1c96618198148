"""One pass over the inbox: the call that the sensor, the asset and the command line share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from ingestion.intake import register, stage
from ingestion.intake.classify import Classifier, load_classifier
from ingestion.intake.discover import InboxGroup, discover
from ingestion.intake.examine import Candidate, ChangedWhileRead, examine, read_by_sources
from ingestion.intake.register import FormerFile, Past
from ingestion.intake.report import Duplicate, IntakeReport, OpenGroup, Refused, Registered
from lakehouse import progress
from lakehouse.errors import ObjectNotFound
from lakehouse.metadata import models
from lakehouse.metadata.work import pending as pending_work
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore


def intake(
    store: ObjectStore,
    engine: Engine,
    settings: Settings,
    *,
    now: datetime,
    actor: str,
    wait: bool = True,
    readable: Collection[str] | None = None,
) -> IntakeReport:
    """Register and stage every drop in the inbox that is closed and not yet as it is now.

    Safe to repeat, to interrupt and to run in several processes at once: a drop is one process's
    at a time. With ``wait`` false, a drop that another process is at is left to it. ``readable``
    are the file types to take (default: those that the sources read).
    """
    work = _Pass(
        store,
        engine,
        settings,
        now=now,
        actor=actor,
        wait=wait,
        classifier=load_classifier(settings.classifier_impl),
        readable=frozenset(read_by_sources() if readable is None else readable),
    )
    known = _known(engine)
    seen: set[str] = set()
    for group in discover(store, settings):
        seen.add(group.key)
        work.look_at(group, known.get(group.key))
    for key, what in known.items():
        if key in seen:
            continue
        if what.unfinished:
            work.take(InboxGroup(key, files=(), marked=True, newest=None))
        elif what.open:
            register.forget_open(engine, key)
    return work.report


def pending_groups(
    store: ObjectStore, engine: Engine, settings: Settings, *, now: datetime | None = None
) -> list[str]:
    """Keys of the drops that :func:`intake` would take now.

    Reads one listing; drops that are still arriving are written down, so that
    ``lakehouse status`` shows what they wait for.
    """
    moment = now or datetime.now(UTC)
    known = _known(engine)
    found: list[str] = []
    for group in discover(store, settings):
        what = known.get(group.key)
        if not group.files or _is_settled(group, what):
            continue
        if _is_closed(group, what, settings, moment):
            found.append(group.key)
        elif what is None or what.fingerprint != group.fingerprint:
            words = _open_words(group, what, settings)
            register.remember_open(engine, group, words, now=moment)
    unfinished = (key for key, what in known.items() if what.unfinished)
    return sorted({*found, *unfinished})


def anything_pending(store: ObjectStore, engine: Engine, settings: Settings) -> bool:
    """Whether a closed drop waits in the inbox, or a submission for landing, build or publish."""
    return bool(pending_groups(store, engine, settings) or pending_work(engine))


def _is_closed(group: InboxGroup, known: _Known | None, settings: Settings, now: datetime) -> bool:
    """Whether the drop is complete. One that a command is putting, or stopped putting, is not,
    however long nothing changes, unless somebody marks it."""
    if known is not None and known.being_put and not group.marked:
        return False
    return group.is_closed(settings, now)


def _open_words(group: InboxGroup, known: _Known | None, settings: Settings) -> str:
    if known is not None and known.being_put and not group.marked:
        return "`lakehouse drop`, which is putting it; where it was interrupted, run it again"
    return f"_SUCCESS, or {settings.quiescence_minutes:g} minute(s) without a change"


@dataclass(frozen=True)
class _Known:
    """What was noted of a drop: by an earlier pass, and by the command that put it."""

    fingerprint: str | None
    open: bool
    unfinished: bool
    being_put: bool


def _known(engine: Engine, group_key: str | None = None) -> dict[str, _Known]:
    """What was noted of all drops, or of one."""
    group, command = models.InboxGroup, models.CommandDrop
    with Session(engine) as session:
        query = (
            select(
                func.coalesce(group.group_key, command.group_key),
                group.fingerprint,
                group.outcome,
                group.group_key == models.Submission.group_key,
                models.Submission.state,
                command.finished,
            )
            .select_from(group)
            .join(command, command.group_key == group.group_key, full=True)
            .outerjoin(models.Submission, models.Submission.submission_id == group.submission_id)
        )
        if group_key is not None:
            query = query.where(func.coalesce(group.group_key, command.group_key) == group_key)
        return {
            key: _Known(
                fingerprint,
                outcome == "open",
                bool(own) and state == "RECEIVED",
                being_put=finished is False,
            )
            for key, fingerprint, outcome, own, state, finished in session.execute(query)
        }


def _is_settled(group: InboxGroup, known: _Known | None) -> bool:
    return (
        known is not None
        and known.fingerprint == group.fingerprint
        and not known.open
        and not known.unfinished
    )


@dataclass
class _Pass:
    store: ObjectStore
    engine: Engine
    settings: Settings
    now: datetime
    actor: str
    wait: bool
    classifier: Classifier
    readable: frozenset[str]

    def __post_init__(self) -> None:
        self.report = IntakeReport()

    def look_at(self, group: InboxGroup, known: _Known | None) -> None:
        """One drop of the listing: is there anything to do, and may it be done now?"""
        if group.unusable:
            self._refuse(
                group,
                f"{group.unusable} object(s) have keys that cannot be files (//, . or ..): "
                "upload them again under proper names",
            )
        if not group.files:
            if group.marked:
                self._refuse(group, "a drop has _SUCCESS but no files")
        elif _is_settled(group, known):
            self.report.unchanged += 1
        elif _is_closed(group, known, self.settings, self.now):
            self.take(group)
        else:
            self._leave_open(group, _open_words(group, known, self.settings))

    def take(self, group: InboxGroup) -> None:
        """Register and stage a closed drop."""
        with only_process(self.engine, group.key, wait=self.wait) as alone:
            if not alone:
                self._leave_open(group, "another intake, which is taking it in", remember=False)
                return
            if _is_settled(group, _known(self.engine, group.key).get(group.key)):
                self.report.unchanged += 1
                return
            try:
                self._take_alone(group)
            except (ChangedWhileRead, ObjectNotFound):
                self._leave_open(group, "its files to stay as they are: one changed just now")

    def _take_alone(self, group: InboxGroup) -> None:
        past = register.past_of(self.engine, group.key)
        files = examine(self.store, _candidates(group, past), self.classifier, self.readable)
        decision = register.register(self.engine, group, files, now=self.now, actor=self.actor)
        if decision.kind == "unchanged":
            self.report.unchanged += 1
            return
        if decision.kind == "duplicate":
            self.report.duplicates.append(Duplicate(group.key, decision.submission_id))
            progress.report("intake", group.drop_id, "dropped again: nothing to do")
            return
        state = stage.stage(
            self.store, self.engine, decision.submission_id, files, actor=self.actor
        )
        new = Registered(
            submission_id=decision.submission_id,
            group_key=group.key,
            state=state,
            file_count=len(files),
            byte_count=sum(file.size for file in files),
            supersedes=decision.supersedes,
            file_types=dict(Counter(file.file_type for file in files)),
            quarantined=dict(Counter(file.reason for file in files if file.reason)),
            review=sum(file.outcome == "review" for file in files),
        )
        self.report.registered.append(new)
        progress.report("intake", group.drop_id, f"{state}, {new.file_count:,} file(s)")

    def _refuse(self, group: InboxGroup, reason: str) -> None:
        self.report.refused.append(Refused(group.key, reason))
        progress.report("intake", group.drop_id or group.key, reason, failed=True)

    def _leave_open(self, group: InboxGroup, waits_for: str, *, remember: bool = True) -> None:
        if remember:
            register.remember_open(self.engine, group, waits_for, now=self.now)
        self.report.open_groups.append(
            OpenGroup(
                group_key=group.key,
                file_count=len(group.files),
                byte_count=group.byte_count,
                waits_for=waits_for,
                closes_at=group.closes_at(self.settings),
            )
        )


def _candidates(group: InboxGroup, past: Past) -> list[Candidate]:
    """The drop's content: what the inbox has, and what it had and no longer has.

    A file that vanished is no change: it is taken over from the earlier submission, unless a person
    said that what is there now replaces it whole.
    """
    known = {} if past.is_replaced else {**past.files, **past.registered}
    current = {
        file.path: Candidate(
            path=file.path,
            key=file.key,
            size=file.size,
            etag=file.etag,
            sha256=_known_sha256(known.get(file.path), file.size, file.etag),
            settled_as=_settled_as(known.get(file.path), file.size, file.etag),
        )
        for file in group.files
    }
    former = {
        path: Candidate(
            path=path,
            key=_raw_source(path, past).raw_key,
            size=one.size,
            etag=None,
            sha256=one.sha256,
            settled_as=_settled_as(one, one.size, one.inbox_etag),
        )
        for path, one in known.items()
        if path not in current
    }
    return sorted([*current.values(), *former.values()], key=lambda one: one.path)


def _raw_source(path: str, past: Past) -> FormerFile:
    """Where the copy of a vanished file lies: with the submission that was staged, if it was."""
    staged, registered = past.files.get(path), past.registered.get(path)
    if staged is not None and (registered is None or staged.sha256 == registered.sha256):
        return staged
    assert registered is not None  # noqa: S101 - one of the two has the path
    return registered


def _known_sha256(former: FormerFile | None, size: int, etag: str) -> str | None:
    unchanged = former is not None and former.inbox_etag == etag and former.size == size
    return former.sha256 if former is not None and unchanged else None


def _settled_as(former: FormerFile | None, size: int, etag: str | None) -> str | None:
    """What this content was taken as before, so that a person is asked only once."""
    if former is None or former.outcome == "review" or former.file_type == "unknown":
        return None
    same = former.inbox_etag == etag and former.size == size
    return former.file_type if same else None


@contextmanager
def only_process(engine: Engine, group_key: str, *, wait: bool) -> Iterator[bool]:
    """Hold the drop's lock; gives false where another process has it and ``wait`` is false."""
    key = func.hashtextextended(f"lakehouse.intake:{group_key}", 0)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if wait:
            connection.execute(select(func.pg_advisory_lock(key)))
        elif not connection.scalar(select(func.pg_try_advisory_lock(key))):
            yield False
            return
        try:
            yield True
        finally:
            connection.execute(select(func.pg_advisory_unlock(key)))
