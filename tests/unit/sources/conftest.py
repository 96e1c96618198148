"""Reading files through a source, and what came of it in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingestion.sources import Batch, FileRead, Rejected, Source, StagedFile
from lakehouse.settings import Settings
from lakehouse.store import LocalStore


@dataclass
class Outcome:
    """Everything that a source gave."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    files: dict[str, FileRead] = field(default_factory=dict)

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows = [row for batch in self.batches for row in batch.to_pylist()]
        return sorted(rows, key=lambda row: (row["source_file"], row["source_position"]))

    @property
    def ids(self) -> list[str]:
        return [f"{row['resource_type']}/{row['resource_id']}" for row in self.rows]

    @property
    def refused(self) -> list[tuple[str | None, str]]:
        """Position and reason of each record that was not taken."""
        return [(one.position, str(one.reason)) for one in self.rejected if one.records]

    def check(self) -> None:
        """Accepted and quarantined are what arrived, in each file; every row is a record."""
        lost = Counter[str]()
        for one in self.rejected:
            lost[one.path] += one.records
        rows = Counter(row["source_file"] for row in self.rows)
        for path, file in self.files.items():
            assert file.arrived == file.accepted + file.quarantined
            assert lost[path] == file.quarantined
            assert rows[path] == file.accepted


class Reader:
    """A local store and a way to read files in it through a source."""

    def __init__(self, folder: Path) -> None:
        self.store = LocalStore(folder, Settings(privacy_key="key-of-the-tests"))

    def __call__(
        self, source: Source, files: Mapping[str, bytes], file_type: str, *, check: bool = True
    ) -> Outcome:
        staged = []
        for path, data in files.items():
            info = self.store.put(f"raw/s/{path}", data)
            staged.append(StagedFile(path, info.key, info.size, file_type))
        return self.read(source, staged, check=check)

    def read(self, source: Source, staged: list[StagedFile], *, check: bool = True) -> Outcome:
        outcome = Outcome()
        for event in source.read(self.store, staged):
            if isinstance(event, Batch):
                outcome.batches.append(event.rows)
            elif isinstance(event, Rejected):
                outcome.rejected.append(event)
            else:
                outcome.files[event.path] = event
        assert outcome.files.keys() == {file.path for file in staged}
        if check:
            outcome.check()
        return outcome


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "store")
