"""Identifiers, names and note text planted in the input are nowhere but in the data itself.

Looked at: what commands print at DEBUG, Dagster's runs, events and logs, Data Docs, check results,
the audit trail and the quarantine – and the published marts, which dashboards read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from installation import embedded
from lakehouse.settings import Settings
from tests.integration.main_job.conftest import Lakehouse

PLANTED = {
    "family name": "Zyxwvquist",
    "given name": "Quillabeth",
    "patient id": "pat-73c1e5d0-planted",
    "encounter id": "enc-90ab44f2-planted",
    "medical record number": "MRN-5550199-X",
    "phone": "555-0142-7788",
    "street": "77 Umbrafell Crescent",
    "birth date": "1931-07-23",
    "note text": "confided that the lighthouse keeper owes her money",
    "file name": "Zyxwvquist_Quillabeth_7781",
    "broken resource id": "obs-broken-5b1d-planted",
}
#: Words of a clinician where others have a code. Marts count them all as one group.
CLINICIANS = {
    "condition text": "sorrow since the harbour fire",
    "procedure text": "mended what the capstan tore",
    "medication text": "tincture from the aunt in Ballywhen",
    "observation text": "limps towards the quay",
    "observation value": "as the ferryman told",
    "encounter type text": "came with the verger",
    "encounter reason": "fears the bell at night",
    "report text": "looked at by lantern",
}


def bundle() -> dict[str, object]:
    patient = {
        "resourceType": "Patient",
        "id": PLANTED["patient id"],
        "identifier": [{"system": "urn:mrn", "value": PLANTED["medical record number"]}],
        "name": [{"family": PLANTED["family name"], "given": [PLANTED["given name"]]}],
        "telecom": [{"system": "phone", "value": PLANTED["phone"]}],
        "address": [{"line": [PLANTED["street"]], "city": "Nowhere", "postalCode": "00000"}],
        "birthDate": PLANTED["birth date"],
        "gender": "female",
    }
    reference = {"reference": f"Patient/{patient['id']}"}
    encounter = {
        "resourceType": "Encounter",
        "id": PLANTED["encounter id"],
        "status": "finished",
        "class": {"code": "AMB"},
        "type": [{"text": CLINICIANS["encounter type text"]}],
        "reasonCode": [{"text": CLINICIANS["encounter reason"]}],
        "subject": {**reference, "display": PLANTED["family name"]},
        "period": {"start": "2024-03-01T09:30:00-05:00", "end": "2024-03-01T10:00:00-05:00"},
    }
    note = {
        "resourceType": "DocumentReference",
        "id": "doc-1",
        "status": "current",
        "subject": reference,
        "context": {"encounter": [{"reference": f"Encounter/{encounter['id']}"}]},
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain",
                    "data": base64.b64encode(
                        f"# Subjective\n{PLANTED['given name']} {PLANTED['note text']}.".encode()
                    ).decode(),
                }
            }
        ],
    }
    about = {"subject": reference, "encounter": {"reference": f"Encounter/{encounter['id']}"}}
    said = [
        {
            "resourceType": "Condition",
            "code": {"text": CLINICIANS["condition text"]},
            "onsetDateTime": "2024-02-01",
        },
        {
            "resourceType": "Procedure",
            "status": "completed",
            "code": {"text": CLINICIANS["procedure text"]},
            "reasonCode": [{"text": CLINICIANS["encounter reason"]}],
            "performedDateTime": "2024-03-01T09:40:00-05:00",
        },
        {
            "resourceType": "MedicationRequest",
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": {"text": CLINICIANS["medication text"]},
            "authoredOn": "2024-03-01",
        },
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": CLINICIANS["observation text"]},
            "valueString": CLINICIANS["observation value"],
            "effectiveDateTime": "2024-03-01T09:45:00-05:00",
        },
        {
            "resourceType": "DiagnosticReport",
            "status": "final",
            "code": {"text": CLINICIANS["report text"]},
            "effectiveDateTime": "2024-03-01T09:50:00-05:00",
        },
    ]
    resources = [
        patient,
        encounter,
        note,
        *({"id": f"said-{number}", **one, **about} for number, one in enumerate(said)),
    ]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}
            for resource in resources
        ],
    }


@pytest.fixture
def searched(lakehouse: Lakehouse, home: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Everything that people other than the data's own users see, after a full run at DEBUG."""
    folder = tmp_path / "drop"
    folder.mkdir()
    good = json.dumps(bundle())
    (folder / f"{PLANTED['file name']}.json").write_text(good, encoding="utf-8")
    (folder / f"{PLANTED['file name']}-cut.json").write_text(
        good[: len(good) * 2 // 3], encoding="utf-8"
    )
    broken = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"resource": {"resourceType": "Patient", "name": [{"family": PLANTED["family name"]}]}},
            {
                "resource": {
                    "resourceType": PLANTED["given name"],
                    "id": PLANTED["broken resource id"],
                }
            },
            {"resource": [PLANTED["medical record number"]]},
        ],
    }
    (folder / f"{PLANTED['file name']}-broken.json").write_text(
        json.dumps(broken), encoding="utf-8"
    )

    debug = {"LOG_LEVEL": "DEBUG"}
    seen: dict[str, str] = {}
    for arguments in (
        ("drop", str(folder), "--drop-id", "planted"),
        ("run",),
        ("run", "--full-refresh"),
        ("status",),
        ("status", "--json"),
        ("quarantine",),
        ("verify",),
        ("audit",),
    ):
        done = lakehouse(*arguments, check=False, **debug)
        # The folder's own path is printed by nothing; pytest's temporary folder holds no planted word.
        seen[f"terminal: {' '.join(arguments[:1])}"] = done.stdout + done.stderr
    settings = embedded.ensure_running(Settings(LAKEHOUSE_HOME=home))
    for database, skip in (
        ("dagster", ()),
        ("lakehouse", ("submission_file", "quarantine")),
        ("marts", ()),
    ):
        seen[f"database {database}"] = everything(settings.libpq_url(database), skip)  # type: ignore[arg-type]
    with psycopg.connect(settings.libpq_url("lakehouse")) as connection:
        found = connection.execute(
            "select coalesce(string_agg(concat_ws(' ', position, reason, detail, sample), ' '), '') "
            "from quarantine"
        ).fetchone()
    seen["quarantine samples"] = str(found)
    for name in ("dagster", "site", "gx"):
        seen[f"folder {name}"] = "\n".join(
            file.read_text(encoding="utf-8", errors="replace")
            for file in sorted((home / name).rglob("*"))
            if file.is_file()
        )
    yield seen


def everything(url: str, skip: tuple[str, ...]) -> str:
    """The text of every row of every table and view of a database."""
    parts: list[str] = []
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where table_schema not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in tables:
            if table not in skip:
                rows = connection.execute(
                    f'select t::text from "{schema}"."{table}" as t'
                ).fetchall()
                parts += [str(row[0]) for row in rows]
    return "\n".join(parts)


@pytest.mark.slow
def test_nothing_planted_leaves_the_data(searched: dict[str, str]) -> None:
    assert "event" in searched["database dagster"].lower()
    assert searched["folder site"]
    assert "missing_id" in searched["quarantine samples"]
    assert "DEBUG" in searched["terminal: run"]
    assert "text only, no code" in searched["database marts"]
    leaks = [
        f"{what} in {where}"
        for where, text in searched.items()
        for what, value in (PLANTED | CLINICIANS).items()
        if value.lower() in text.lower()
    ]
    assert leaks == []
