"""Driving Silver straight from Bronze: rows and submissions without files, intake or landing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.orm import Session

from ingestion.landing import ensure_tables
from ingestion.sources import bronze_tables
from ingestion.sources.fhir import identity
from lakehouse import lake
from lakehouse.metadata import builds, submissions
from lakehouse.metadata.submissions import Breach
from lakehouse.settings import Settings
from transformation import dbt_runner

_ARRIVED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_CONDITIONAL = re.compile(r'"reference": "([A-Za-z]+\?[^"]*)"')

_BREACH = Breach(
    layer="silver",
    table="patient",
    rule="birth_date_plausible",
    column="birth_date",
    observed={"unexpected": 1, "checked": 1},
    expected="a rule that the test says is broken",
    message="1 of 1 break the rule.",
)


@dataclass(frozen=True)
class Arrival:
    """One resource as it came: its content, and what the bundle or ``meta`` says of it."""

    content: Mapping[str, Any]
    version: str | None = None
    updated: str | None = None
    deleted: bool = False
    #: What a condition says that it names; with ``created`` it is a conditional create.
    condition: str | None = None
    created: bool = False
    subset: bool = False
    #: In the bundle it came in, later entries are older (a history).
    history: bool = False
    #: Conditions of entries of its bundle that its references name.
    names: Sequence[str] = ()

    @property
    def resource_id(self) -> str:
        """As the landing gives it."""
        if self.condition is None:
            return str(self.content["id"])
        return identity.id_of_condition(self.condition)

    @property
    def text(self) -> str:
        """The resource as the landing writes it."""
        return (
            '{"id":'
            + json.dumps(self.resource_id)
            + ","
            + json.dumps({name: value for name, value in self.content.items() if name != "id"})[1:]
        )


@dataclass
class Silver:
    """A lake whose Bronze tests write themselves, and dbt over it."""

    settings: Settings
    engine: sa.Engine
    connection: duckdb.DuckDBPyConnection
    submissions: list[str] = field(default_factory=list)

    def reset(self) -> None:
        """No submission, no Bronze row, no Silver table."""
        with self.engine.begin() as connection:
            for table in (
                "integration_queue",
                "check_result",
                "submission_hold",
                "build_submission",
                "build",
                "submission",
            ):
                connection.execute(sa.text(f"delete from {table}"))
        self.connection.execute("drop schema if exists lake.silver cascade")
        self.connection.execute("create schema lake.silver")
        for table in bronze_tables().values():
            self.connection.execute(f"drop table if exists lake.bronze.{table.name}")
        ensure_tables(self.settings, self.connection)
        self.submissions.clear()

    def land(
        self,
        arrivals: Iterable[Arrival] = (),
        dicom: Sequence[Mapping[str, Any]] = (),
        **others: Sequence[Mapping[str, Any]],
    ) -> str:
        """One more submission with these rows, landed and queued for Silver.

        ``others`` are rows of further Bronze tables, by the table's name.
        """
        submission = f"2026{len(self.submissions):05d}"
        self.submissions.append(submission)
        rows = [
            {
                "submission_id": submission,
                "source_file": "bundle.json",
                "source_position": position,
                "ingested_at": _ARRIVED_AT,
                "resource_type": arrival.content["resourceType"],
                "resource_id": arrival.resource_id,
                "version_id": arrival.version,
                "last_updated": arrival.updated,
                "sequence": (1 << 32) - position if arrival.history else position,
                "request_method": "DELETE" if arrival.deleted else _method(arrival),
                "condition": arrival.condition,
                "is_subset": arrival.subset,
                "conditional_references": _conditional(arrival),
                "resource": None if arrival.deleted else arrival.text,
            }
            for position, arrival in enumerate(arrivals)
        ]
        self._insert("fhir_resource", rows)
        files = [{"source_file": f"{n}.dcm", **header} for n, header in enumerate(dicom)]
        for table, values in {"dicom_instance": files, **others}.items():
            self._insert(
                table,
                [
                    {
                        "submission_id": submission,
                        "source_file": f"{table}.csv",
                        "source_position": position,
                        "ingested_at": _ARRIVED_AT,
                        **value,
                    }
                    for position, value in enumerate(values)
                ],
            )
        with self.engine.begin() as connection:
            connection.execute(
                sa.text(
                    "insert into submission (submission_id, group_key, submitter, file_type, drop_id,"
                    " state, content_sha256, file_count, byte_count, received_at)"
                    " values (:id, :id, 'test', 'fhir', :id, 'LANDED', :id, 1, 1, now())"
                ),
                {"id": submission},
            )
        self._queue(submission, "added")
        return submission

    def withdraw(self, submission: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                sa.text("update submission set state = 'WITHDRAWN' where submission_id = :id"),
                {"id": submission},
            )
        self._queue(submission, "removed")

    def release(self, submission: str) -> None:
        """Take it in nevertheless, where it is held."""
        with Session(self.engine) as session, session.begin():
            if submissions.get(session, submission).state == "HELD":
                submissions.release(session, submission, actor="test", reason="known")

    def build(
        self,
        *,
        hold: Collection[str] = (),
        full_refresh: bool = False,
        select: str | None = "path:models/silver",
        with_tests: bool = False,
        dies: bool = False,
    ) -> dbt_runner.DbtReport:
        """Build what is pending; with ``dies`` the build is done but never marked as succeeded.

        Those of ``hold`` that it takes in for the first time are held after the first pass.
        """
        build = builds.start_build(
            self.engine, full_refresh=full_refresh, run_id=None, actor="test"
        )
        report = dbt_runner.build(
            self.settings, select=select or None, full_refresh=full_refresh, with_tests=with_tests
        )
        assert not report.failed, report.failed
        held = set(hold) & set(builds.to_judge(self.engine, build.build_id))
        if held:
            breaches = {name: [_BREACH] for name in held}
            builds.hold(self.engine, build.build_id, breaches, actor="test")
            report = dbt_runner.build(self.settings, select=select or None, with_tests=with_tests)
            assert not report.failed, report.failed
        builds.finish_build(self.engine, build.build_id, "failed" if dies else "succeeded", None)
        return report

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """All rows of a table, in an order that depends on their content only."""
        return sorted(self.connection.execute(f"select * from lake.{table}").fetchall(), key=repr)

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every Silver table's rows."""
        names = self.connection.execute(
            "select table_name from duckdb_tables()"
            " where database_name = 'lake' and schema_name = 'silver' order by 1"
        ).fetchall()
        return {name: self.rows(f"silver.{name}") for (name,) in names}

    def _insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            schema = bronze_tables()[table].bronze_schema
            # Rows say what they hold: null in all other columns.
            landed = pa.Table.from_pylist(  # noqa: F841 - read by DuckDB
                [{**dict.fromkeys(schema.names), **row} for row in rows],
                schema=pa.schema([pa.field(column.name, column.type) for column in schema]),
            )
            self.connection.execute(f"insert into lake.bronze.{table} select * from landed")

    def _queue(self, submission: str, change: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                sa.text(
                    "insert into integration_queue (submission_id, change) values (:id, :change)"
                ),
                {"id": submission, "change": change},
            )


def open_silver(settings: Settings, engine: sa.Engine) -> Silver:
    silver = Silver(settings, engine, lake.connect(settings))
    silver.reset()
    return silver


def _method(arrival: Arrival) -> str:
    return "POST" if arrival.created else "PUT"


def _conditional(arrival: Arrival) -> list[str] | None:
    if arrival.deleted:
        return None
    found = [unquote(text) for text in _CONDITIONAL.findall(arrival.text)]
    return [*found, *arrival.names] or None
