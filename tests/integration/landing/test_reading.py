"""Reading in several processes gives what reading in one gives, and failures are told."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingestion import reading
from ingestion.reading import Reading, Share, read_files
from ingestion.sources import StagedFile
from lakehouse.errors import LandingError, ObjectNotFound
from lakehouse.settings import Settings
from lakehouse.store import open_store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(LAKEHOUSE_HOME=tmp_path, privacy_key="key-of-the-tests", duckdb_threads=2)


def share(settings: Settings, files: int = 7) -> Share:
    store = open_store(settings)
    staged = []
    for number in range(files):
        entries = [
            {"resource": {"resourceType": "Patient", "id": f"p{number}-{n}"}} for n in range(50)
        ]
        document = {"resourceType": "Bundle", "entry": [*entries, None]}
        info = store.put(f"raw/s/{number}.json", json.dumps(document).encode())
        staged.append(StagedFile(f"{number}.json", info.key, info.size, "fhir_bundle"))
    folder = settings.home / "parts"
    return Share("20260101T000000000-000000", datetime(2026, 1, 1, tzinfo=UTC), folder, staged)


def rows(found: Reading) -> Counter[tuple[object, ...]]:
    return Counter(
        tuple(str(value) for value in row.values())
        for part in found.parts
        for row in pq.read_table(part.path).to_pylist()
    )


def test_two_processes_give_what_one_gives(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = share(settings)
    alone = read_files(open_store(settings), settings, whole)
    expected = rows(alone)
    assert len(alone.parts) == 1
    monkeypatch.setattr(reading, "BYTES_PER_PROCESS", 1)
    other = Share(whole.submission_id, whole.ingested_at, settings.home / "other", whole.files)
    shared = read_files(open_store(settings), settings, other)
    assert len(shared.parts) == 2
    assert rows(shared) == expected
    assert sum(expected.values()) == 350
    assert sorted(shared.files, key=lambda file: file.path) == alone.files
    assert Counter(one.path for one in shared.rejected) == Counter(f.path for f in whole.files)


def test_an_error_in_another_process_is_raised_here(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BYTES_PER_PROCESS", 1)
    whole = share(settings, files=2)
    open_store(settings).delete(whole.files[1].key)
    with pytest.raises(ObjectNotFound):
        read_files(open_store(settings), settings, whole)


def test_a_process_that_dies_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BYTES_PER_PROCESS", 1)
    monkeypatch.setattr(reading.sys, "executable", "/bin/false")
    with pytest.raises(LandingError, match="ended with code 1"):
        read_files(open_store(settings), settings, share(settings, files=2))
