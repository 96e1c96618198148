"""DICOM: one row per instance, from the header alone.

Pixels are never read: the header is parsed from a stream that fetches ranges, stops before the
pixel data and skips the values that are not asked for. What the header says is kept as it is
written; placeholders such as UNKNOWN become null in Silver, not here.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pydicom
import pydicom.config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue

from ingestion.sources import Batch, Event, FileRead, Reason, Rejected, StagedFile
from lakehouse.errors import InputRejected
from lakehouse.storage import ObjectStore

TABLE: Final = "dicom_instance"

#: Column → DICOM keyword (https://dicom.nema.org/medical/dicom/current/output/html/part06.html).
_TEXTS: Final = {
    "study_instance_uid": "StudyInstanceUID",
    "series_instance_uid": "SeriesInstanceUID",
    "sop_instance_uid": "SOPInstanceUID",
    "sop_class_uid": "SOPClassUID",
    "transfer_syntax_uid": "TransferSyntaxUID",
    "modality": "Modality",
    "body_part_examined": "BodyPartExamined",
    "patient_id": "PatientID",
    "study_date": "StudyDate",
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "manufacturer": "Manufacturer",
}
_INTEGERS: Final = {
    "series_number": "SeriesNumber",
    "instance_number": "InstanceNumber",
    "rows": "Rows",
    "columns": "Columns",
}
_DECIMALS: Final = {
    "magnetic_field_strength": "MagneticFieldStrength",
    "slice_thickness_mm": "SliceThickness",
}
_COLUMNS: Final = (
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "sop_class_uid",
    "transfer_syntax_uid",
    "modality",
    "body_part_examined",
    "patient_id",
    "study_date",
    "study_description",
    "series_description",
    "series_number",
    "instance_number",
    "manufacturer",
    "magnetic_field_strength",
    "slice_thickness_mm",
    "rows",
    "columns",
)
_REQUIRED: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def _type_of(column: str) -> pa.DataType:
    if column in _TEXTS:
        return pa.string()
    return pa.int32() if column in _INTEGERS else pa.float64()


SCHEMA: Final = pa.schema(
    [
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_position", pa.int64(), nullable=False),
        *(pa.field(column, _type_of(column)) for column in _COLUMNS),
    ]
)

_TAGS: Final = [*_TEXTS.values(), *_INTEGERS.values(), *_DECIMALS.values(), "SpecificCharacterSet"]
_BATCH_ROWS: Final = 10_000
_INT32: Final = 2**31


_DICOMDIR: Final = "1.2.840.10008.1.3.10"
#: What pydicom raises on headers that are damaged; its own error type covers only a few of them.
_DAMAGE: Final = (
    InvalidDicomError,
    BytesLengthException,
    struct.error,
    zlib.error,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    NotImplementedError,
    LookupError,
    OverflowError,
    RecursionError,
)


def instance(file: BinaryIO) -> dict[str, object]:
    """The columns of one instance. Raises :class:`InputRejected` for what is no usable header."""
    header = _header(file)
    missing = [keyword for keyword in _REQUIRED if not header.get(keyword)]
    if str(header.get("MediaStorageSOPClassUID", "")) == _DICOMDIR:
        raise _rejected("A DICOMDIR lists files; it is no instance itself.", Reason.MISSING_UID)
    if missing:
        raise _rejected(f"The header has no {', '.join(missing)}.", Reason.MISSING_UID)
    row: dict[str, object] = {}
    for column, keyword in _TEXTS.items():
        row[column] = _text(header.get(keyword))
    for column, keyword in _INTEGERS.items():
        row[column] = _integer(keyword, header.get(keyword))
    for column, keyword in _DECIMALS.items():
        row[column] = _decimal(keyword, header.get(keyword))
    return row


def _header(file: BinaryIO) -> dict[str, Any]:
    """Keyword → value of the elements that are asked for and present."""
    # Otherwise values that break a rule of their type are printed in warnings.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    start = file.read(132)
    file.seek(0)
    if not start:
        raise _rejected("The file has no content.", Reason.EMPTY_FILE)
    # Without preamble a data set starts with group 0002 or 0008, little or big endian.
    bare = start[128:132] != b"DICM"
    if bare and start[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        raise _rejected("The file does not start as DICOM does.", Reason.NOT_DICOM)
    values: dict[str, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote the header
            data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_TAGS, force=bare)
            for elements in (data.file_meta, data):
                for element in elements:
                    values[element.keyword] = element.value
    except (EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the file
        raise _rejected("The header ends in the middle.", Reason.TRUNCATED) from error
    except _DAMAGE as error:
        message = f"The header is damaged ({type(error).__name__})."
        raise _rejected(message, Reason.NOT_DICOM) from error
    return values


def _rejected(message: str, reason: Reason) -> InputRejected:
    return InputRejected(message, reason=reason, position="header")


def _text(value: Any) -> str | None:
    if isinstance(value, MultiValue):
        return "\\".join(str(part) for part in value)  # as DICOM writes several values
    return str(value) if value is not None and str(value) else None


def _single(value: Any) -> Any:
    if isinstance(value, MultiValue):
        return value[0] if len(value) else None
    return None if value == "" else value


def _integer(keyword: str, value: Any) -> int | None:
    number = _decimal(keyword, value)
    if number is None:
        return None
    if number != int(number) or not -_INT32 <= number < _INT32:
        raise _rejected(f"{keyword} is not an integer.", Reason.INVALID_VALUE)
    return int(number)


def _decimal(keyword: str, value: Any) -> float | None:
    single = _single(value)
    if single is None:
        return None
    try:
        number = float(single)
    except (TypeError, ValueError):
        raise _rejected(f"{keyword} is not a number.", Reason.INVALID_VALUE) from None
    if number != number or number in (float("inf"), float("-inf")):
        raise _rejected(f"{keyword} is not a number.", Reason.INVALID_VALUE)
    return number


class DicomSource:
    """Reads the headers of DICOM part 10 files, and of files that lack their preamble."""

    name = "dicom"
    file_types = frozenset({"dicom"})
    tables: Mapping[str, pa.Schema] = {TABLE: SCHEMA}
    sorted_by: Mapping[str, Sequence[str]] = {TABLE: ("study_instance_uid",)}

    def read(self, store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
        rows: list[dict[str, object]] = []
        for file in files:
            try:
                with store.open(file.key) as opened:
                    row = instance(opened)
            except InputRejected as rejected:
                reason = Reason(rejected.reason)
                sample = {"bytes": file.size}
                yield Rejected(file.path, rejected.position, reason, rejected.message, sample)
                yield FileRead(file.path, arrived=1, accepted=0, quarantined=1)
                continue
            rows.append({"source_file": file.path, "source_position": 0} | row)
            yield FileRead(file.path, arrived=1, accepted=1, quarantined=0)
            if len(rows) == _BATCH_ROWS:
                yield Batch(TABLE, pa.RecordBatch.from_pylist(rows, SCHEMA))
                rows = []
        if rows:
            yield Batch(TABLE, pa.RecordBatch.from_pylist(rows, SCHEMA))
