"""Landing: the files of a staged submission become rows of Bronze tables.

Sources yield Arrow; here it becomes Parquet in a working folder, one dlt pipeline per submission
loads the files below ``lake/bronze/<submission>/``, and exactly these files are added to the
DuckLake tables in one transaction. Any step may be cut off and run again: files that no committed
transaction knows are removed first, and rows of an earlier landing leave in the same transaction
in which the new ones arrive.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
from sqlalchemy import Engine, delete, insert, select, text
from sqlalchemy.orm import Session

from ingestion.parquet_parts import Part
from ingestion.reading import Share, read_files
from ingestion.sources import (
    FileRead,
    Rejected,
    StagedFile,
    bronze_tables,
)
from ingestion.tables import sql_type
from lakehouse import lake, progress
from lakehouse.errors import LandingError
from lakehouse.lake import catalog
from lakehouse.metadata import audit, models, submissions
from lakehouse.quoting import literal
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore, S3Connection

log = logging.getLogger(__name__)

SCHEMA: Final = "bronze"
#: Files with these outcomes are landing's: intake has put all others aside for good.
_LANDABLE: Final = ("staged", "landed")
_ROWS_AT_ONCE: Final = 5_000
#: Rows of a row group where compaction writes large texts: DuckDB's 122,880 would be gigabytes.
_LARGE_ROW_GROUP: Final = 8192
#: dlt keeps its active pipeline in the process.
_one_pipeline = threading.Lock()


@dataclass(frozen=True, slots=True)
class LandingReport:
    """What one landing did.

    ``rows`` by Bronze table; ``quarantined`` in records by reason code; ``notices`` by code, for
    what was noted but taken; ``arrived`` = ``accepted`` + all of ``quarantined``. ``bytes`` were
    read, ``parquet_bytes`` written. ``replaced_rows`` are those of an earlier landing.
    """

    submission_id: str
    state: str
    rows: Mapping[str, int]
    files: int
    arrived: int
    accepted: int
    quarantined: Mapping[str, int]
    notices: Mapping[str, int]
    bytes: int
    parquet_bytes: int
    seconds: float
    replaced_rows: int


@dataclass(frozen=True, slots=True)
class _Tally:
    """The counts of what was read."""

    files: Sequence[FileRead]
    rejected: Sequence[Rejected]

    @property
    def arrived(self) -> int:
        return sum(file.arrived for file in self.files)

    @property
    def accepted(self) -> int:
        return sum(file.accepted for file in self.files)

    @property
    def quarantined(self) -> int:
        return sum(file.quarantined for file in self.files)

    def reasons(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for one in self.rejected:
            counts[one.reason] += one.records
        return {reason: count for reason, count in sorted(counts.items()) if count}

    def notices(self) -> dict[str, int]:
        counts = Counter(str(one.reason) for one in self.rejected if one.records == 0)
        return dict(sorted(counts.items()))

    def check(self, expected: Sequence[StagedFile]) -> None:
        """Every file was gone through, and no record is unaccounted for."""
        by_path: Counter[str] = Counter()
        for one in self.rejected:
            by_path[one.path] += one.records
        missing = {file.path for file in expected} - {file.path for file in self.files}
        wrong = [
            file
            for file in self.files
            if file.accepted + file.quarantined != file.arrived
            or by_path[file.path] != file.quarantined
        ]
        if missing or wrong:
            raise LandingError(
                f"The counts do not add up: {len(missing)} files without an end, "
                f"{len(wrong)} files where accepted and quarantined are not what arrived.",
                hint="This is an error of a source, not of the data; nothing was landed.",
            )


def land(
    submission_id: str,
    *,
    store: ObjectStore,
    engine: Engine,
    settings: Settings,
    run_id: str,
    actor: str,
) -> LandingReport:
    """Land a staged submission, or land it again.

    Waits while another process lands the same one. It becomes LANDED, or QUARANTINED where
    records arrived and none could be taken. Raises :class:`LandingError` when the submission is
    in a state that cannot be landed, and the errors of store, lake and metadata; then nothing has
    changed that a second run would not put right.
    """
    started = time.monotonic()
    drop = submissions.drop_name(engine, submission_id)
    progress.report("landing", drop, small=True)
    with _alone(engine, submission_id), _working_folder(settings, submission_id) as folder:
        files = _staged_files(engine, submission_id, settings.rejected_share_limit)
        connection = lake.connect(settings)
        try:
            ensure_tables(settings, connection)
            _remove_orphans(store, connection, submission_id)
            share = Share(submission_id, datetime.now(UTC), folder / "parts", files)
            reading = read_files(store, settings, share)
            tally = _Tally(reading.files, reading.rejected)
            tally.check(files)
            keys = _load(store, settings, submission_id, reading.parts, folder)
            replaced = _register(
                settings, connection, store, submission_id, keys, run_id=run_id, actor=actor
            )
        finally:
            connection.close()
        state = _record(engine, submission_id, tally, actor=actor)
    rows: Counter[str] = Counter()
    for part in reading.parts:
        rows[part.table] += part.rows
    report = LandingReport(
        submission_id=submission_id,
        state=state,
        rows=dict(rows),
        files=len(files),
        arrived=tally.arrived,
        accepted=tally.accepted,
        quarantined=tally.reasons(),
        notices=tally.notices(),
        bytes=sum(file.size for file in files),
        parquet_bytes=sum(part.size for part in reading.parts),
        seconds=time.monotonic() - started,
        replaced_rows=replaced,
    )
    log.info(
        "Landed %s: %d of %d records of %d files in %.1f s.",
        submission_id,
        report.accepted,
        report.arrived,
        report.files,
        report.seconds,
    )
    progress.report(
        "landing",
        drop,
        f"{report.accepted:,} of {report.arrived:,} records",
        failed=report.accepted == 0 < report.arrived,
    )
    return report


# What to land ---------------------------------------------------------------------------------


@contextmanager
def _alone(engine: Engine, submission_id: str) -> Iterator[None]:
    """Only one process lands a submission at a time. A killed process frees it with its session."""
    key = {"key": f"landing {submission_id}"}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("select pg_advisory_lock(hashtextextended(:key, 0))"), key)
        try:
            yield
        finally:
            connection.execute(text("select pg_advisory_unlock(hashtextextended(:key, 0))"), key)


@contextmanager
def _working_folder(settings: Settings, submission_id: str) -> Iterator[Path]:
    """A folder of this landing alone: readers of a killed one may still write into theirs."""
    folder = settings.home.resolve() / "work" / "landing" / submission_id
    shutil.rmtree(folder, ignore_errors=True)  # of a landing that was killed
    own = folder / uuid.uuid4().hex
    own.mkdir(parents=True)
    try:
        yield own
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _staged_files(
    engine: Engine, submission_id: str, rejected_share_limit: float
) -> list[StagedFile]:
    file = models.SubmissionFile
    with Session(engine) as session:
        submission = submissions.get(session, submission_id)
        if "LANDED" not in submissions.ALLOWED[submission.state]:
            raise LandingError(
                f"Submission {submission_id} is {submission.state} and cannot be landed.",
                hint="`lakehouse status` shows where each submission stands.",
            )
        submitter = session.get(models.Submitter, submission.submitter)
        rows = session.execute(
            select(
                file.path,
                file.raw_key,
                file.size,
                file.file_type,
                file.layout,
                file.layout_version,
            )
            .where(file.submission_id == submission_id, file.outcome.in_(_LANDABLE))
            .order_by(file.path)
        ).all()
        locale = submitter.locale if submitter else None
        time_zone = submitter.time_zone if submitter else None
    return [StagedFile(*row._tuple(), locale, time_zone, rejected_share_limit) for row in rows]


# Parquet to the store, by dlt -----------------------------------------------------------------


def _load(
    store: ObjectStore,
    settings: Settings,
    submission_id: str,
    parts: Sequence[Part],
    folder: Path,
) -> dict[str, list[str]]:
    """Load the Parquet files as one dlt package; gives the keys of its files by table."""
    if not parts:
        return {}
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    import dlt
    from dlt.destinations import filesystem
    from dlt.pipeline.exceptions import PipelineStepFailed

    tables = sorted({part.table for part in parts})

    def files_of(table: str) -> Iterator[Any]:
        schema = next(part.schema for part in parts if part.table == table)
        for part in parts:
            if part.table == table:
                yield dlt.mark.with_file_import(
                    str(part.path), "parquet", part.rows, hints=schema.empty_table()
                )

    credentials = S3Connection.of(settings).dlt() if settings.uses_s3 else None
    with _one_pipeline:
        pipeline = dlt.pipeline(
            pipeline_name=f"landing_{submission_id}",
            pipelines_dir=str(folder / "dlt"),
            destination=filesystem(
                bucket_url=store.url("lake/bronze"),
                credentials=credentials,
                # Files of each load have names of their own, so that a second landing never
                # touches what the lake still reads.
                layout="{table_name}/{load_id}.{file_id}.{ext}",
                enable_dataset_name_normalization=False,
            ),
            dataset_name=submission_id,
        )
        try:
            info = pipeline.run(
                [
                    dlt.resource(
                        files_of(table),
                        name=table,
                        columns=_local_times(bronze_tables()[table].bronze_schema),
                    )
                    for table in tables
                ],
                loader_file_format="parquet",
                write_disposition="append",
            )
            info.raise_on_failed_jobs()
        except PipelineStepFailed as error:
            raise LandingError(
                f"The files of submission {submission_id} could not be loaded "
                f"({type(error.exception).__name__}).",
                hint="Check that the object store is up and has space, then land it again.",
            ) from error
        finally:
            pipeline.deactivate()
    return _keys_of_load(store, submission_id, info.loads_ids, parts)


def _local_times(schema: pa.Schema) -> dict[str, Any]:
    """What keeps dlt from writing local times as times in UTC: of a file that is imported it asks for no zone."""
    return {
        field.name: {"name": field.name, "data_type": "timestamp", "timezone": False}
        for field in schema
        if pa.types.is_timestamp(field.type) and field.type.tz is None
    }


def _keys_of_load(
    store: ObjectStore, submission_id: str, load_ids: Sequence[str], parts: Sequence[Part]
) -> dict[str, list[str]]:
    """Exactly the files of this load: their names start with its id."""
    keys: dict[str, list[str]] = {}
    expected = Counter(part.table for part in parts)
    for table, count in expected.items():
        prefixes = [f"{_folder(submission_id)}{table}/{load_id}." for load_id in load_ids]
        found = [info.key for prefix in prefixes for info in store.list(prefix)]
        if len(found) != count:
            raise LandingError(
                f"The load of {table} wrote {len(found)} files instead of {count}.",
                hint="Land the submission again.",
            )
        keys[table] = found
    return keys


def _folder(submission_id: str) -> str:
    return f"lake/bronze/{submission_id}/"


def _remove_orphans(
    store: ObjectStore, connection: duckdb.DuckDBPyConnection, submission_id: str
) -> None:
    """Remove what a landing left that was cut off before its files became rows.

    Files that the catalog knows stay, also those of rows that are gone: an older snapshot may
    still read them, and the lake's maintenance removes them.
    """
    left = [info.key for info in store.list(_folder(submission_id))]
    if not left:
        return
    known = catalog.known_files(connection, submission_id)
    if not known:
        store.delete_prefix(_folder(submission_id))
        return
    for key in left:
        name = key.rpartition("/")[2]
        if name.endswith(".parquet") and name not in known:
            store.delete(key)


# Parquet to rows of the lake ------------------------------------------------------------------


def ensure_tables(settings: Settings, connection: duckdb.DuckDBPyConnection) -> None:
    """Make the Bronze tables of every source where they are missing; safe in parallel."""
    declared = bronze_tables()
    schemas = {name: table.bronze_schema for name, table in declared.items()}
    there = _tables(connection)
    _add_columns(settings, connection, {table: schemas[table] for table in schemas.keys() & there})
    missing = sorted(schemas.keys() - there)
    if not missing:
        return

    def create(connection: duckdb.DuckDBPyConnection) -> None:
        for table in missing:
            columns = ", ".join(f'"{one.name}" {sql_type(one.type)}' for one in schemas[table])
            connection.execute(f"create table if not exists {_named(table)} ({columns})")
            if keys := declared[table].sorted_by:
                connection.execute(f"alter table {_named(table)} set sorted by ({', '.join(keys)})")

    def keep_row_groups_small(connection: duckdb.DuckDBPyConnection) -> None:
        for table in missing:
            if pa.large_string() in schemas[table].types:
                connection.execute(
                    f"call {lake.LAKE}.set_option('parquet_row_group_size', {_LARGE_ROW_GROUP}, "
                    f"schema => '{SCHEMA}', table_name => {literal(table)})"
                )

    # Two transactions: DuckLake takes no options for a table that is not committed.
    for work in (create, keep_row_groups_small):
        lake.write(
            settings,
            connection,
            work,
            tables=[f"{SCHEMA}.{table}" for table in missing],
            author="landing",
            message="make Bronze tables",
        )


def _add_columns(
    settings: Settings,
    connection: duckdb.DuckDBPyConnection,
    schemas: Mapping[str, pa.Schema],
) -> None:
    """Give the tables of an older version the columns that came since: null in the rows it landed."""
    there: dict[str, set[str]] = {table: set() for table in schemas}
    for table, column in connection.execute(
        "select table_name, column_name from duckdb_columns() "
        f"where database_name = '{lake.LAKE}' and schema_name = '{SCHEMA}'"
    ).fetchall():
        there.setdefault(table, set()).add(column)
    added = {
        table: [column for column in schema if column.name not in there[table]]
        for table, schema in schemas.items()
    }

    def add(connection: duckdb.DuckDBPyConnection) -> None:
        for table, columns in added.items():
            for column in columns:
                connection.execute(
                    f'alter table {_named(table)} add column if not exists "{column.name}" '
                    f"{sql_type(column.type)}"
                )

    # In a transaction of its own: rows written in the same one would not be found by the new column.
    if any(added.values()):
        lake.write(
            settings,
            connection,
            add,
            tables=[f"{SCHEMA}.{table}" for table, columns in added.items() if columns],
            author="landing",
            message="add columns to Bronze tables",
        )


def _tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    return {
        name
        for (name,) in connection.execute(
            "select table_name from duckdb_tables() "
            f"where database_name = '{lake.LAKE}' and schema_name = '{SCHEMA}'"
        ).fetchall()
    }


def _named(table: str) -> str:
    return f'{lake.LAKE}.{SCHEMA}."{table}"'


def _register(
    settings: Settings,
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    submission_id: str,
    keys: Mapping[str, Sequence[str]],
    *,
    run_id: str,
    actor: str,
) -> int:
    """Add the files' rows in one transaction; gives the number of earlier rows they replace."""
    earlier = {
        table: count
        for table in sorted(_tables(connection))
        if (count := _rows_of(connection, table, submission_id))
    }

    for key in (key for files in keys.values() for key in files):
        store.settle(key)

    def add(connection: duckdb.DuckDBPyConnection) -> None:
        for table in earlier:
            connection.execute(
                f"delete from {_named(table)} where submission_id = {literal(submission_id)}"
            )
        for table, files in keys.items():
            catalog.add_files(connection, SCHEMA, table, [store.url(key) for key in files])

    commit: dict[str, Any] = {
        "author": actor,
        "message": f"land {submission_id}",
        "extra": {
            "run_id": run_id,
            "submission_id": submission_id,
            "files": sum(len(files) for files in keys.values()),
        },
    }
    if earlier:
        tables = [f"{SCHEMA}.{table}" for table in sorted({*earlier, *keys})]
        lake.write(settings, connection, add, tables=tables, **commit)
    elif keys:
        lake.append(connection, add, **commit)
    return sum(earlier.values())


def _rows_of(connection: duckdb.DuckDBPyConnection, table: str, submission_id: str) -> int:
    found = connection.execute(
        f"select count(*) from {_named(table)} where submission_id = {literal(submission_id)}"
    ).fetchone()
    return int(found[0]) if found else 0


# What is known of it --------------------------------------------------------------------------


def _record(engine: Engine, submission_id: str, tally: _Tally, *, actor: str) -> str:
    """Counts, quarantine and the new state, in one transaction."""
    empty_handed = tally.accepted == 0 and tally.quarantined > 0
    state = "QUARANTINED" if empty_handed else "LANDED"
    counted = tally.files
    with Session(engine) as session, session.begin():
        audit.lock(session)
        session.execute(
            delete(models.Quarantine).where(
                models.Quarantine.submission_id == submission_id,
                models.Quarantine.path.in_(
                    select(models.SubmissionFile.path).where(
                        models.SubmissionFile.submission_id == submission_id,
                        models.SubmissionFile.outcome.in_(_LANDABLE),
                    )
                ),
            )
        )
        rejected = [_quarantine_row(submission_id, one) for one in tally.rejected]
        for start in range(0, len(rejected), _ROWS_AT_ONCE):
            session.execute(insert(models.Quarantine), rejected[start : start + _ROWS_AT_ONCE])
        session.execute(
            _COUNT_FILES,
            {
                "submission_id": submission_id,
                "paths": [file.path for file in counted],
                "arrived": [file.arrived for file in counted],
                "accepted": [file.accepted for file in counted],
                "quarantined": [file.quarantined for file in counted],
            },
        )
        submissions.transition(
            session,
            submission_id,
            state,
            actor=actor,
            reason=f"{tally.accepted} of {tally.arrived} records taken",
        )
    return state


_COUNT_FILES: Final = text(
    """
    update submission_file as file
    set outcome = 'landed', arrived = counted.arrived, accepted = counted.accepted,
        quarantined = counted.quarantined
    from unnest(cast(:paths as text[]), cast(:arrived as bigint[]), cast(:accepted as bigint[]),
                cast(:quarantined as bigint[])) as counted(path, arrived, accepted, quarantined)
    where file.submission_id = :submission_id and file.path = counted.path
    """
)


def _quarantine_row(submission_id: str, one: Rejected) -> dict[str, Any]:
    return {
        "submission_id": submission_id,
        "path": one.path,
        "position": one.position,
        "reason": str(one.reason),
        "detail": one.detail,
        "sample": dict(one.sample) or None,
        "record_count": one.records,
    }
