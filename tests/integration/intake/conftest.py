"""An inbox to drop things into, and one pass of intake over it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from ingestion.intake import IntakeReport, Registered, intake, pending_groups
from lakehouse.metadata import models, submissions
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore
from tests.integration.metadata_database import engine, metadata_template, settings

__all__ = ["engine", "metadata_template", "settings"]

READABLE = frozenset({"fhir_bundle", "fhir_ndjson", "dicom"})
GROUP = "north/fhir/d1"


def patient(number: int, **changes: object) -> bytes:
    return json.dumps({"resourceType": "Patient", "id": f"p{number}", **changes}).encode()


@dataclass
class Inbox:
    """The parts of the platform that intake needs, and words for what tests do with them."""

    store: ObjectStore
    engine: Engine
    settings: Settings

    def drop(self, files: Mapping[str, bytes], group: str = GROUP, *, close: bool = True) -> None:
        for path, content in files.items():
            self.store.put(f"inbox/{group}/{path}", content)
        if close:
            self.store.put(f"inbox/{group}/_SUCCESS", b"")

    def remove(self, *paths: str, group: str = GROUP) -> None:
        for path in paths:
            self.store.delete(f"inbox/{group}/{path}")

    def take(
        self, *, later: timedelta = timedelta(), store: ObjectStore | None = None
    ) -> IntakeReport:
        return intake(
            store or self.store,
            self.engine,
            self.settings,
            now=datetime.now(UTC) + later,
            actor="test",
            readable=READABLE,
        )

    def take_one(self) -> Registered:
        """The one new submission that a pass makes."""
        report = self.take()
        assert len(report.registered) == 1, report
        return report.registered[0]

    def pending(self) -> list[str]:
        return pending_groups(self.store, self.engine, self.settings)

    def submission(self, submission_id: str) -> models.Submission:
        with Session(self.engine) as session:
            found = submissions.get(session, submission_id)
            session.expunge(found)
            return found

    def submissions(self) -> list[models.Submission]:
        with Session(self.engine, expire_on_commit=False) as session:
            return list(
                session.scalars(select(models.Submission).order_by(models.Submission.submission_id))
            )

    def files(self, submission_id: str) -> dict[str, models.SubmissionFile]:
        with Session(self.engine, expire_on_commit=False) as session:
            rows = session.scalars(
                select(models.SubmissionFile).where(
                    models.SubmissionFile.submission_id == submission_id
                )
            )
            return {row.path: row for row in rows}

    def raw(self, submission_id: str) -> dict[str, bytes]:
        """Content of the submission's raw copies by path."""
        return {
            path: self.store.read(file.raw_key)
            for path, file in self.files(submission_id).items()
            if self.store.exists(file.raw_key)
        }

    def reasons(self, submission_id: str) -> dict[str, str]:
        with Session(self.engine) as session:
            rows = session.execute(
                select(models.Quarantine.path, models.Quarantine.reason).where(
                    models.Quarantine.submission_id == submission_id
                )
            )
            return {path: reason for path, reason in rows}  # noqa: C416

    def group(self, key: str = GROUP) -> models.InboxGroup | None:
        with Session(self.engine, expire_on_commit=False) as session:
            return session.get(models.InboxGroup, key)

    def move(self, submission_id: str, *states: str) -> None:
        for state in states:
            with Session(self.engine) as session, session.begin():
                submissions.transition(session, submission_id, state, actor="test", reason=None)


@pytest.fixture
def inbox(store: ObjectStore, engine: Engine, settings: Settings) -> Inbox:
    return Inbox(store, engine, settings)
