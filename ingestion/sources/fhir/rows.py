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
from ingestion.sources.fhir.table import SCHEMA, TABLE

#: Rows of one resource type are given out when they reach this, so that Parquet row groups hold
#: one type each and statistics prune; all rows held together stay below the second.
ROW_GROUP_BYTES: Final = 16 * 1024 * 1024
HELD_BYTES: Final = 96 * 1024 * 1024
#: What a row holds besides the resource, roughly.
_ROW_BYTES: Final = 200


@dataclass(slots=True)
class _TypeRows:
    """Rows of one resource type, by column: lists of plain values cost the least to build."""

    files: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    versions: list[str | None] = field(default_factory=list)
    updated: list[str | None] = field(default_factory=list)
    methods: list[str | None] = field(default_factory=list)
    named_by: dict[int, str] = field(default_factory=dict)
    subsets: list[int] = field(default_factory=list)
    conditional: list[list[str] | None] = field(default_factory=list)
    bodies: list[bytes | None] = field(default_factory=list)
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
        rows = self.by_type.get(resource_type)
        if rows is None:
            rows = self.by_type[resource_type] = _TypeRows()
        rows.files.append(file)
        rows.positions.append(position)
        rows.sequences.append(sequence)
        if condition is not None:
            rows.named_by[len(rows.ids)] = condition
        if is_partial or (meta is not None and meta.tag is not None and meta.is_subset()):
            rows.subsets.append(len(rows.ids))
        rows.ids.append(resource_id)
        rows.versions.append(None if meta is None else meta.versionId)
        rows.updated.append(None if meta is None else meta.lastUpdated)
        rows.methods.append(method)
        rows.bodies.append(body)
        size = _ROW_BYTES
        if body is None:
            rows.conditional.append(None)
        else:
            found = conditional_references(body) if b"?" in body else None
            rows.conditional.append([*(found or ()), *named] if named else found)
            size += len(body)
        rows.size += size
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
        rows = _TypeRows()
        for resource_type in resource_types:
            of_type = self.by_type.pop(resource_type)
            self.held -= of_type.size
            names += itertools.repeat(resource_type, len(of_type.ids))
            before = len(rows.ids)
            rows.named_by |= {before + row: text for row, text in of_type.named_by.items()}
            rows.subsets += [before + row for row in of_type.subsets]
            rows.files += of_type.files
            rows.positions += of_type.positions
            rows.sequences += of_type.sequences
            rows.ids += of_type.ids
            rows.versions += of_type.versions
            rows.updated += of_type.updated
            rows.methods += of_type.methods
            rows.conditional += of_type.conditional
            rows.bodies += of_type.bodies
        arrays = [
            columns.texts(rows.files),
            columns.integers(rows.positions),
            columns.integers(rows.sequences),
            columns.texts(names),
            columns.texts(rows.ids),
            columns.texts(rows.versions),
            columns.texts(rows.updated),
            columns.texts(rows.methods),
            columns.sparse_texts(rows.named_by, len(rows.ids)),
            columns.flags(rows.subsets, len(rows.ids)),
            columns.text_lists(rows.conditional),
            columns.utf8(rows.bodies),
        ]
        return Batch(TABLE, pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
