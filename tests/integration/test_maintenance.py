"""Maintenance: what left the tables leaves their files, and no text gets into the catalog."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse import lake
from lakehouse.errors import LakeError
from lakehouse.lake import maintenance
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore

TEXT = "Zipporah Quillfeather"


@pytest.fixture
def con(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(settings) as connection:
        yield connection


def catalog_rows(settings: Settings) -> str:
    """Every value of every table of the catalog, as text."""
    found = []
    with psycopg.connect(settings.libpq_url("ducklake")) as connection:
        tables = connection.execute(
            "select tablename from pg_tables where schemaname = 'public'"
        ).fetchall()
        for (table,) in tables:
            found += [str(row) for row in connection.execute(f"select * from {table}")]  # type: ignore[call-overload]
    return "\n".join(found)


def catalog_pages(settings: Settings) -> bytes:
    """The tables of the catalog's statistics as they are on disk, former rows included."""
    found = b""
    with psycopg.connect(settings.libpq_url("ducklake"), autocommit=True) as connection:
        connection.execute("checkpoint")
        for table in ("ducklake_file_column_stats", "ducklake_table_column_stats"):
            row = connection.execute("select pg_relation_filepath(%s)", [table]).fetchone()
            assert row is not None
            content = connection.execute("select pg_read_binary_file(%s)", [row[0]]).fetchone()
            assert content is not None
            found += content[0]
    return found


def make_tables(settings: Settings, con: duckdb.DuckDBPyConnection) -> None:
    """Bronze whose file was added without statistics, and Silver that was inserted."""
    folder = settings.store_folder / "lake/bronze/s1"
    folder.mkdir(parents=True)
    for number in range(2):
        rows = pa.table({"resource": [f'{{"note": "{TEXT} {n}"}}' for n in range(50)]})
        pq.write_table(rows, folder / f"{number}.parquet", write_statistics=False)
    con.execute("create table lake.bronze.fhir_resource (resource varchar)")
    for number in range(2):
        con.execute(
            f"call ducklake_add_data_files('lake', 'fhir_resource', '{folder}/{number}.parquet',"
            " schema => 'bronze')"
        )
    con.execute(
        "create table lake.silver.patient as select i as patient_number,"
        f" '{TEXT} ' || i as name, {{'city': '{TEXT} town'}} as address,"
        f" ['{TEXT} ' || i] as names, 's' || (i % 2) as submission_id, date '2020-01-01' + i::int as d"
        " from range(100) t(i)"
    )
    con.execute("insert into lake.silver.patient select * from lake.silver.patient limit 10")
    con.execute("delete from lake.silver.patient where submission_id = 's1'")


def test_no_text_of_a_file_is_in_the_catalog_before_or_after_maintenance(
    settings: Settings, store: ObjectStore, con: duckdb.DuckDBPyConnection
) -> None:
    make_tables(settings, con)
    assert TEXT not in catalog_rows(settings)

    report = maintenance.run(settings)

    assert (report.files_rewritten > 0, report.files_merged > 0) == (True, True)
    assert TEXT not in catalog_rows(settings)
    assert TEXT.encode() not in catalog_pages(settings)
    # Queries by text find what they found before.
    name = f"{TEXT} 8"
    assert con.execute(
        f"select count(*) from lake.silver.patient where name = '{name}'"
    ).fetchone() == (2,)
    assert con.execute(
        "select count(*) from lake.bronze.fhir_resource where resource like '%49%'"
    ).fetchone() == (2,)
    # Numbers, times and what files are chosen by are there still.
    kept = catalog_rows(settings)
    assert "'2020-01-01', '2020-04-08'" in kept
    assert "'s0', 's0'" in kept


def test_text_that_an_earlier_version_put_there_is_removed(
    settings: Settings, store: ObjectStore, con: duckdb.DuckDBPyConnection
) -> None:
    with psycopg.connect(settings.libpq_url("ducklake"), autocommit=True) as connection:
        for table in ("ducklake_file_column_stats", "ducklake_table_column_stats"):
            connection.execute(f"drop trigger lakehouse_keep_text_out on {table}")  # type: ignore[call-overload]
    make_tables(settings, con)
    assert TEXT in catalog_rows(settings)

    maintenance.run(settings)

    assert TEXT not in catalog_rows(settings)
    assert TEXT.encode() not in catalog_pages(settings)


def test_rows_that_were_withdrawn_leave_the_current_files(
    settings: Settings, store: ObjectStore, con: duckdb.DuckDBPyConnection
) -> None:
    con.execute(
        "create table lake.silver.patient as select i as n,"
        " if(i = 5, 'withdrawn', 'kept') as submission_id from range(1000) t(i)"
    )
    con.execute("delete from lake.silver.patient where submission_id = 'withdrawn'")

    def in_files() -> int:
        """Rows of the withdrawn submission in the files that the table consists of now."""
        files = con.execute("from ducklake_list_files('lake', 'patient', schema => 'silver')")
        paths = [row[0] for row in files.fetchall()]
        row = con.execute(
            f"select count(*) from read_parquet({paths}) where submission_id = 'withdrawn'"
        ).fetchone()
        assert row is not None
        return int(row[0])

    assert in_files() == 1
    maintenance.run(settings)
    assert in_files() == 0
    assert con.execute("select count(*) from lake.silver.patient").fetchone() == (999,)


def test_a_failure_is_told_without_the_text_of_the_error(
    settings: Settings, store: ObjectStore, con: duckdb.DuckDBPyConnection
) -> None:
    con.execute(f"create table lake.silver.patient as select '{TEXT}' as name from range(9)")
    con.execute("insert into lake.silver.patient select * from lake.silver.patient")
    for path in (settings.store_folder / "lake").rglob("*.parquet"):
        path.write_bytes(TEXT.encode())

    with pytest.raises(LakeError, match="failed at merging small files") as told:
        maintenance.run(settings)

    assert TEXT not in str(told.value)
    assert "parquet" not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__
