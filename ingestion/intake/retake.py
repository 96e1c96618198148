"""Looking again at files that intake could not take: a newer version may read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from ingestion.intake.classify import load_classifier
from ingestion.intake.examine import Candidate, Examined, examine, read_by_sources
from ingestion.reasons import Reason
from lakehouse.metadata import audit, models, submissions
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore

_LOOKED_AT = ("QUARANTINED", "STAGED", "LANDED", "HELD", "INTEGRATED", "PUBLISHED")


def retake(
    store: ObjectStore,
    engine: Engine,
    settings: Settings,
    *,
    actor: str,
    readable: Collection[str] | None = None,
) -> dict[str, int]:
    """Examine again what intake quarantined; gives the number of files that can be taken now, by
    submission.

    Such a submission becomes STAGED and is landed (again) with these files; what it has in the lake
    stays until then. Everything else stays as it is. For use after an upgrade that brought a new
    source, layout or classifier.
    """
    classifier = load_classifier(settings.classifier_impl)
    types = frozenset(read_by_sources() if readable is None else readable)
    taken: dict[str, int] = {}
    for submission_id, candidates in _not_taken(engine).items():
        seen = examine(store, candidates, classifier, types)
        good = [file for file in seen if file.outcome == "staged"]
        if good:
            _take(engine, submission_id, good, actor)
            taken[submission_id] = len(good)
    return taken


def _not_taken(engine: Engine) -> dict[str, list[Candidate]]:
    """Files that no source was shown, by submission, in the order of registration."""
    file = models.SubmissionFile
    with Session(engine) as session:
        rows = session.execute(
            select(file.submission_id, file.path, file.raw_key, file.size, file.sha256)
            .join(models.Submission, models.Submission.submission_id == file.submission_id)
            .join(
                models.Quarantine,
                (models.Quarantine.submission_id == file.submission_id)
                & (models.Quarantine.path == file.path),
            )
            .where(
                file.outcome == "quarantined",
                models.Submission.state.in_(_LOOKED_AT),
                models.Quarantine.reason != Reason.VANISHED.value,
            )
            .order_by(file.submission_id, file.path)
        )
        found: dict[str, list[Candidate]] = defaultdict(list)
        for submission_id, path, raw_key, size, sha256 in rows:
            found[submission_id].append(Candidate(path, raw_key, size, None, sha256))
        return dict(found)


def _take(engine: Engine, submission_id: str, files: Iterable[Examined], actor: str) -> None:
    by_path = {file.path: file for file in files}
    with Session(engine) as session, session.begin():
        audit.lock(session)
        submission = submissions.get(session, submission_id)
        if submission.state not in _LOOKED_AT:
            return
        rows = session.scalars(
            select(models.SubmissionFile).where(
                models.SubmissionFile.submission_id == submission_id,
                models.SubmissionFile.path.in_(by_path),
            )
        )
        for row in rows:
            file = by_path[row.path]
            row.outcome, row.note = "staged", file.note
            row.file_type, row.layout = file.file_type, file.layout
            row.layout_version = file.layout_version
            row.arrived = row.accepted = row.quarantined = None
        session.execute(
            delete(models.Quarantine).where(
                models.Quarantine.submission_id == submission_id,
                models.Quarantine.path.in_(by_path),
            )
        )
        if submission.state != "STAGED":
            submissions.transition(
                session,
                submission_id,
                "STAGED",
                actor=actor,
                reason=f"{len(by_path)} file(s) that were in quarantine can be read now",
            )
