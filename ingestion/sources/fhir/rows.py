"""Accepted rows that wait to fill a row group, by resource type and column."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from ingestion import columns
from ingestion.sources import Batch
from ingestion.sources.fhir.references import conditional_references
from ingestion.sources.fhir.shapes import Meta
from ingestion.sources.fhir.table import FHIR_RESOURCE

#: Rows of one resource type are given out when they reach this, so that Parquet row groups hold
#: one type each and statistics prune; all rows held together stay below the second.
ROW_GROUP_BYTES: Final = 16 * 1024 * 1024
HELD_BYTES: Final = 96 * 1024 * 1024
#: What a row holds besides the resource, roughly.
_ROW_BYTES: Final = 200


#: One row: file, position, sequence, id, version, time of update, method, conditional references,
#: resource. A tuple costs the least of all that holds a row.
_Row = tuple[str, int, int, str, str | None, str | None, str | None, list[str] | None, bytes | None]


@dataclass(slots=True)
class _TypeRows:
    """Rows of one resource type; what few of them have, by the number of the row."""

    rows: list[_Row] = field(default_factory=list)
    named_by: dict[int, str] = field(default_factory=dict)
    subsets: list[int] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class Rows:
    """Accepted rows that wait to fill a row group."""

    by_type: dict[str, _TypeRows] = field(default_factory=dict)
    held: int = 0

    def add(
        self,
        resource_type: str,
        file: str,
        position: int,
        sequence: int,
        resource_id: str,
        meta: Meta | None,
        method: str | None,
        body: bytes | None,
        condition: str | None = None,
        is_partial: bool = False,
        named: Sequence[str] = (),
    ) -> None:
        of_type = self.by_type.get(resource_type)
        if of_type is None:
            of_type = self.by_type[resource_type] = _TypeRows()
        rows = of_type.rows
        version = updated = None
        if meta is not None:
            version, updated = meta.versionId, meta.lastUpdated
            if meta.tag is not None and not is_partial:
                is_partial = meta.is_subset()
        if condition is not None:
            of_type.named_by[len(rows)] = condition
        if is_partial:
            of_type.subsets.append(len(rows))
        size = _ROW_BYTES
        conditional = None
        if body is not None:
            size += len(body)
            if b"?" in body:
                conditional = conditional_references(body)
            if named:
                conditional = [*(conditional or ()), *named]
        rows.append(
            (file, position, sequence, resource_id, version, updated, method, conditional, body)
        )
        of_type.size += size
        self.held += size

    @property
    def is_due(self) -> bool:
        """Whether enough is held to give some out."""
        return self.held > ROW_GROUP_BYTES

    def full(self) -> Iterator[Batch]:
        """Batches of the types that fill a row group; more where too much is held."""
        while self.is_due:
            largest = max(self.by_type, key=lambda name: self.by_type[name].size)
            if self.by_type[largest].size < ROW_GROUP_BYTES and self.held < HELD_BYTES:
                return
            yield self._take([largest])

    def rest(self) -> Iterator[Batch]:
        """Everything left, in the order of types; small types share a row group."""
        group: list[str] = []
        size = 0
        for resource_type in sorted(self.by_type):
            if group and size + self.by_type[resource_type].size > ROW_GROUP_BYTES // 4:
                yield self._take(group)
                group, size = [], 0
            group.append(resource_type)
            size += self.by_type[resource_type].size
        if group:
            yield self._take(group)

    def _take(self, resource_types: list[str]) -> Batch:
        names: list[str] = []
        rows: list[_Row] = []
        named_by: dict[int, str] = {}
        subsets: list[int] = []
        for resource_type in resource_types:
            of_type = self.by_type.pop(resource_type)
            self.held -= of_type.size
            before = len(rows)
            names += itertools.repeat(resource_type, len(of_type.rows))
            named_by |= {before + row: text for row, text in of_type.named_by.items()}
            subsets += [before + row for row in of_type.subsets]
            rows += of_type.rows
        files, positions, sequences, ids, versions, updated, methods, conditional, bodies = zip(
            *rows, strict=True
        )
        arrays = [
            columns.texts(files),
            columns.integers(positions),
            columns.integers(sequences),
            columns.texts(names),
            columns.texts(ids),
            columns.texts(versions),
            columns.texts(updated),
            columns.texts(methods),
            columns.sparse_texts(named_by, len(rows)),
            columns.flags(subsets, len(rows)),
            columns.text_lists(conditional),
            columns.utf8(bodies),
        ]
        return Batch(
            FHIR_RESOURCE.name, pa.RecordBatch.from_arrays(arrays, schema=FHIR_RESOURCE.schema)
        )
