"""`lakehouse retake`: what a newer version can read leaves quarantine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingestion.intake import intake
from tests.integration.intake.conftest import Inbox, patient

COMMAND = Path(sys.executable).parent / "lakehouse"


def lakehouse(inbox: Inbox, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command on the test's own databases and store."""
    return subprocess.run(
        [str(COMMAND), *arguments],
        env={
            "PATH": os.environ["PATH"],
            "LAKEHOUSE_HOME": str(inbox.settings.home),
            "POSTGRES_URL": str(inbox.settings.postgres_url),
            "DATABASE_PREFIX": inbox.settings.database_prefix,
            "PRIVACY_KEY": "key-of-the-tests",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )


def test_what_an_older_version_could_not_read_is_taken(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1), "b.json": patient(2), "empty.json": b""})
    report = intake(
        inbox.store,
        inbox.engine,
        inbox.settings,
        now=datetime.now(UTC),
        actor="t",
        readable={"dicom"},
    )
    submission_id = report.registered[0].submission_id
    assert inbox.submission(submission_id).state == "QUARANTINED"

    found: dict[str, Any] = json.loads(lakehouse(inbox, "retake", "--json").stdout)

    assert found == {"submissions": {submission_id: 2}, "files": 2}
    assert inbox.submission(submission_id).state == "STAGED"
    assert "Nothing in quarantine" in lakehouse(inbox, "retake").stdout
