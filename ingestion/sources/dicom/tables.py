"""What DICOM files become in Bronze."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from ingestion.tables import BronzeTable, Column

#: An instance may lie in several folders and drops: the latest arrival is it.
DICOM_INSTANCE: Final = BronzeTable(
    name="dicom_instance",
    description="Headers of DICOM instances (never pixels): one row per file and arrival.",
    key=("study_instance_uid", "sop_instance_uid"),
    sorted_by=("study_instance_uid",),
    position="0: a file holds one instance.",
    columns=(
        Column("study_instance_uid", pa.string(), "Study Instance UID."),
        Column("series_instance_uid", pa.string(), "Series Instance UID."),
        Column("sop_instance_uid", pa.string(), "SOP Instance UID."),
        Column(
            "sop_class_uid", pa.string(), "SOP Class UID: what kind of object it is.", sample=True
        ),
        Column("transfer_syntax_uid", pa.string(), "Transfer Syntax UID.", sample=True),
        Column("modality", pa.string(), "Modality, as written."),
        Column("body_part_examined", pa.string(), "Body Part Examined, as written."),
        Column("patient_id", pa.string(), "Patient ID, as the modality knows it."),
        Column("study_date", pa.string(), "Study Date, as written."),
        Column("study_description", pa.string(), "Study Description."),
        Column("series_description", pa.string(), "Series Description."),
        Column("series_number", pa.int32(), "Series Number."),
        Column("instance_number", pa.int32(), "Instance Number."),
        Column("manufacturer", pa.string(), "Manufacturer, as written."),
        Column("magnetic_field_strength", pa.float64(), "Magnetic Field Strength in tesla."),
        Column("slice_thickness_mm", pa.float64(), "Slice Thickness in mm."),
        Column("rows", pa.int32(), "Rows of the image.", sample=True),
        Column("columns", pa.int32(), "Columns of the image.", sample=True),
    ),
)
