"""Rows for the tables that dashboards read: small, made up, shaped like the published marts.

The tables are created with the columns and types of the datasets, which are those of dbt's YAML; that dbt
builds these columns is what ``superset/validate.py`` proves.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from boards.catalog import read_catalog

CLASSES = ("ambulatory", "emergency", "inpatient", "unknown")
TYPES = ("General examination", "Emergency room admission", "Well child visit", "Urgent care")
SEXES = ("female", "male")
AGES = ("0-17", "18-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80-89", "90+")
CONDITIONS = ("Hypertension", "Prediabetes", "Anemia", "Asthma", "Osteoarthritis", "Gingivitis")
MODALITIES = ("CT", "MR", "DX", "US")
SITES = ("Chest", "Brain", "Knee", "Abdomen")
STAGES = ("received", "staged", "landed", "integrated", "checked", "published")
NUMBERS = {"INTEGER": 60, "BIGINT": 60, "DOUBLE PRECISION": 60}
CHOICES: dict[str, tuple[Any, ...]] = {
    "encounter_class": CLASSES,
    "encounter_type": TYPES,
    "sex": SEXES,
    "age_group": AGES,
    "condition": CONDITIONS,
    "modality": MODALITIES,
    "body_site": SITES,
    "manufacturer": ("Acme", "Borealis"),
    "vital_sign": ("systolic_bp", "diastolic_bp", "heart_rate"),
    "event_type": ("condition", "procedure", "lab", "medication", "imaging"),
    "display": CONDITIONS,
    "kind": ("diagnosis", "social finding", "finding"),
    "hour": tuple(f"{hour:02}" for hour in range(24)),
    "weekday": ("1 Mon", "2 Tue", "3 Wed", "4 Thu", "5 Fri", "6 Sat", "7 Sun"),
    "years_back": (0, 1, 2, 3),
    "index_name": CONDITIONS,
    "event_name": CONDITIONS,
    "medication": ("Metformin", "Simvastatin", "Ibuprofen"),
    "test": ("Glucose", "Sodium", "Creatinine"),
    "race": ("white", "black", "asian"),
    "state": ("Massachusetts",),
    "measure": ("dangling reference", "dropped value"),
    "table_name": ("encounter", "observation", "condition"),
    "patient_key": tuple(f"{n:032x}" for n in range(120)),
}


def fill_marts(connection: psycopg.Connection[Any], rows: int = 600) -> None:
    """Create schema ``marts`` with one table per dataset of the marts, and fill each."""
    connection.execute("create schema if not exists marts")
    for dataset in read_catalog().values():
        if dataset.schema != "marts":
            continue
        columns = [(column.name, column.type) for column in dataset.columns.values()]
        table = sql.Identifier("marts", dataset.name)
        connection.execute(
            sql.SQL("create table {} ({})").format(
                table,
                sql.SQL(", ").join(
                    sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
                    for name, kind in columns
                ),
            )
        )
        with connection.cursor().copy(sql.SQL("copy {} from stdin").format(table)) as copy:
            for row in _rows(dataset.name, columns, rows):
                copy.write_row(row)
    connection.execute("grant usage on schema marts to bi_reader")
    connection.execute("grant select on all tables in schema marts to bi_reader")


def _rows(table: str, columns: list[tuple[str, str]], count: int) -> Iterator[list[Any]]:
    source = random.Random(table)
    for number in range(count):
        yield [_value(source, name, kind, number) for name, kind in columns]


def _value(source: random.Random, name: str, kind: str, number: int) -> Any:
    if name in CHOICES:
        return source.choice(CHOICES[name])
    if name == "patient_total":
        return 5_000
    if kind == "DATE":
        return (date(2021, 1, 1) + timedelta(days=source.randrange(1200))).replace(day=1)
    if kind.startswith("TIMESTAMP"):
        return datetime(2021, 1, 1, tzinfo=UTC) + timedelta(minutes=source.randrange(1_700_000))
    if kind == "BOOLEAN":
        return name != "suppressed" and source.random() < 0.6
    if kind == "DOUBLE PRECISION":
        return round(source.uniform(1, NUMBERS[kind]), 2)
    if kind in NUMBERS:
        return source.randrange(1, NUMBERS[kind])
    return f"{number:08x}" if name.endswith("_key") else f"{name} {number % 7}"


def fill_operations(connection: psycopg.Connection[Any]) -> None:
    """Submissions, files, quarantine, checks and a publish, so that no chart is empty."""
    source = random.Random("operations")
    states = ("PUBLISHED", "PUBLISHED", "LANDED", "QUARANTINED", "HELD", "WITHDRAWN")
    newest = datetime.now(UTC)
    for number in range(24):
        received = newest - timedelta(hours=7 * (24 - number))
        submission = f"{received:%Y%m%dT%H%M%S}{number:03d}-{number:06x}"
        state = states[number % len(states)]
        connection.execute(
            "insert into submission (submission_id, group_key, submitter, file_type, drop_id, state,"
            " content_sha256, file_count, byte_count, received_at, published_at)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                submission,
                f"inbox/site-{number % 3}/fhir/{number}",
                f"site-{number % 3}",
                ("fhir_bundle", "dicom")[number % 2],
                str(number),
                state,
                f"{number:064x}",
                number + 1,
                source.randrange(10_000, 90_000_000),
                received,
                received + timedelta(seconds=30 + number) if state == "PUBLISHED" else None,
            ],
        )
        connection.execute(
            "insert into submission_file (submission_id, path, raw_key, sha256, size, file_type,"
            " outcome, arrived, accepted, quarantined)"
            " values (%s, 'a', 'raw/a', %s, 10, %s, 'landed', 100, 98, 2)",
            [submission, f"{number:064x}", ("fhir_bundle", "dicom")[number % 2]],
        )
        connection.execute(
            "insert into quarantine (submission_id, path, position, reason, detail, record_count)"
            " values (%s, 'a', 'line 3', %s, 'made up', 2)",
            [submission, ("truncated", "not_json", "no_id")[number % 3]],
        )
        if state == "HELD":
            connection.execute(
                "insert into submission_hold (submission_id, layer, table_name, rule, observed,"
                " expected, message, status) values (%s, 'silver', 'patient', 'birth_date_plausible',"
                """ '{"checked": 40, "unexpected": 40, "share": 1.0}', 'dates', '40 of 40', 'held')""",
                [submission],
            )
        for rule in ("unique_key", "row_minimum", "heart_rate_range"):
            connection.execute(
                "insert into check_result (build_id, layer, table_name, rule, severity, passed,"
                " expected, message, checked_at)"
                " values (null, 'silver', 'observation', %s, %s, %s, 'all rows', '3 of 900 rows', %s)",
                [rule, "warning", source.random() < 0.8, received],
            )
