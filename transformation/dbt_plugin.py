"""dbt-duckdb's connections to the lake: they come from :mod:`lakehouse.lake`.

:mod:`transformation.dbt_runner` gives dbt a :class:`LakeEnvironment`, so that it works in the DuckDB which this
process holds open. Where dbt is started by hand, ``dbt/profiles.yml`` names :class:`Plugin`, with the
settings of the environment.
"""

from __future__ import annotations

from typing import Any

import duckdb
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.environments.local import DuckDBConnectionWrapper, LocalEnvironment
from dbt.adapters.duckdb.plugins import BasePlugin

from installation import embedded
from lakehouse import lake
from lakehouse.quoting import literal
from lakehouse.settings import Settings, load_settings
from transformation import attachment_text

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
        _attach_metadata(conn, settings)
        attachment_text.register(conn)

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        # A cursor is a connection of its own: the lake must be its default too. The key is a
        # variable, so that it is in no statement that dbt compiles, keeps or logs.
        settings = _settings()
        key = settings.privacy_key.get_secret_value() if settings.privacy_key else ""
        cursor.execute(f"use {lake.LAKE}")
        cursor.execute("set TimeZone = 'UTC'")
        cursor.execute(f"set variable privacy_key = {literal(key)}")
        cursor.execute(f"set variable small_cell_minimum = {settings.small_cell_minimum:d}")


class LakeEnvironment(LocalEnvironment):
    """dbt's side of the DuckDB that :func:`lake.kept_open` holds, or of one of its own.

    dbt works on one node at a time (decision 0029) and opens a connection for each: all of them are one
    session, since setting one up asks the catalog. What dbt adds, the schema ``memory.scratch``, the
    function that reads attachments and the attached metadata database, is gone after :meth:`close`.
    """

    _session: duckdb.DuckDBPyConnection | None = None

    def handle(self) -> DuckDBConnectionWrapper:
        if self._session is None:
            connection = self.initialize_db(self.creds, self._plugins)
            self.conn = connection  # type: ignore[assignment]
            self._session = self.initialize_cursor(self.creds, connection.cursor(), self._plugins)
        return _Handle(self._session, self)  # type: ignore[no-untyped-call]

    @classmethod
    def initialize_db(
        cls,
        creds: DuckDBCredentials,  # noqa: ARG003 - dbt/profiles.yml has nothing that settings lack
        plugins: dict[str, BasePlugin] | None = None,  # noqa: ARG003
    ) -> duckdb.DuckDBPyConnection:
        settings = _settings()
        connection = lake.connect(settings)
        _attach_metadata(connection, settings)
        attachment_text.register(connection)
        return connection

    def close(self) -> None:
        connection: duckdb.DuckDBPyConnection | None = self.conn
        if self._session is not None:
            self._session.close()
            self._session = None
        if connection is not None:
            attachment_text.unregister(connection)
            connection.execute("drop schema if exists memory.scratch cascade")
            connection.execute("detach database if exists metadata")
        super().close()  # type: ignore[no-untyped-call]


class _Handle(DuckDBConnectionWrapper):
    """What dbt holds of the session; to close it leaves the session open."""

    def close(self) -> None:
        pass


def _attach_metadata(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    dsn = literal(settings.libpq_dsn("lakehouse"))
    connection.execute(f"attach if not exists {dsn} as metadata (type postgres, read_only)")


def _settings() -> Settings:
    if current_settings is not None:
        return current_settings
    return embedded.ensure_running(load_settings())
