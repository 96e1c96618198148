"""Sources: what turns the files of a submission into Arrow batches for Bronze tables.

One module per kind of data implements :class:`Source`; :func:`registry` names them. Adding a kind
is one module and one line there. Sources read and check; where rows are written, and what becomes
of quarantined input, is landing's concern (:mod:`ingestion.landing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, Protocol

import pyarrow as pa

from lakehouse.store import ObjectStore


class Reason(StrEnum):
    """Why input was not taken. The codes are stored, counted and shown; do not rename them."""

    # a whole file
    EMPTY_FILE = "empty_file"
    BAD_ENCODING = "bad_encoding"
    CORRUPT_ARCHIVE = "corrupt_archive"
    XML = "fhir_xml"
    ROOT_IS_LIST = "root_is_list"
    NOT_FHIR = "not_fhir"
    NOT_DICOM = "not_dicom"
    NO_SOURCE = "no_source"
    # a part of a file
    TRUNCATED = "truncated"
    MALFORMED_JSON = "malformed_json"
    NULL_ENTRY = "null_entry"
    ENTRY_WITHOUT_RESOURCE = "entry_without_resource"
    DOUBLED_KEY = "doubled_key"
    WRONG_SHAPE = "wrong_shape"
    INVALID_VALUE = "invalid_value"
    MISSING_RESOURCE_TYPE = "missing_resource_type"
    UNKNOWN_RESOURCE_TYPE = "unknown_resource_type"
    MISSING_ID = "missing_id"
    FHIR_VERSION = "fhir_version"
    UNSUPPORTED_REQUEST = "unsupported_request"
    TOO_LARGE = "too_large"
    MISSING_UID = "missing_uid"
    # a notice: nothing is lost, so it counts no record
    DUPLICATE_ID = "duplicate_id"


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file of a submission: ``path`` inside the submission, ``key`` in the object store."""

    path: str
    key: str
    size: int
    file_type: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for one Bronze table, without the columns that landing adds (:data:`PROVENANCE`)."""

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


#: What landing puts before each source's own columns; ``source_file`` and ``source_position``
#: come from the source, the other two are the same for a whole landing.
PROVENANCE = pa.schema(
    [
        pa.field("submission_id", pa.string(), nullable=False),
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_position", pa.int64(), nullable=False),
        pa.field("ingested_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)

Event = Batch | Rejected | FileRead


def bronze_schema(own: pa.Schema) -> pa.Schema:
    """The columns of a Bronze table: :data:`PROVENANCE`, then those of its source."""
    added = [column for column in own if column.name not in PROVENANCE.names]
    return pa.schema([*PROVENANCE, *added])


class Source(Protocol):
    """One kind of data.

    ``tables`` gives, for each Bronze table, the columns of the source's batches: ``source_file``,
    ``source_position`` and then its own. Bronze's column order is :data:`PROVENANCE` and then the
    source's own. ``sorted_by`` names the columns by which compaction keeps a table's rows, where
    readers filter by them.
    """

    name: str
    file_types: frozenset[str]
    tables: Mapping[str, pa.Schema]
    sorted_by: Mapping[str, Sequence[str]]

    def read(self, store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
        """Everything in ``files``: batches of bounded size, what was rejected, and each file's end.

        Bad input never raises: it is yielded as :class:`Rejected` and the rest goes on. Only a
        store that fails raises (:class:`lakehouse.errors.StorageError`). Batches may hold rows of
        several files and come before or after the end of a file.
        """
        ...


@cache
def registry() -> Mapping[str, Source]:
    """Sources by the file type they read. A new source is one more line here."""
    from ingestion.sources.dicom import DicomSource
    from ingestion.sources.fhir import FhirSource

    sources: list[Source] = [
        FhirSource(),
        DicomSource(),
    ]
    return {file_type: source for source in sources for file_type in source.file_types}


@cache
def bronze_tables() -> Mapping[str, pa.Schema]:
    """Every Bronze table with all its columns."""
    return {
        table: bronze_schema(schema)
        for source in registry().values()
        for table, schema in source.tables.items()
    }
