"""Runs a view over files: read, split, compute, without ever holding all of the input."""

import itertools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from sql_on_fhir.compile import CompiledView, compile_view
from sql_on_fhir.errors import CardinalityError, SourceError
from sql_on_fhir.sources import SCHEMA, Place, batches
from sql_on_fhir.sql.dialect import CARDINALITY


def run_view(
    view: Mapping[str, Any] | str | bytes,
    paths: Sequence[Place],
    *,
    con: duckdb.DuckDBPyConnection | None = None,
) -> duckdb.DuckDBPyRelation:
    """The rows of a view over files; "-" is standard input.

    The rows are computed at once and kept in a temporary table of `con` (or of a connection of
    its own), so the relation can be read again and again. For results larger than that, use
    `stream_view`.

    Raises ViewDefinitionError or FhirPathError for the view, CardinalityError and SourceError
    for the data.
    """
    con = con or _connection()
    compiled, name = _prepared(view)
    with _source(con, name, compiled, paths) as failed, _as_own_errors(failed):
        con.execute(f"create temp table {name}_rows as {compiled.sql}")
    return con.table(f"{name}_rows")


def stream_view(
    view: Mapping[str, Any] | str | bytes,
    paths: Sequence[Place],
    *,
    con: duckdb.DuckDBPyConnection | None = None,
    rows_per_batch: int = 100_000,
) -> Iterator[pa.RecordBatch]:
    """The rows of a view over files as Arrow batches, in constant memory.

    The first batch may be empty: it is there for its schema. Raises as `run_view` does.
    """
    con = con.cursor() if con else _connection()
    compiled, name = _prepared(view)
    with _source(con, name, compiled, paths) as failed, _as_own_errors(failed):
        reader = con.execute(compiled.sql).to_arrow_reader(rows_per_batch)
        yield pa.RecordBatch.from_pylist([], schema=reader.schema)
        yield from reader


def _connection() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("set enable_progress_bar = false")
    return con


def _prepared(view: Mapping[str, Any] | str | bytes) -> tuple[CompiledView, str]:
    name = f"sql_on_fhir_{uuid.uuid4().hex[:12]}"
    return compile_view(view, source=name, assume_type=True), name


@contextmanager
def _source(
    con: duckdb.DuckDBPyConnection, name: str, compiled: CompiledView, paths: Sequence[Place]
) -> Iterator[list[SourceError]]:
    """Registers the input as `name`. What fails while it is read is put in the list given."""
    failed: list[SourceError] = []

    def guarded() -> Iterator[pa.RecordBatch]:
        # An error inside an Arrow stream reaches DuckDB as text only: keep the original.
        try:
            yield from batches(paths, compiled.resource)
        except SourceError as error:
            failed.append(error)
            raise

    first = list(itertools.islice(stream := guarded(), 1))
    con.register(name, pa.RecordBatchReader.from_batches(SCHEMA, itertools.chain(first, stream)))
    try:
        yield failed
    finally:
        con.unregister(name)


@contextmanager
def _as_own_errors(failed: list[SourceError]) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        if failed:
            raise failed[0] from error
        text = str(error)
        if CARDINALITY in text:
            raise CardinalityError(text[text.index(CARDINALITY) :].splitlines()[0]) from error
        raise
