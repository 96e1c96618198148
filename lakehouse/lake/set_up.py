"""Making the lake: its catalog, the layers' schemas and their options."""

from __future__ import annotations

import duckdb
import psycopg

from lakehouse.errors import LakeError
from lakehouse.lake.catalog import keep_text_out_of_catalog
from lakehouse.lake.connection import LAKE, LAYERS, connect
from lakehouse.lake.writing import advisory_lock
from lakehouse.settings import Settings


def initialise(settings: Settings) -> None:
    """Make the catalog, the layers' schemas and their options; idempotent and race-free."""
    with advisory_lock(settings, ["lake"]):
        connection = connect(settings)
        try:
            for schema in LAYERS:
                connection.execute(f"create schema if not exists {LAKE}.{schema}")
            connection.execute(f"call {LAKE}.set_option('parquet_compression', 'zstd')")
            keep_text_out_of_catalog(settings)
        except (duckdb.Error, psycopg.Error) as error:
            raise LakeError(f"The lake cannot be set up ({type(error).__name__}).") from None
        finally:
            connection.close()
