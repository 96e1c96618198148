"""A person names what an ambiguous file is, so that its submission can go on."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from ingestion.intake import stage
from ingestion.intake.classify import HEAD_BYTES, file_types
from ingestion.intake.examine import Candidate, classified_as, judge, read_by_sources
from lakehouse.errors import IntakeError
from lakehouse.metadata import audit, models, submissions
from lakehouse.privacy import ref
from lakehouse.store import ObjectStore


def resolve_review(
    engine: Engine,
    store: ObjectStore,
    submission_id: str,
    path: str,
    file_type: str,
    *,
    actor: str,
    reason: str,
    readable: Collection[str] | None = None,
) -> str:
    """Record that a file of a NEEDS_REVIEW submission is ``file_type``; gives the state after it.

    ``path`` is the file's path in the drop or the reference that stands for it (``ref:…``). When
    no file is left to name, the submission becomes STAGED (or QUARANTINED, where none of its files
    can be read). ``unknown`` puts the file into quarantine. Raises :class:`IntakeError` when there
    is nothing to decide.
    """
    if file_type not in file_types():
        raise IntakeError(
            f"{file_type!r} is no file type.",
            hint="File types are " + ", ".join(file_types()) + ".",
        )
    with Session(engine) as session, session.begin():
        audit.lock(session)
        submission = submissions.get(session, submission_id)
        if submission.state != "NEEDS_REVIEW":
            raise IntakeError(
                f"Submission {submission_id} is {submission.state}: no file of it waits for a word."
            )
        file = _waiting(session, submission_id, path)
        head = store.read(file.raw_key, 0, HEAD_BYTES)
        judged = judge(
            Candidate(file.path, file.raw_key, file.size, None),
            file.sha256,
            classified_as(file_type, head, f"Named by {actor}"),
            frozenset(read_by_sources() if readable is None else readable),
        )
        file.file_type, file.outcome, file.note = judged.file_type, judged.outcome, judged.note
        file.layout, file.layout_version = judged.layout, judged.layout_version
        if judged.reason is not None:
            file.arrived, file.accepted, file.quarantined = 1, 0, 1
            session.execute(
                insert(models.Quarantine),
                [
                    {
                        "submission_id": submission_id,
                        "path": file.path,
                        "reason": judged.reason,
                        "detail": judged.note,
                    }
                ],
            )
        audit.append(
            session,
            audit.Event(
                actor=actor,
                action="submission.reviewed",
                subject=f"submission:{submission_id}",
                reason=reason,
                after={"file": ref(file.path), "file_type": file_type, "outcome": judged.outcome},
            ),
        )
    return stage.finish(store, engine, submission_id, actor=actor)


def _waiting(session: Session, submission_id: str, path: str) -> models.SubmissionFile:
    waiting = session.scalars(
        select(models.SubmissionFile).where(
            models.SubmissionFile.submission_id == submission_id,
            models.SubmissionFile.outcome == "review",
        )
    ).all()
    named = [file for file in waiting if path in (file.path, ref(file.path))]
    if len(named) != 1:
        raise IntakeError(
            f"No file of submission {submission_id} that waits for a word has this name.",
            hint="`lakehouse status` lists them: "
            + ", ".join(ref(file.path) for file in waiting[:5])
            + ".",
        )
    return named[0]
