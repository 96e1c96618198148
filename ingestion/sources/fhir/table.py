"""The Bronze table of FHIR resources: one row for each resource or deletion that arrived."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

TABLE: Final = "fhir_resource"
SCHEMA: Final = pa.schema(
    [
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_position", pa.int64(), nullable=False),
        pa.field("sequence", pa.int64()),
        pa.field("resource_type", pa.string(), nullable=False),
        pa.field("resource_id", pa.string(), nullable=False),
        pa.field("version_id", pa.string()),
        pa.field("last_updated", pa.string()),
        pa.field("request_method", pa.string()),
        pa.field("condition", pa.string()),
        pa.field("is_subset", pa.bool_()),
        pa.field("conditional_references", pa.list_(pa.string())),
        pa.field("resource", pa.large_string()),
    ]
)
