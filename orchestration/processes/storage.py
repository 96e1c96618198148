"""Dagster's Postgres storage with a connection that stays open.

dagster-postgres opens a connection for each statement, which is right for processes that seldom
write. A build writes hundreds of events in seconds: there the connections cost more than the events.
Its web server's setting (one kept connection for each part of the storage) serves every process
here, and what cannot change while a process runs, the tables' shape, is looked up once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import pg_url_from_config

#: A server or proxy between may drop idle connections; older ones are replaced before use.
_RECYCLE_SECONDS = 300
_MORE_AT_ONCE = 20
_NO_TIMEOUT = 0


class _EventLogStorage(PostgresEventLogStorage):
    """Remembers which tables and columns there are: each stored check result asks again."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._tables: set[str] = set()
        self._columns: set[str] = set()

    def has_table(self, table_name: str) -> bool:
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def has_asset_key_col(self, column_name: str) -> bool:
        if column_name not in self._columns and super().has_asset_key_col(column_name):
            self._columns.add(column_name)
        return column_name in self._columns

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """A run's planned checks go into the log together; there are hundreds of them."""
        planned: list[EventLogEntry] = []
        others: list[EventLogEntry] = []
        for event in events:
            is_check = event.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
            (planned if is_check else others).append(event)
        if planned:
            with self._connect() as connection:
                stored = connection.execute(
                    self.prepare_insert_event_batch(planned).returning(SqlEventLogStorageTable.c.id)
                ).fetchall()
            for event, (event_id,) in zip(planned, stored, strict=True):
                self.store_asset_check_event(event, event_id)
        if others:
            super().store_event_batch(others)


class PooledPostgresStorage(DagsterPostgresStorage):
    """``storage`` of dagster.yaml: what DagsterPostgresStorage is, but for the connections."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        self._event_log_storage = _EventLogStorage(postgres_url, should_autocreate_tables=False)
        for part in (self._event_log_storage, self._run_storage, self._schedule_storage):
            part.optimize_for_webserver(
                statement_timeout=_NO_TIMEOUT,
                pool_recycle=_RECYCLE_SECONDS,
                max_overflow=_MORE_AT_ONCE,
            )

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledPostgresStorage":
        return cls(pg_url_from_config(config_value), inst_data)
