"""What exports of glucose monitors become in Bronze."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from ingestion.tables import BronzeTable, Column

_KEY: Final = ("subject_id", "system", "record_key")
_COMMON: Final = (
    Column(
        "subject_id",
        pa.string(),
        "Whose record it is: the id that the drop names (folder subject=<id>), else a UUID of the person"
        " or device named in the file.",
    ),
    Column(
        "system", pa.string(), "dexcom_clarity, libreview, tidepool or nightscout.", sample=True
    ),
    Column(
        "record_key",
        pa.string(),
        "What names the record in its system: an identifier, else its kind and local time.",
    ),
    Column("kind", pa.string(), "What it is.", sample=True),
    Column(
        "measured_at", pa.timestamp("us", tz="UTC"), "Instant; null where no time zone is known."
    ),
    Column("local_time", pa.timestamp("us"), "Local time, as the device showed it."),
    Column(
        "utc_offset_minutes", pa.int16(), "Local time minus UTC; null where no time zone is known."
    ),
    Column("device", pa.string(), "Device, as the source names it."),
)
_VERSION: Final = (
    Column(
        "modified_at", pa.timestamp("us", tz="UTC"), "When the service last changed the record."
    ),
    Column("is_deleted", pa.bool_(), "Whether this version deletes the record.", sample=True),
)

MONITOR_READING: Final = BronzeTable(
    name="monitor_reading",
    description="Readings of glucose: sensors, scans, blood. One row per reading and arrival.",
    key=_KEY,
    order=("modified_at",),
    deleted="is_deleted",
    sorted_by=("subject_id", "local_time"),
    position="Line of the table, or number of the record in the JSON document, from 1.",
    columns=(
        *_COMMON,
        Column(
            "glucose_mg_dl",
            pa.decimal128(9, 5),
            "Glucose in mg/dL; just beyond the sensor's limit for a reading out of its range.",
            sample=True,
        ),
        Column("value_as_written", pa.string(), "The value as the source wrote it.", sample=True),
        Column("unit", pa.string(), "mg/dL or mmol/L: the unit of value_as_written.", sample=True),
        Column(
            "out_of_range", pa.string(), "low or high: beyond the sensor's limits.", sample=True
        ),
        *_VERSION,
    ),
)

MONITOR_EVENT: Final = BronzeTable(
    name="monitor_event",
    description="Insulin, food, exercise, notes and alarms of glucose monitors, pumps and diaries: one row"
    " per event and arrival.",
    key=_KEY,
    order=("modified_at",),
    deleted="is_deleted",
    sorted_by=("subject_id", "local_time"),
    position="Line of the table, or number of the record in the JSON document, from 1.",
    columns=(
        *_COMMON,
        Column("event_name", pa.string(), "The source's own word for the event.", sample=True),
        Column("insulin_units", pa.float64(), "Insulin in units.", sample=True),
        Column("carbohydrates_g", pa.float64(), "Carbohydrates in g.", sample=True),
        Column("ketone_mmol_l", pa.float64(), "Ketones in blood in mmol/L.", sample=True),
        Column("duration_minutes", pa.float64(), "How long it lasted, in minutes.", sample=True),
        Column("rate_units_per_hour", pa.float64(), "Basal rate in units per hour.", sample=True),
        Column(
            "has_note",
            pa.bool_(),
            "Whether a person wrote a text; the text is not kept.",
            sample=True,
        ),
        *_VERSION,
    ),
)
