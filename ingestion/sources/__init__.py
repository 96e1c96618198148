"""Sources: what turns the files of a submission into Arrow batches for Bronze tables.

One folder per kind of data declares its tables (:mod:`ingestion.tables`) and implements
:class:`Source`; :func:`registry` names them (docs/how-to/add-a-source.md). Sources read and check; where
rows are written, and what becomes of quarantined input, is landing's concern (:mod:`ingestion.landing`).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Protocol

import pyarrow as pa

from ingestion.reasons import Reason
from ingestion.tables import BronzeTable
from lakehouse.store import ObjectStore


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file of a submission: ``path`` inside the submission, ``key`` in the object store.

    ``layout`` and ``layout_version`` name the layout that intake found by its columns, where its type
    is read by one (:func:`ingestion.intake.layouts.find` gives it). ``locale`` (BCP 47) and ``time_zone``
    (IANA) are what the submitter said of its files: how they write numbers and dates, and where their
    clocks run; None where nobody said. Of a file of which a larger share than ``rejected_share_limit`` cannot
    be read nothing is taken.
    """

    path: str
    key: str
    size: int
    file_type: str
    layout: str | None = None
    layout_version: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    rejected_share_limit: float = 1.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for one Bronze table, in the columns of its ``schema`` (without those that landing adds)."""

    table: str
    rows: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Rejected:
    """Input that is not taken, and where it is.

    ``detail`` and ``sample`` name structure only (element paths, types, sizes), never a value of
    the input. ``records`` is how many records were lost; a notice loses none.
    """

    path: str
    position: str | None
    reason: Reason
    detail: str
    sample: Mapping[str, Any] = field(default_factory=dict)
    records: int = 1


@dataclass(frozen=True, slots=True)
class FileRead:
    """The end of one file. ``arrived`` = ``accepted`` + ``quarantined``, in records."""

    path: str
    arrived: int
    accepted: int
    quarantined: int


Event = Batch | Rejected | FileRead


class Source(Protocol):
    """One kind of data: the file types it reads, the Bronze tables it fills, and its reader."""

    name: str
    file_types: frozenset[str]
    tables: tuple[BronzeTable, ...]

    def read(self, store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
        """Everything in ``files``: batches of bounded size, what was rejected, and each file's end.

        Bad input never raises: it is yielded as :class:`Rejected` and the rest goes on. Only a
        store that fails raises (:class:`lakehouse.errors.StorageError`). Batches may hold rows of
        several files and come before or after the end of a file.
        """
        ...


#: Every kind of data: a new source is one more line.
_SOURCES: Final = (
    "ingestion.sources.fhir:FhirSource",
    "ingestion.sources.dicom:DicomSource",
    "ingestion.sources.glucose.source:GlucoseSource",
    "ingestion.sources.claims:ClaimsSource",
    "ingestion.sources.ehr:EhrSource",
)


@cache
def registry() -> Mapping[str, Source]:
    """Sources by the file type they read."""
    found: dict[str, Source] = {}
    for named in _SOURCES:
        module, _, name = named.partition(":")
        source: Source = getattr(importlib.import_module(module), name)()
        found |= dict.fromkeys(source.file_types, source)
    return found


@cache
def bronze_tables() -> Mapping[str, BronzeTable]:
    """Every Bronze table, by its name."""
    return {table.name: table for source in registry().values() for table in source.tables}
