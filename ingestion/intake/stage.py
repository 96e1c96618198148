"""Staging: the files of a registered submission become immutable copies below ``raw/``.

Everything here may be done twice: a copy that is there already is checked instead of made, and the
state changes last.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, collate, func, insert, select, update
from sqlalchemy.orm import Session

from ingestion.intake.examine import ChangedWhileRead, Examined, in_threads, sha256_of
from ingestion.intake.register import MANIFEST, raw_key, raw_prefix
from ingestion.reasons import Reason
from lakehouse.errors import AccessDenied, ObjectExists, ObjectNotFound
from lakehouse.metadata import audit, models, submissions
from lakehouse.store import ObjectStore


def stage(
    store: ObjectStore,
    engine: Engine,
    submission_id: str,
    files: Sequence[Examined],
    *,
    actor: str,
) -> str:
    """Copy the files of a RECEIVED submission to raw and move it on; gives its new state.

    STAGED where at least one file can be read, NEEDS_REVIEW where a person has to name a file's
    type first, QUARANTINED where no file can be read. Raises :class:`ChangedWhileRead` when a file
    is no longer what was registered; the submission then stays RECEIVED.
    """
    with Session(engine) as session:
        submission = submissions.get(session, submission_id)
        submitter, file_type = submission.submitter, submission.file_type

    def copy(file: Examined) -> str | None:
        return _copy(store, file, raw_key(submitter, file_type, submission_id, file))

    vanished = [path for path in in_threads(copy, files) if path is not None]
    if vanished:
        _quarantine_vanished(engine, submission_id, vanished)
    return finish(store, engine, submission_id, actor=actor)


def finish(store: ObjectStore, engine: Engine, submission_id: str, *, actor: str) -> str:
    """Move a submission whose raw copies are complete out of RECEIVED or NEEDS_REVIEW, as far as
    its files allow; gives its state.

    The manifest is written before the state changes, unless a person has to decide something first.
    """
    with Session(engine) as session:
        submission = submissions.get(session, submission_id)
        outcomes = _outcomes(session, submission_id)
        state = _state(outcomes)
        if submission.state not in ("RECEIVED", "NEEDS_REVIEW") or submission.state == state:
            return submission.state
        if state != "NEEDS_REVIEW":
            _write_manifest(store, session, submission)
    with Session(engine) as session, session.begin():
        audit.lock(session)
        submission = submissions.get(session, submission_id)
        if submission.state not in ("RECEIVED", "NEEDS_REVIEW"):
            return submission.state  # another process was faster
        submissions.transition(
            session,
            submission_id,
            state,
            actor=actor,
            reason=_words(outcomes),
            **({} if state == "STAGED" else {"staged_at": datetime.now(UTC)}),
        )
    return state


def manifest(session: Session, submission: models.Submission) -> bytes:
    """The manifest of a submission as canonical JSON (sorted keys, no white space, UTF-8).

    It depends on nothing but what was registered, so writing it again gives the same bytes.
    """
    file = models.SubmissionFile
    files = session.execute(
        select(
            file.path,
            file.raw_key,
            file.sha256,
            file.size,
            file.file_type.label("type"),
            file.layout,
            file.layout_version,
            file.outcome,
        )
        .where(file.submission_id == submission.submission_id)
        .order_by(collate(file.path, "C"))
    )
    content: dict[str, Any] = {
        "submission_id": submission.submission_id,
        "submitter": submission.submitter,
        "file_type": submission.file_type,
        "drop_id": submission.drop_id,
        "group": submission.group_key,
        "content_sha256": submission.content_sha256,
        "supersedes": submission.supersedes,
        "received_at": submission.received_at.isoformat(),
        "files": [dict(row) for row in files.mappings()],
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def _copy(store: ObjectStore, file: Examined, target: str) -> str | None:
    """Make and check the raw copy; the file's path where it can no longer be made."""
    if file.key == target or file.reason == Reason.VANISHED:  # the inbox no longer has it
        if not store.exists(target):
            return file.path
        _check(store, file, target)
    elif not _is_there(store, file, target):
        if file.etag is not None and not _is_still(store, file):
            store.delete(target)
            raise ChangedWhileRead
    else:
        _check(store, file, target)
    store.make_immutable(target)
    return None


def _is_there(store: ObjectStore, file: Examined, target: str) -> bool:
    """Whether the copy was there already; it is made where not."""
    try:
        store.copy(file.key, target, if_absent=True)
    except ObjectExists:
        return True
    except AccessDenied:
        if store.exists(target):  # and is immutable already
            return True
        raise
    except ObjectNotFound as error:
        raise ChangedWhileRead from error
    return False


def _is_still(store: ObjectStore, file: Examined) -> bool:
    """Whether the inbox still has what was read: then the copy is that too."""
    try:
        return store.stat(file.key).etag == file.etag
    except ObjectNotFound:
        return False


def _check(store: ObjectStore, file: Examined, target: str) -> None:
    """A copy from a pass that died is complete, but perhaps of another version of the file."""
    if sha256_of(store, target) != file.sha256:
        store.delete(target)
        raise ChangedWhileRead


def _quarantine_vanished(engine: Engine, submission_id: str, paths: Sequence[str]) -> None:
    with Session(engine) as session, session.begin():
        changed = session.scalars(
            update(models.SubmissionFile)
            .where(
                models.SubmissionFile.submission_id == submission_id,
                models.SubmissionFile.path.in_(paths),
                models.SubmissionFile.outcome != "quarantined",
            )
            .values(outcome="quarantined", arrived=1, accepted=0, quarantined=1)
            .returning(models.SubmissionFile.path)
            .execution_options(synchronize_session=False)
        ).all()
        if changed:
            session.execute(
                insert(models.Quarantine),
                [
                    {
                        "submission_id": submission_id,
                        "path": path,
                        "reason": Reason.VANISHED.value,
                        "detail": "The file was removed from the inbox before it was copied.",
                    }
                    for path in changed
                ],
            )


def _outcomes(session: Session, submission_id: str) -> Counter[str]:
    """Files by outcome."""
    rows = session.execute(
        select(models.SubmissionFile.outcome, func.count())
        .where(models.SubmissionFile.submission_id == submission_id)
        .group_by(models.SubmissionFile.outcome)
    )
    return Counter(dict(rows.tuples().all()))


def _state(outcomes: Counter[str]) -> str:
    if outcomes["review"]:
        return "NEEDS_REVIEW"
    return "STAGED" if outcomes["staged"] else "QUARANTINED"


def _words(outcomes: Counter[str]) -> str:
    if outcomes["review"]:
        return (
            f"{outcomes['review']} file(s) of ambiguous type: name each with "
            "`lakehouse review <submission> <file> <type> --reason …`"
        )
    return f"{outcomes['staged']} file(s) to land, {outcomes['quarantined']} in quarantine"


def _write_manifest(store: ObjectStore, session: Session, submission: models.Submission) -> None:
    prefix = raw_prefix(submission.submitter, submission.file_type, submission.submission_id)
    key = prefix + MANIFEST
    content = manifest(session, submission)
    if not store.exists(key) or store.read(key) != content:
        store.put(key, content)
    store.make_immutable(key)
