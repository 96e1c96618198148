"""Dagster's Postgres storage with a connection that stays open.

dagster-postgres opens a connection for each statement, which is right for processes that seldom
write. A build writes hundreds of events in seconds: there the connections cost more than the events.
Its web server's setting (one kept connection for each part of the storage) serves every process
here, and what cannot change while a process runs, the tables' shape, is looked up once.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from dagster import AssetCheckEvaluation, DagsterEventType, EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._serdes import ConfigurableClassData, serialize_value
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import bindparam

#: A server or proxy between may drop idle connections; older ones are replaced before use.
_RECYCLE_SECONDS = 300
_MORE_AT_ONCE = 20
_NO_TIMEOUT = 0
#: Events that go into the log in one statement.
_TOGETHER = 200


class _EventLogStorage(PostgresEventLogStorage):
    """Stores what comes in hundreds together, and remembers which tables and columns there are.

    A step's outputs and check results wait for each other, at most until the next event of another kind:
    the end of the step is one. A process that dies meanwhile has not ended its step.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._tables: set[str] = set()
        self._columns: set[str] = set()
        self._waiting: list[EventLogEntry] = []
        self._one_at_a_time = threading.RLock()

    def has_table(self, table_name: str) -> bool:
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def has_asset_key_col(self, column_name: str) -> bool:
        if column_name not in self._columns and super().has_asset_key_col(column_name):
            self._columns.add(column_name)
        return column_name in self._columns

    def store_event(self, event: EventLogEntry) -> None:
        with self._one_at_a_time:
            if _can_wait(event):
                self._waiting.append(event)
                if len(self._waiting) < _TOGETHER:
                    return
            self._store_waiting()
            if not _can_wait(event):
                super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """A run's planned checks go into the log together too."""
        planned: list[EventLogEntry] = []
        others: list[EventLogEntry] = []
        for event in events:
            is_check = event.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
            (planned if is_check else others).append(event)
        with self._one_at_a_time:
            self._store_waiting()
            for event, event_id in self._inserted(planned):
                self.store_asset_check_event(event, event_id)
            if others:
                super().store_event_batch(others)

    def _store_waiting(self) -> None:
        stored = self._inserted(self._waiting)
        results = [
            (event, event_id)
            for event, event_id in stored
            if event.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION
        ]
        if results:
            with self.index_connection() as connection:
                updated = connection.execute(
                    _RESULT, [_result_row(event, event_id) for event, event_id in results]
                ).rowcount
            if updated != len(results):  # some were not planned: they have no row yet
                for event, event_id in results:
                    self.store_asset_check_event(event, event_id)
        self._waiting.clear()

    def _inserted(self, events: Sequence[EventLogEntry]) -> list[tuple[EventLogEntry, int]]:
        """Put the events into the log in one statement; each with its id."""
        if not events:
            return []
        with self._connect() as connection:
            stored = connection.execute(
                self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
            ).fetchall()
        return [(event, int(event_id)) for event, (event_id,) in zip(events, stored, strict=True)]


def _can_wait(event: EventLogEntry) -> bool:
    """Whether nobody misses it before its step ends: an output, or a result of a planned check."""
    if event.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
        return bool(event.run_id) and _evaluation(event).partition is None
    return event.dagster_event_type in (
        DagsterEventType.STEP_OUTPUT,
        DagsterEventType.HANDLED_OUTPUT,
    )


def _evaluation(event: EventLogEntry) -> AssetCheckEvaluation:
    return cast("AssetCheckEvaluation", event.get_dagster_event().event_specific_data)


#: What a result changes in the row of the planned check.
_RESULT = (
    AssetCheckExecutionsTable.update()
    .where(
        AssetCheckExecutionsTable.c.asset_key == bindparam("of_asset"),
        AssetCheckExecutionsTable.c.check_name == bindparam("of_check"),
        AssetCheckExecutionsTable.c.run_id == bindparam("of_run"),
        AssetCheckExecutionsTable.c.partition.is_(None),
    )
    .values(
        execution_status=bindparam("status"),
        evaluation_event=bindparam("event"),
        evaluation_event_timestamp=bindparam("at"),
        evaluation_event_storage_id=bindparam("event_id"),
        materialization_event_storage_id=bindparam("materialization_id"),
    )
)


def _result_row(event: EventLogEntry, event_id: int) -> dict[str, Any]:
    evaluation = _evaluation(event)
    target = evaluation.target_materialization_data
    status = AssetCheckExecutionRecordStatus
    return {
        "of_asset": evaluation.asset_key.to_string(),
        "of_check": evaluation.check_name,
        "of_run": event.run_id,
        "status": (status.SUCCEEDED if evaluation.passed else status.FAILED).value,
        "event": serialize_value(event),
        "at": datetime.fromtimestamp(event.timestamp, UTC).replace(tzinfo=None),
        "event_id": event_id,
        "materialization_id": target.storage_id if target else None,
    }


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
