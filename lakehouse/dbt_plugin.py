"""dbt-duckdb's plugin of this project: dbt gets its connection from :mod:`lakehouse.lake`.

``dbt/profiles.yml`` names this module. Settings are those that :mod:`lakehouse.dbt_runner` was
called with; where dbt was started by hand, those of the environment.
"""

from __future__ import annotations

from typing import Any

import duckdb
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.plugins import BasePlugin

from lakehouse import embedded, lake
from lakehouse.settings import Settings, load_settings

#: Settings of the build that runs in this process (dbt-duckdb makes the plugin, so it cannot be
#: given any); dbt_runner sets and clears it.
current_settings: Settings | None = None


class Plugin(BasePlugin):
    """Opens the lake, and the metadata database read-only beside it."""

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        config.update(lake.engine_settings(_settings()))

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        settings = _settings()
        lake.prepare(conn, settings)
        lake.attach(conn, settings)
        dsn = settings.libpq_dsn("lakehouse").replace("'", "''")
        conn.execute(f"attach '{dsn}' as metadata (type postgres, read_only)")

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        # A cursor is a connection of its own: the lake must be its default too. The key is a
        # variable, so that it is in no statement that dbt compiles, keeps or logs.
        settings = _settings()
        key = settings.privacy_key.get_secret_value() if settings.privacy_key else ""
        cursor.execute(f"use {lake.LAKE}")
        cursor.execute("set TimeZone = 'UTC'")
        cursor.execute("set variable privacy_key = '{}'".format(key.replace("'", "''")))
        cursor.execute(f"set variable small_cell_minimum = {settings.small_cell_minimum:d}")


def _settings() -> Settings:
    if current_settings is not None:
        return current_settings
    return embedded.ensure_running(load_settings())
