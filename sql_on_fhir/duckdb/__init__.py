"""DuckDB: the dialect that the views run in."""

from sql_on_fhir.duckdb.dialect import DuckDb

__all__ = ["DuckDb"]
