"""Bronze tables as their sources declare them: once, and everything else follows.

A source says of each table what it is, its columns, which rows are versions of one record (``key``)
and which version counts (``order``). From that follow the table in the lake, dbt's ``sources.yml`` and
with it Silver's build, Dagster's descriptions, the data dictionary, the rules of its suite and which
columns may be shown as a sample.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

import pyarrow as pa

#: What landing puts before each source's own columns; ``source_file`` and ``source_position``
#: come from the source, the other two are the same for a whole landing.
PROVENANCE: Final = pa.schema(
    [
        pa.field("submission_id", pa.string(), nullable=False),
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_position", pa.int64(), nullable=False),
        pa.field("ingested_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
_PROVENANCE_DOCS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "submission_id": "Submission it came in.",
        "source_file": "File inside the submission.",
        "ingested_at": "When it was landed.",
    }
)
#: A record without a key of its own is the row of the file that it came in.
_ARRIVAL: Final = ("submission_id", "source_file", "source_position")

#: DuckDB's decimals have no more.
_DECIMAL_DIGITS: Final = 38
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_SQL_TYPES: Final[Mapping[pa.DataType, str]] = MappingProxyType(
    {
        pa.string(): "VARCHAR",
        pa.large_string(): "VARCHAR",
        pa.binary(): "BLOB",
        pa.large_binary(): "BLOB",
        pa.bool_(): "BOOLEAN",
        pa.int8(): "TINYINT",
        pa.int16(): "SMALLINT",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.uint8(): "UTINYINT",
        pa.uint16(): "USMALLINT",
        pa.uint32(): "UINTEGER",
        pa.uint64(): "UBIGINT",
        pa.float32(): "FLOAT",
        pa.float64(): "DOUBLE",
        pa.date32(): "DATE",
        pa.time64("us"): "TIME",
        pa.timestamp("us"): "TIMESTAMP",
        pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
    }
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``sample`` says that its values may be shown: codes and counts, nobody's words."""

    name: str
    type: pa.DataType
    description: str
    sample: bool = False


@dataclass(frozen=True)
class BronzeTable:
    """One Bronze table.

    ``key`` names the columns by which rows are versions of one record; they are never null. Without a
    key each row is a record of its own. Of a record's live versions the one counts that is greatest by
    the columns of ``order``, the first difference deciding and null being least, then the one that
    arrived last. ``deleted`` names the boolean column which says that a version removes the record.
    ``sorted_by`` names the columns by which compaction keeps the rows, where readers filter by them;
    ``position`` says what ``source_position`` counts.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    deleted: str | None = None
    sorted_by: tuple[str, ...] = ()
    position: str = "Row of the file, from 1."

    def __post_init__(self) -> None:
        names = [*PROVENANCE.names, *(column.name for column in self.columns)]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name} names a column twice, or one that landing adds.")
        wrong = [name for name in (self.name, *names) if not _NAME.fullmatch(name)]
        named = {
            *self.key,
            *self.order,
            *self.sorted_by,
            *((self.deleted,) if self.deleted else ()),
        }
        if wrong or not named <= set(names):
            raise ValueError(
                f"{self.name}: {', '.join([*wrong, *sorted(named - set(names))])} is no name, or no"
                " column of the table."
            )
        for column in self.columns:
            sql_type(column.type)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the source's batches: ``source_file``, ``source_position``, its own."""
        return pa.schema(
            [
                PROVENANCE.field("source_file"),
                PROVENANCE.field("source_position"),
                *(
                    pa.field(column.name, column.type, nullable=column.name not in self.key)
                    for column in self.columns
                ),
            ]
        )

    @property
    def bronze_schema(self) -> pa.Schema:
        """The columns in the lake: :data:`PROVENANCE`, then its own."""
        return with_provenance(self.schema)

    @property
    def record_key(self) -> tuple[str, ...]:
        """The columns that tell records apart."""
        return self.key or _ARRIVAL

    @property
    def documented(self) -> tuple[Column, ...]:
        """All columns as they are in the lake, each with its description."""
        docs = {**_PROVENANCE_DOCS, "source_position": self.position}
        return (
            *(Column(field.name, field.type, docs[field.name]) for field in PROVENANCE),
            *self.columns,
        )


def with_provenance(own: pa.Schema) -> pa.Schema:
    """:data:`PROVENANCE`, then the columns of ``own`` that are not of it."""
    return pa.schema(
        [*PROVENANCE, *(column for column in own if column.name not in PROVENANCE.names)]
    )


def sql_type(type_: pa.DataType) -> str:
    """DuckDB's name of an Arrow type. Raises ``ValueError`` for one that no Bronze table may have."""
    if pa.types.is_decimal(type_) and type_.precision <= _DECIMAL_DIGITS:
        return f"DECIMAL({type_.precision}, {type_.scale})"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"{sql_type(type_.value_type)}[]"
    if pa.types.is_struct(type_):
        fields = ", ".join(f'"{field.name}" {sql_type(field.type)}' for field in type_)
        return f"STRUCT({fields})"
    try:
        return _SQL_TYPES[type_]
    except KeyError:
        raise ValueError(
            f"A Bronze column cannot be of type {type_}: "
            "times are in microseconds (with a zone: in UTC), decimals of at most 38 digits."
        ) from None
