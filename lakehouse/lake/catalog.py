"""DuckLake's own tables: the only place that knows them (DuckLake specification 1.0, "Tables").

A row of the catalog is valid from ``begin_snapshot`` until ``end_snapshot``. Everything here is asked of
a connection to the lake, or of the catalog's database where rows are changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import psycopg
from psycopg import sql

from lakehouse.errors import LakeError
from lakehouse.lake.connection import LAKE, data_path, root
from lakehouse.quoting import literal
from lakehouse.settings import Settings

_METADATA = f"__ducklake_metadata_{LAKE}"
_STATISTICS = Path(__file__).with_name("statistics.sql")
#: Tables with the paths of files: of rows, of deleted rows, and of what waits to be removed.
_FILES = ("ducklake_data_file", "ducklake_delete_file", "ducklake_files_scheduled_for_deletion")


def snapshot_id(connection: duckdb.DuckDBPyConnection) -> int:
    """Id of the lake's newest snapshot."""
    row = connection.execute(
        f"select max(snapshot_id) from ducklake_snapshots('{LAKE}')"
    ).fetchone()
    if row is None or row[0] is None:
        raise LakeError("The lake has no snapshot.", hint="Run `lakehouse up` to set it up.")
    return int(row[0])


def snapshot_is_kept(connection: duckdb.DuckDBPyConnection, snapshot: int) -> bool:
    """Whether the lake can still be read as it was at ``snapshot``."""
    row = connection.execute(
        f"select count(*) from ducklake_snapshots('{LAKE}') where snapshot_id = {int(snapshot)}"
    ).fetchone()
    return row is not None and row[0] == 1


def tables(connection: duckdb.DuckDBPyConnection, layer: str, snapshot: int) -> list[str]:
    """Names of a layer's tables as they were at ``snapshot``, in order."""
    rows = connection.execute(
        f"""
        select distinct t.table_name
        from {_METADATA}.ducklake_table t
        join {_METADATA}.ducklake_schema s
            on s.schema_id = t.schema_id and s.schema_name = {literal(layer)}
        where t.begin_snapshot <= {int(snapshot)}
            and coalesce(t.end_snapshot > {int(snapshot)}, true)
            and s.begin_snapshot <= {int(snapshot)}
            and coalesce(s.end_snapshot > {int(snapshot)}, true)
        order by t.table_name
        """
    ).fetchall()
    return [str(name) for (name,) in rows]


def last_change(connection: duckdb.DuckDBPyConnection, layer: str, snapshot: int) -> int:
    """The newest snapshot, up to the given one, that changed a table of ``layer``; 0 where none did."""
    row = connection.execute(
        f"""
        with ours as (
            select t.table_id, t.begin_snapshot, t.end_snapshot
            from {_METADATA}.ducklake_table t
            join {_METADATA}.ducklake_schema s
                on s.schema_id = t.schema_id and s.schema_name = {literal(layer)}
        ),
        change as (
            select unnest([begin_snapshot, end_snapshot]) as snapshot_id from ours
            union all
            select unnest([f.begin_snapshot, f.end_snapshot])
            from {_METADATA}.ducklake_data_file f join ours on ours.table_id = f.table_id
            union all
            select unnest([f.begin_snapshot, f.end_snapshot])
            from {_METADATA}.ducklake_delete_file f join ours on ours.table_id = f.table_id
            union all
            select unnest([c.begin_snapshot, c.end_snapshot])
            from {_METADATA}.ducklake_column c join ours on ours.table_id = c.table_id
        )
        select max(snapshot_id) from change where snapshot_id <= {int(snapshot)}
        """
    ).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def known_files(connection: duckdb.DuckDBPyConnection, folder: str) -> set[str]:
    """Names of the Parquet files below a folder of that name that the catalog still needs or will remove."""
    ours = f"contains(path, {literal(f'/{folder}/')})"
    rows = connection.execute(
        f"""
        select path from {_METADATA}.ducklake_data_file where {ours}
        union all
        select path from {_METADATA}.ducklake_files_scheduled_for_deletion where {ours}
        """
    ).fetchall()
    return {str(path).rpartition("/")[2] for (path,) in rows}


def add_files(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str, urls: Sequence[str]
) -> None:
    """Make the rows of Parquet files rows of ``schema.table``, without copying them."""
    for url in urls:
        connection.execute(
            f"call ducklake_add_data_files('{LAKE}', {literal(table)}, {literal(url)},"
            f" schema => {literal(schema)})"
        )


def forget_files_of_others(settings: Settings) -> None:
    """The list of files to delete must name files of this installation only.

    Added files (Bronze) are listed by their full path: a catalog that was copied from another
    installation would delete that one's files.
    """
    with psycopg.connect(settings.libpq_url("ducklake"), autocommit=True) as connection:
        connection.execute(
            "delete from ducklake_files_scheduled_for_deletion"
            " where not path_is_relative and not starts_with(path, %s)",
            [root(settings)],
        )


def keep_text_out_of_catalog(settings: Settings) -> int:
    """Have the catalog take no statistics of text, and remove those that it has; gives their number.

    DuckLake writes the least and greatest value of every column (up to 256 characters) into its
    catalog, with each insert and each compaction: names, notes, resources. Its tables take them only
    of what ``statistics.sql`` lets in.
    """
    removed = 0
    with psycopg.connect(settings.libpq_url("ducklake"), autocommit=True) as connection:
        connection.execute(_STATISTICS.read_text(encoding="utf-8"))
        for table in ("ducklake_file_column_stats", "ducklake_table_column_stats"):
            name = sql.Identifier(table)
            rows = connection.execute(
                sql.SQL(
                    "update {} set min_value = null, max_value = null, extra_stats = null"
                    " where coalesce(min_value, max_value, extra_stats) is not null"
                    " and not lakehouse_is_plain(table_id, column_id)"
                ).format(name)
            ).rowcount
            if rows:
                # The former rows are in the table's file until it is written anew.
                connection.execute(sql.SQL("vacuum (full) {}").format(name))
            removed += rows
    return removed


def move_data_path(settings: Settings, former: str) -> None:
    """Point the catalog at this installation's files, where it was made in another one."""
    here = data_path(settings)
    if here == former:
        return
    roots = {
        "here": root(settings),
        "former": former.removesuffix(here.removeprefix(root(settings))),
    }
    with psycopg.connect(settings.libpq_url("ducklake")) as connection:
        connection.execute(
            "update ducklake_metadata set value = %s where key = 'data_path'", [here]
        )
        # What waits to be deleted too: else this installation would delete the former one's files.
        for table in _FILES:
            connection.execute(
                sql.SQL(
                    "update {} set path = %s || substr(path, %s)"
                    " where not path_is_relative and starts_with(path, %s)"
                ).format(sql.Identifier(table)),
                [roots["here"], len(roots["former"]) + 1, roots["former"]],
            )
