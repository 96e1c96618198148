"""Parquet files written beside the reading: batches in, finished files in a folder out.

A writer thread compresses while the source reads on (pyarrow releases the interpreter's lock).
Statistics are left out for large texts: they would put whole documents, which are patient data,
into the files' footers and from there into the lake's catalog.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

#: A new file is begun when one has reached this (compressed).
PART_BYTES: Final = 256 * 1024 * 1024
#: Measured on Synthea bundles: level 1 is faster than 3 and, on this text, not larger.
_ZSTD_LEVEL: Final = 1
_BATCHES_AHEAD: Final = 2


@dataclass(frozen=True, slots=True)
class Part:
    """One finished Parquet file of one table."""

    table: str
    path: Path
    rows: int
    size: int
    schema: pa.Schema


@dataclass(slots=True)
class _Open:
    path: Path
    writer: pq.ParquetWriter
    rows: int = 0


class PartWriter:
    """Writes batches to Parquet, each batch as a row group; ``parts`` is complete after exit."""

    def __init__(self, folder: Path) -> None:
        self.parts: list[Part] = []
        self._folder = folder
        self._open: dict[str, _Open] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._ahead: list[Future[None]] = []
        self._count = 0

    def __enter__(self) -> PartWriter:
        self._folder.mkdir(parents=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._wait(0)
        finally:
            self._thread.shutdown(cancel_futures=True)
            for table in list(self._open):
                self._finish(table)

    def write(self, table: str, rows: pa.RecordBatch) -> None:
        """Hand over a batch. Waits while too many are not written yet, so memory stays bounded."""
        self._wait(_BATCHES_AHEAD - 1)
        self._ahead.append(self._thread.submit(self._write, table, rows))

    def _wait(self, left: int) -> None:
        while len(self._ahead) > left:
            self._ahead.pop(0).result()

    def _write(self, table: str, rows: pa.RecordBatch) -> None:
        part = self._open.get(table)
        if part is None:
            part = self._open[table] = self._begin(table, rows.schema)
        part.writer.write_batch(rows, row_group_size=max(rows.num_rows, 1))
        part.rows += rows.num_rows
        if part.path.stat().st_size >= PART_BYTES:
            self._finish(table)

    def _begin(self, table: str, schema: pa.Schema) -> _Open:
        self._count += 1
        path = self._folder / f"{table}-{self._count:05d}.parquet"
        plain = [column.name for column in schema if _is_plain(column.type)]
        writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=_ZSTD_LEVEL,
            use_dictionary=plain,
            write_statistics=plain,
            store_schema=False,
        )
        return _Open(path, writer)

    def _finish(self, table: str) -> None:
        part = self._open.pop(table)
        schema = part.writer.schema
        part.writer.close()
        size = part.path.stat().st_size
        self.parts.append(Part(table, part.path, part.rows, size, schema))


def _is_plain(type_: pa.DataType) -> bool:
    return not (pa.types.is_large_string(type_) or pa.types.is_nested(type_))
