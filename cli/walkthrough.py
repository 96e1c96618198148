"""One patient from raw file to mart, told in the terminal: ``lakehouse walkthrough``."""

from __future__ import annotations

from typing import Any

import duckdb

from cli.console import console, table
from installation.platform import Platform
from lakehouse import lake
from lakehouse.errors import LakeError
from lakehouse.privacy import pseudonym, ref

_RICHEST = """
    select encounters.patient_id
    from silver.encounter as encounters
    left join (select patient_id, count(*) as studies from silver.imaging_study group by all)
        using (patient_id)
    group by all
    order by coalesce(any_value(studies), 0) > 0 desc, count(*) desc, patient_id
    limit 1
"""
#: Of each Silver table, what is shown; of times the date, as the source wrote it.
_TABLES = (
    (
        "condition",
        "display, left(onset_at, 10) as onset, left(abatement_at, 10) as abatement, clinical_status",
    ),
    ("observation", "display, round(value, 2) as value, unit, left(effective_at, 10) as effective"),
    (
        "medication_request",
        "display, status, left(authored_at, 10) as authored, left(ended_at, 10) as ended",
    ),
    ("procedure", "display, left(started_at, 10) as started"),
    (
        "imaging_study",
        "modality, body_site_display, left(started_at, 10) as started, manufacturer",
    ),
)


def walk(platform: Platform, patient: str | None) -> None:
    """Print the walk of ``patient``. Raises :class:`LakeError` when there is no such patient."""
    with lake.connect(platform.settings, read_only=True) as connection:
        try:
            patient = patient or _one(connection, _RICHEST)
            connection.execute("select 1 from silver.patient limit 0")
        except duckdb.CatalogException:
            raise LakeError(
                "The lake holds no patients yet.",
                hint="`lakehouse demo`, or `lakehouse drop` and `lakehouse run`.",
            ) from None
        if patient is None or not _rows(
            connection, "select 1 from silver.patient where patient_id = ?", patient
        ):
            raise LakeError(
                "There is no such patient in Silver.", hint="Run `lakehouse demo` first."
            )
        _raw_and_bronze(connection, patient)
        _silver(connection, patient)
        encounter = _gold(connection, patient)
        _mart(connection, encounter)
        console.print()


def _raw_and_bronze(connection: duckdb.DuckDBPyConnection, patient: str) -> None:
    _head(
        "1  Raw and Bronze",
        "The file as it came is in raw/, unchanged. Bronze has one row a resource, its JSON whole.",
    )
    rows = _rows(
        connection,
        """
        select submission_id, source_file, source_position, version_id, length(resource)
        from bronze.fhir_resource
        where resource_type = 'Patient' and resource_id = ?
        order by submission_id, source_position
        """,
        patient,
    )
    console.print(
        table(
            "Patient resource",
            ("submission", "file", "position", "version", "characters"),
            [(row[0], ref(str(row[1])), *row[2:]) for row in rows],
        )
    )


def _silver(connection: duckdb.DuckDBPyConnection, patient: str) -> None:
    _head(
        "2  Silver",
        "ViewDefinitions take columns out of the JSON; of several versions the winner stays; "
        "every row says which submission, file and position it came from.",
    )
    counts = [
        (
            name,
            _one(connection, f"select count(*) from silver.{name} where patient_id = ?", patient),
        )
        for name, _ in (("encounter", ""), *_TABLES, ("soap_note", ""))
    ]
    console.print(table("Rows of this patient", ("table", "rows"), counts))
    for name, columns in _TABLES:
        rows = _rows(
            connection,
            f"select {columns} from silver.{name} where patient_id = ? order by all limit 3",
            patient,
        )
        if rows:
            names = [column[0] for column in connection.description or []]
            console.print(table(f"silver.{name} (first 3)", names, rows))


def _gold(connection: duckdb.DuckDBPyConnection, patient: str) -> str | None:
    _head(
        "3  Gold",
        "One row an encounter: what was true on its local date – conditions and medications "
        "active then, vitals, labs, note, imaging.",
    )
    rows = _rows(
        connection,
        """
        select
            encounter_date,
            encounter_type_display,
            age_years,
            len(conditions),
            len(medications),
            len(vitals),
            len(labs),
            len(imaging),
            encounter_id
        from gold.encounter_summary
        where patient_id = ?
        order by len(conditions) + len(vitals) + len(labs) + 10 * len(imaging) desc, encounter_id
        limit 5
        """,
        patient,
    )
    header = ("date", "type", "age", "conditions", "drugs", "vitals", "labs", "images")
    console.print(table("gold.encounter_summary (richest 5)", header, [row[:-1] for row in rows]))
    return str(rows[0][-1]) if rows else None


def _mart(connection: duckdb.DuckDBPyConnection, encounter: str | None) -> None:
    _head(
        "4  Mart",
        "What dashboards read of the first of these: no ids, no names, ages over 89 as one group. "
        "The same view is in Postgres, schema marts.",
    )
    if encounter is None:
        console.print("   This patient has no encounter, so no mart row.")
        return
    rows = _rows(
        connection,
        "select * from marts.patient_encounter_summary where encounter_key = ?",
        pseudonym(f"Encounter/{encounter}"),
    )
    names = [column[0] for column in connection.description or []]
    for name, value in zip(names, rows[0] if rows else (), strict=False):
        if value is not None:
            console.print(f"   {name:<26} {value}")


def _head(title: str, text: str) -> None:
    console.print(f"\n[bold]{title}[/]\n[dim]{text}[/]\n")


def _rows(
    connection: duckdb.DuckDBPyConnection, query: str, *values: object
) -> list[tuple[Any, ...]]:
    return connection.execute(query, list(values)).fetchall()


def _one(connection: duckdb.DuckDBPyConnection, query: str, *values: object) -> Any:
    row = connection.execute(query, list(values)).fetchone()
    return row[0] if row else None
