"""Registering: what a closed drop means for the metadata database.

One transaction decides, under the writers' lock: a new submission, the rest of an unfinished one,
a repetition of what is there, or nothing at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, Literal, Protocol

from psycopg import sql
from sqlalchemy import Engine, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_or_update
from sqlalchemy.orm import Session

from ingestion.intake.discover import InboxGroup
from ingestion.intake.examine import Examined
from lakehouse.metadata import audit, models, submissions

#: A submission in these states is no longer there as far as repetitions are concerned.
_GONE = ("WITHDRAWN", "SUPERSEDED")


@dataclass(frozen=True)
class FormerFile:
    """A file of an earlier submission of the same drop."""

    path: str
    raw_key: str
    sha256: str
    size: int
    inbox_etag: str | None
    file_type: str
    outcome: str


@dataclass(frozen=True)
class Past:
    """What is known of a drop from before.

    ``unfinished`` is a submission that was registered but not staged (its process died).
    ``files`` are those of the newest submission of this drop that is still there, ``registered``
    those of the unfinished one. ``is_replaced`` says that the drop's present content replaces
    ``submission_id`` whole.
    """

    submission_id: str | None = None
    unfinished: str | None = None
    is_replaced: bool = False
    files: Mapping[str, FormerFile] = field(default_factory=dict)
    registered: Mapping[str, FormerFile] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """``submission_id`` is the new or unfinished submission, or the one that is repeated."""

    kind: Literal["new", "unfinished", "duplicate", "unchanged"]
    submission_id: str
    supersedes: str | None = None


def past_of(engine: Engine, group_key: str) -> Past:
    """What earlier passes have made of this drop."""
    with Session(engine) as session:
        group = session.get(models.InboxGroup, group_key)
        if group is None or group.submission_id is None:
            return Past()
        lineage = submissions.lineage(session, group.submission_id)
        latest = lineage[0]
        kept = next((one for one in lineage if one.staged_at and one.state != "WITHDRAWN"), None)
        unfinished = latest.submission_id if latest.state == "RECEIVED" else None
        command = session.get(models.CommandDrop, group_key)
        return Past(
            submission_id=latest.submission_id,
            unfinished=unfinished,
            is_replaced=command is not None and command.replaces == latest.submission_id,
            files=_files(session, kept.submission_id) if kept else {},
            registered=_files(session, unfinished) if unfinished else {},
        )


def register(
    engine: Engine, group: InboxGroup, files: Sequence[Examined], *, now: datetime, actor: str
) -> Decision:
    """Decide what the drop is and write it down: submission, files, group and audit event."""
    content = content_hash(files)
    with Session(engine) as session, session.begin():
        audit.lock(session)
        known = session.get(models.InboxGroup, group.key)
        latest = (
            session.get(models.Submission, known.submission_id)
            if known is not None and known.submission_id is not None
            else None
        )
        if latest is not None and latest.content_sha256 == content:
            return _settle_unchanged(session, group, latest, now)
        own = latest is not None and latest.group_key == group.key
        predecessor = _still_there(session, latest) if own and latest else None
        if predecessor is None and (repeated := _same_content(session, group, content)):
            return _settle_duplicate(session, group, repeated, now, actor)
        return _settle_new(session, group, files, content, predecessor, now, actor)


class _Hashed(Protocol):
    @property
    def path(self) -> str: ...

    @property
    def sha256(self) -> str: ...


def content_hash(files: Iterable[_Hashed]) -> str:
    """One hash for the paths and contents of all files."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        digest.update(f"{file.path}\0{file.sha256}\n".encode())
    return digest.hexdigest()


def remember_open(engine: Engine, group: InboxGroup, waits_for: str, *, now: datetime) -> None:
    """Write down that a drop is still arriving, so that ``lakehouse status`` shows it."""
    note = f"waits for {waits_for}"
    with Session(engine) as session, session.begin():
        _remember(session, group, now, outcome="open", closed_at=None, note=note)


def forget_open(engine: Engine, group_key: str) -> None:
    """A drop that was arriving is gone from the inbox: what was registered of it, if anything,
    is all there is."""
    with Session(engine) as session, session.begin():
        group = session.get(models.InboxGroup, group_key, with_for_update=True)
        if group is None or group.outcome != "open":
            return
        if group.submission_id is None:
            session.delete(group)
        else:
            group.outcome, group.note = "registered", None


def _settle_unchanged(
    session: Session, group: InboxGroup, latest: models.Submission, now: datetime
) -> Decision:
    own = latest.group_key == group.key
    note = None
    if latest.state == "WITHDRAWN":
        note = "withdrawn; to take it in again, drop it under another name"
    _remember(
        session,
        group,
        now,
        outcome="registered" if own else "duplicate",
        submission_id=latest.submission_id,
        note=note,
    )
    if own and latest.state == "RECEIVED":
        return Decision("unfinished", latest.submission_id, latest.supersedes)
    return Decision("unchanged", latest.submission_id)


def _settle_duplicate(
    session: Session, group: InboxGroup, repeated: str, now: datetime, actor: str
) -> Decision:
    _remember(
        session,
        group,
        now,
        outcome="duplicate",
        submission_id=repeated,
        note=f"the same content as submission {repeated}; nothing was taken in",
    )
    audit.append(
        session,
        audit.Event(
            actor=actor,
            action="drop.repeated",
            subject=f"submission:{repeated}",
            reason="another drop has the same content",
        ),
    )
    return Decision("duplicate", repeated)


def _settle_new(
    session: Session,
    group: InboxGroup,
    files: Sequence[Examined],
    content: str,
    predecessor: models.Submission | None,
    now: datetime,
    actor: str,
) -> Decision:
    submission_id = submissions.new_id(session, now)
    supersedes = predecessor.submission_id if predecessor else None
    row: dict[str, Any] = {
        "submission_id": submission_id,
        "group_key": group.key,
        "submitter": group.submitter,
        "file_type": group.file_type,
        "drop_id": group.drop_id,
        "state": "RECEIVED",
        "content_sha256": content,
        "file_count": len(files),
        "byte_count": sum(file.size for file in files),
        "supersedes": supersedes,
        "received_at": now,
    }
    session.execute(insert(models.Submission), [row])
    _copy_in(
        session, models.SubmissionFile, (_file_row(group, submission_id, file) for file in files)
    )
    _copy_in(
        session,
        models.Quarantine,
        (_quarantine_row(submission_id, file) for file in files if file.reason),
    )
    _remember(session, group, now, outcome="registered", submission_id=submission_id, note=None)
    audit.append(
        session,
        audit.Event(
            actor=actor,
            action="submission.received",
            subject=f"submission:{submission_id}",
            reason=f"the drop changed after submission {supersedes}" if supersedes else None,
            after={
                "state": "RECEIVED",
                "content_sha256": content,
                "files": len(files),
                "supersedes": supersedes,
            },
        ),
    )
    if predecessor is not None and predecessor.state == "RECEIVED":
        # It was never staged and cannot be any more: its drop has changed meanwhile.
        submissions.transition(
            session,
            predecessor.submission_id,
            "SUPERSEDED",
            actor=actor,
            reason=f"replaced by submission {submission_id} before it was staged",
            superseded_by=submission_id,
        )
    return Decision("new", submission_id, supersedes)


def _copy_in(session: Session, model: type[models.Base], rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert by COPY, ten times faster than INSERT: the writers' lock is held meanwhile."""
    waiting = iter(rows)
    first = next(waiting, None)
    if first is None:
        return
    command = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier(model.__tablename__), sql.SQL(", ").join(map(sql.Identifier, first))
    )
    cursor = session.connection().connection.cursor()
    with cursor.copy(command) as copy:
        for row in chain([first], waiting):
            copy.write_row(list(row.values()))


def _file_row(group: InboxGroup, submission_id: str, file: Examined) -> dict[str, Any]:
    taken = file.outcome != "quarantined"
    return {
        "submission_id": submission_id,
        "path": file.path,
        "raw_key": raw_key(group.submitter, group.file_type, submission_id, file),
        "sha256": file.sha256,
        "size": file.size,
        "inbox_etag": file.etag,
        "file_type": file.file_type,
        "layout": file.layout,
        "layout_version": file.layout_version,
        "outcome": file.outcome,
        "note": file.note,
        # A file that no source is shown counts as one record that arrived.
        "arrived": None if taken else 1,
        "accepted": None if taken else 0,
        "quarantined": None if taken else 1,
    }


def _quarantine_row(submission_id: str, file: Examined) -> dict[str, Any]:
    return {
        "submission_id": submission_id,
        "path": file.path,
        "reason": file.reason,
        "detail": file.note,
    }


MANIFEST = "_manifest.generated.json"
_LONGEST_KEY = 900  # S3 allows 1,024 bytes


def raw_prefix(submitter: str, file_type: str, submission_id: str) -> str:
    """Where a submission's raw files lie."""
    return f"raw/{submitter}/{file_type}/{submission_id}/"


def raw_key(submitter: str, file_type: str, submission_id: str, file: Examined) -> str:
    """Where a file's raw copy lies: under its own path, or under its hash where that is too long
    for a key or the manifest's own name."""
    prefix = raw_prefix(submitter, file_type, submission_id)
    key = prefix + file.path
    if file.path == MANIFEST or len(key.encode()) > _LONGEST_KEY:
        path_hash = hashlib.sha256(file.path.encode()).hexdigest()[:16]
        return f"{prefix}_renamed/{path_hash}-{file.sha256[:16]}"
    return key


def _still_there(session: Session, latest: models.Submission) -> models.Submission | None:
    lineage = submissions.lineage(session, latest.submission_id)
    return next((one for one in lineage if one.state != "WITHDRAWN"), None)


def _same_content(session: Session, group: InboxGroup, content: str) -> str | None:
    return session.scalar(
        select(models.Submission.submission_id)
        .where(
            models.Submission.submitter == group.submitter,
            models.Submission.content_sha256 == content,
            models.Submission.state.not_in(_GONE),
            models.Submission.group_key != group.key,
        )
        .order_by(models.Submission.submission_id)
        .limit(1)
    )


def _remember(session: Session, group: InboxGroup, now: datetime, **fields: Any) -> None:
    seen = {
        "fingerprint": group.fingerprint,
        "file_count": len(group.files),
        "byte_count": group.byte_count,
        "last_changed_at": group.newest or now,
        "closed_at": now,
        **fields,
    }
    session.execute(
        insert_or_update(models.InboxGroup)
        .values(group_key=group.key, first_seen_at=now, **seen)
        .on_conflict_do_update(index_elements=[models.InboxGroup.group_key], set_=seen)
    )


def _files(session: Session, submission_id: str) -> dict[str, FormerFile]:
    file = models.SubmissionFile
    rows = session.execute(
        select(
            file.path,
            file.raw_key,
            file.sha256,
            file.size,
            file.inbox_etag,
            file.file_type,
            file.outcome,
        ).where(file.submission_id == submission_id)
    )
    return {row.path: FormerFile(*row) for row in rows}
