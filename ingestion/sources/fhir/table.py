"""The Bronze table of FHIR resources: one row for each resource or deletion that arrived."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from ingestion.tables import BronzeTable, Column

#: Which version counts is more than an order of columns (decision 0034): dbt/macros/fhir/winners.sql.
FHIR_RESOURCE: Final = BronzeTable(
    name="fhir_resource",
    description="FHIR R4 resources as they arrived: one row per resource and arrival, its JSON text kept whole.",
    key=("resource_type", "resource_id"),
    sorted_by=("resource_type",),
    position="Entry index (bundle), line (NDJSON) or 0.",
    columns=(
        Column(
            "sequence",
            pa.int64(),
            "Order of the rows of a file as things happened; null in rows that were landed before it was told.",
        ),
        Column("resource_type", pa.string(), "FHIR resource type.", sample=True),
        Column("resource_id", pa.string(), "Logical id."),
        Column("version_id", pa.string(), "meta.versionId as written."),
        Column("last_updated", pa.string(), "meta.lastUpdated as written."),
        Column(
            "request_method",
            pa.string(),
            "Method of the bundle entry; a DELETE removes the resource.",
            sample=True,
        ),
        Column(
            "condition",
            pa.string(),
            "Type?query by which a conditional create or update names its resource.",
        ),
        Column(
            "is_subset",
            pa.bool_(),
            "Whether only parts of the resource were asked for (SUBSETTED): it never replaces a whole one.",
            sample=True,
        ),
        Column(
            "conditional_references",
            pa.list_(pa.string()),
            "Texts Type?identifier=… that the resource refers to.",
        ),
        Column("resource", pa.large_string(), "The resource as JSON text; null for a DELETE."),
    ),
)
