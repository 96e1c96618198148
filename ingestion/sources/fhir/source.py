"""The files of a submission, read ahead and split into rows; resources with a doubled key are left out."""

from __future__ import annotations

import io
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Final

import pyarrow as pa

from ingestion.reasons import Reason
from ingestion.sources import Batch, Event, FileRead, Rejected, StagedFile, streams
from ingestion.sources.fhir.doubled_keys import Screen
from ingestion.sources.fhir.files import read
from ingestion.sources.fhir.reading import FileReading
from ingestion.sources.fhir.rows import Rows
from ingestion.sources.fhir.table import FHIR_RESOURCE
from lakehouse.store import ObjectStore

#: Files up to this size are read ahead, several at a time.
SMALL_FILE_BYTES: Final = 16 * 1024 * 1024
_READERS: Final = 4
_READ_TOGETHER_BYTES: Final = 4 * 1024 * 1024
_READ_TOGETHER_FILES: Final = 64


class FhirSource:
    """Reads FHIR JSON of version R4, whatever it is packed in."""

    name = "fhir"
    file_types = frozenset({"fhir_bundle", "fhir_ndjson"})
    tables = (FHIR_RESOURCE,)

    def read(self, store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
        yield from _without_doubled_keys(_split(store, files))


def _split(store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
    rows = Rows()
    for file, data in _contents(store, files):
        reading = FileReading(file.path, rows)
        if data is not None:
            yield from read(reading, _unpacked(data), file.file_type)
        else:
            with store.open(file.key) as opened:
                yield from read(reading, partial(streams.blocks, opened), file.file_type)
        yield from reading.end()
    yield from rows.rest()


def split(data: bytes, path: str, file_type: str = "fhir_bundle") -> Iterator[Event]:
    """The rows of one file that is held in memory already."""

    def events() -> Iterator[Event]:
        reading = FileReading(path, Rows())
        yield from read(reading, _unpacked(data), file_type)
        yield from reading.end()
        yield from reading.rows.rest()

    yield from _without_doubled_keys(events())


def _without_doubled_keys(events: Iterator[Event]) -> Iterator[Event]:
    """The same without resources that have a doubled key: they are rejected. What a file gave is known
    when its last batch was looked through, so the ends of files come last."""
    ends: dict[str, FileRead] = {}
    lost: Counter[str] = Counter()
    with closing(Screen()) as screen:
        for event in events:
            if isinstance(event, FileRead):
                ends[event.path] = event
            elif isinstance(event, Batch) and (doubled := screen.doubled(event.rows)):
                for row in doubled:
                    rejected = _doubled(event.rows, row)
                    lost[rejected.path] += 1
                    yield rejected
                yield Batch(FHIR_RESOURCE.name, _without(event.rows, doubled))
            else:
                yield event
    for path, end in ends.items():
        yield FileRead(path, end.arrived, end.accepted - lost[path], end.quarantined + lost[path])


def _doubled(rows: pa.RecordBatch, row: int) -> Rejected:
    path = rows.column("source_file")[row].as_py()
    position = rows.column("source_position")[row].as_py()
    size = len(rows.column("resource")[row].as_py())
    detail = "An object has the same name twice, or is nested too deeply to tell: its value is not known."
    return Rejected(path, f"record {position}", Reason.DOUBLED_KEY, detail, {"characters": size})


def _without(rows: pa.RecordBatch, left_out: Sequence[int]) -> pa.RecordBatch:
    starts = [0, *(row + 1 for row in left_out)]
    ends = [*left_out, rows.num_rows]
    kept = [rows.slice(a, b - a) for a, b in zip(starts, ends, strict=True) if b > a]
    return (
        pa.Table.from_batches(kept, schema=rows.schema).combine_chunks().to_batches()[0]
        if kept
        else rows.slice(0, 0)
    )


def _unpacked(data: bytes) -> Callable[[], Iterator[bytes]]:
    if streams.is_compressed(data):
        return lambda: streams.blocks(io.BytesIO(data))
    return lambda: iter((data,))


def _contents(
    store: ObjectStore, files: Sequence[StagedFile]
) -> Iterator[tuple[StagedFile, bytes | None]]:
    """Files in their order, small ones with their bytes, read ahead by a few threads."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="read-ahead") as pool:
        ahead: deque[tuple[list[StagedFile], Future[list[bytes | None]]]] = deque()
        try:
            for group in _groups(files):
                ahead.append((group, pool.submit(_read_group, store, group)))
                if len(ahead) > _READERS:
                    ready, future = ahead.popleft()
                    yield from zip(ready, future.result(), strict=True)
            while ahead:
                ready, future = ahead.popleft()
                yield from zip(ready, future.result(), strict=True)
        finally:
            for _, future in ahead:
                future.cancel()


def _groups(files: Sequence[StagedFile]) -> Iterator[list[StagedFile]]:
    """Runs of files that are worth one trip of a reader."""
    group: list[StagedFile] = []
    size = 0
    for file in files:
        full = size + file.size > _READ_TOGETHER_BYTES or len(group) == _READ_TOGETHER_FILES
        if group and full:
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield group


def _read_group(store: ObjectStore, group: list[StagedFile]) -> list[bytes | None]:
    """The bytes of each small file; large ones are streamed when their turn comes."""
    return [store.read(file.key) if file.size <= SMALL_FILE_BYTES else None for file in group]
