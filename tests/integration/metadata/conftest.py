"""Submissions as intake would have registered them, for tests of what comes after."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from lakehouse.metadata import models, submissions
from tests.integration.metadata_database import engine, metadata_template, settings

__all__ = ["engine", "metadata_template", "settings"]

Submit = Callable[..., str]


@pytest.fixture
def submit(engine: Engine) -> Submit:
    """Register a submission and move it through the given states."""

    def register(*states: str, supersedes: str | None = None) -> str:
        with Session(engine) as session, session.begin():
            submission_id = submissions.new_id(session, datetime.now(UTC))
            session.execute(
                insert(models.Submission).values(
                    submission_id=submission_id,
                    group_key="north/fhir/d1",
                    submitter="north",
                    file_type="fhir",
                    drop_id="d1",
                    state="RECEIVED",
                    content_sha256="0" * 64,
                    file_count=1,
                    byte_count=10,
                    supersedes=supersedes,
                    received_at=datetime.now(UTC),
                )
            )
        for state in states:
            move(engine, submission_id, state)
        return submission_id

    return register


def move(engine: Engine, submission_id: str, to: str, **fields: object) -> None:
    with Session(engine) as session, session.begin():
        submissions.transition(session, submission_id, to, actor="test", reason=None, **fields)


def state_of(engine: Engine, submission_id: str) -> str:
    with Session(engine) as session:
        return submissions.get(session, submission_id).state
