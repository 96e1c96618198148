"""Reading the files of a submission into Parquet parts, in as many processes as pay off.

Splitting is Python and holds the interpreter's lock, so a large submission is shared between this
process and others of the same program (`python -m ingestion.reading`), which get their share on
standard input and give what they found on standard output.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from ingestion import columns, tables
from ingestion.parquet_parts import Part, PartWriter
from ingestion.reasons import Reason
from ingestion.sources import (
    Batch,
    FileRead,
    Rejected,
    Source,
    StagedFile,
    bronze_tables,
    registry,
)
from ingestion.tables import BronzeTable
from lakehouse.errors import LakehouseError, LandingError
from lakehouse.privacy import log_at
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore, open_store

log = logging.getLogger(__name__)

#: Input that is worth one more process: starting one costs about half a second.
BYTES_PER_PROCESS: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Share:
    """Files for one process, and where their Parquet goes."""

    submission_id: str
    ingested_at: datetime
    folder: Path
    files: Sequence[StagedFile]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(slots=True)
class Reading:
    """What came of some files: Parquet parts, each file's counts, what was rejected."""

    parts: list[Part] = field(default_factory=list)
    files: list[FileRead] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def add(self, other: Reading) -> None:
        self.parts += other.parts
        self.files += other.files
        self.rejected += other.rejected


def read_files(store: ObjectStore, settings: Settings, whole: Share) -> Reading:
    """Read every file, in this process and, where there is enough to read, in others beside it.

    Raises the errors of the store, and :class:`LandingError` when a process beside this one died.
    """
    shares = _shares(whole, min(settings.duckdb_threads, os.cpu_count() or 1))
    reading = Reading()
    with contextlib.ExitStack() as stack:
        beside = [stack.enter_context(_beside(settings, share)) for share in shares[1:]]
        reading.add(read_share(store, shares[0]))
        for process in beside:
            reading.add(_result(process))
    return reading


def read_share(store: ObjectStore, share: Share) -> Reading:
    """Read files in this process."""
    reading = Reading()
    by_source: dict[str, tuple[Source, list[StagedFile]]] = {}
    for file in share.files:
        source = registry().get(file.file_type)
        if source is None:
            detail = f"No source reads files of type {file.file_type}."
            sample = {"bytes": file.size}
            reading.rejected.append(Rejected(file.path, None, Reason.NO_SOURCE, detail, sample))
            reading.files.append(FileRead(file.path, arrived=1, accepted=0, quarantined=1))
        else:
            by_source.setdefault(source.name, (source, []))[1].append(file)
    with PartWriter(share.folder) as writer:
        for source, files in by_source.values():
            for event in source.read(store, files):
                if isinstance(event, Batch):
                    table = bronze_tables()[event.table]
                    writer.write(table.name, with_provenance(checked(event.rows, table), share))
                elif isinstance(event, Rejected):
                    reading.rejected.append(event)
                else:
                    reading.files.append(event)
    reading.parts = writer.parts
    return reading


def checked(rows: pa.RecordBatch, table: BronzeTable) -> pa.RecordBatch:
    """The rows, where they are as their table is declared: its columns, no record without its key.

    What is no finite number becomes null: the lake's reader prunes files by their least and greatest
    values, among which NaN has no place. Raises :class:`LandingError`, as only a wrong source can.
    """
    if not rows.schema.equals(table.schema):
        raise LandingError(
            f"A source gives other columns for {table.name} than it declares.",
            hint="This is an error of a source, not of the data; nothing was landed.",
        )
    for name in table.key:
        if rows.column(name).null_count:
            raise LandingError(
                f"A source gives rows of {table.name} without {name}, which is part of their key.",
                hint="It has to reject them; nothing was landed.",
            )
    for place, column in enumerate(rows.schema):
        if pa.types.is_floating(column.type):
            finite = columns.finite(rows.column(place))
            if finite is not rows.column(place):
                rows = rows.set_column(place, column, finite)
    return rows


def with_provenance(rows: pa.RecordBatch, share: Share) -> pa.RecordBatch:
    """The rows with the columns that are the same for a whole landing."""
    added = {
        "submission_id": columns.repeated_text(share.submission_id, rows.num_rows),
        "ingested_at": columns.repeated_time(share.ingested_at, rows.num_rows),
    }
    schema = tables.with_provenance(rows.schema)
    arrays = [added[name] if name in added else rows.column(name) for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _shares(whole: Share, processes: int) -> list[Share]:
    """Shares of about the same size: each file, from the largest on, to the smallest share."""
    count = max(1, min(processes, len(whole.files), whole.size // BYTES_PER_PROCESS))
    files: list[list[StagedFile]] = [[] for _ in range(count)]
    sizes = [0] * count
    for file in sorted(whole.files, key=lambda file: -file.size):
        smallest = sizes.index(min(sizes))
        files[smallest].append(file)
        sizes[smallest] += file.size
    return [
        Share(
            whole.submission_id,
            whole.ingested_at,
            whole.folder / str(number),
            sorted(part, key=lambda file: file.path),
        )
        for number, part in enumerate(files)
    ]


@contextlib.contextmanager
def _beside(settings: Settings, share: Share) -> Iterator[subprocess.Popen[bytes]]:
    """A process that reads a share; it is ended where this one fails."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ingestion.reading"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        assert process.stdin is not None  # noqa: S101 - it was asked for
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pickle.dump((settings, share), pipe)  # one that died already is named when waited for
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        if process.stdout is not None:
            process.stdout.close()
        process.wait()


def _result(process: subprocess.Popen[bytes]) -> Reading:
    output = process.stdout.read() if process.stdout is not None else b""
    if process.wait() != 0 or not output:
        raise LandingError(
            f"A process that read a part of the submission ended with code {process.returncode}.",
            hint="Land the submission again; if it stays so, check the machine's memory.",
        )
    found = pickle.loads(output)  # noqa: S301 - written by our own process
    if isinstance(found, LakehouseError):
        raise found
    if not isinstance(found, Reading):
        raise LandingError(f"A process that read a part of the submission failed ({found}).")
    return found


def main() -> None:
    """Read the share that standard input describes."""
    # Whatever a library prints must not get between the answer's bytes.
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    settings, share = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by our own process
    log_at(settings.log_level)
    found: Reading | LakehouseError | str
    try:
        found = read_share(open_store(settings), share)
    except LakehouseError as error:
        found = error
    except Exception as error:  # noqa: BLE001 - named to the process that waits; values stay here
        found = type(error).__name__
    with answer:
        pickle.dump(found, answer)


if __name__ == "__main__":
    # By its real name, so that what it pickles is found under that name again.
    from ingestion import reading

    reading.main()
