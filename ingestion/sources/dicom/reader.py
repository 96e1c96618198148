"""DICOM: one row per instance, from the header alone.

Pixels and waveforms are never read: the header is parsed from a stream that fetches ranges, stops
behind the last element that is asked for and skips the values of others. What the header says is
kept as it is written; placeholders such as UNKNOWN become null in Silver, not here. A value that
breaks its own type is lost alone, and told; only the three UIDs are needed.
"""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pydicom
import pydicom.config
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_partial
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import VR

from ingestion.reasons import Reason
from ingestion.sources import Batch, Event, FileRead, Rejected, StagedFile
from ingestion.sources.dicom.tables import DICOM_INSTANCE
from lakehouse.errors import InputRejected
from lakehouse.store import ObjectStore

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
_REQUIRED: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


#: Enhanced objects have the slice thickness there, once for all frames (PS3.3, C.7.6.16.2.1).
_SHARED: Final = "SharedFunctionalGroupsSequence"
#: None of them is private or has a VR that depends on PixelRepresentation: with `specific_tags`
#: pydicom knows neither a private element's creator nor that element unless they are asked for too.
TAGS: Final = tuple(
    Tag(keyword)
    for keyword in (
        *_TEXTS.values(),
        *_INTEGERS.values(),
        *_DECIMALS.values(),
        "SpecificCharacterSet",
        _SHARED,
    )
)
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


@dataclass(frozen=True, slots=True)
class Instance:
    """The columns of one instance, and the keywords of the values that it lost."""

    row: Mapping[str, object]
    lost: tuple[str, ...]


class _NotOfItsType(Exception):
    """A value that breaks the rules of its type; the instance goes on without it."""


def instance(file: BinaryIO) -> Instance:
    """The columns of one instance. Raises :class:`InputRejected` for what is no usable header."""
    header, lost = _header(file)
    missing = [keyword for keyword in _REQUIRED if not header.get(keyword)]
    if str(header.get("MediaStorageSOPClassUID", "")) == _DICOMDIR:
        raise _rejected("A DICOMDIR lists files; it is no instance itself.", Reason.MISSING_UID)
    if missing:
        raise _rejected(f"The header has no {', '.join(missing)}.", Reason.MISSING_UID)
    declared = bool(header.get("SpecificCharacterSet"))
    row: dict[str, object] = {}
    for column, keyword in _TEXTS.items():
        row[column] = _text(header.get(keyword), is_declared=declared)
    for read, columns in ((_integer, _INTEGERS), (_decimal, _DECIMALS)):
        for column, keyword in columns.items():
            try:
                row[column] = read(header.get(keyword))
            except _NotOfItsType:
                row[column] = None
                lost.append(keyword)
    return Instance(row, tuple(lost))


def _header(file: BinaryIO) -> tuple[dict[str, Any], list[str]]:
    """Keyword → value of the elements that are asked for and present; keywords that were lost."""
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
    lost: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote the header
            data = _parsed(file, start, is_bare=bare)
            for elements in (getattr(data, "file_meta", Dataset()), data):
                _take(elements, values, lost)
            if not values.get("SliceThickness"):
                values["SliceThickness"] = _shared_thickness(values.get(_SHARED))
    except (EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the file
        raise _rejected("The header ends in the middle.", Reason.TRUNCATED) from error
    except _DAMAGE as error:
        message = f"The header is damaged ({type(error).__name__})."
        raise _rejected(message, Reason.NOT_DICOM) from error
    return values, lost


def _parsed(file: BinaryIO, start: bytes, *, is_bare: bool) -> Dataset:
    """The elements that are asked for, not yet decoded."""
    last = int(max(TAGS))

    def is_behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        return int(tag) > last

    if is_bare and start[:2] == b"\x00\x08" and start[4:6].decode("latin-1") not in set(VR):
        # Implicit VR, big endian: ACR-NEMA's. pydicom guesses big endian for explicit VR only.
        return read_dataset(
            file,
            is_implicit_VR=True,
            is_little_endian=False,
            stop_when=is_behind,
            specific_tags=list(TAGS),
        )
    return read_partial(file, stop_when=is_behind, force=is_bare, specific_tags=list(TAGS))


def _take(elements: Dataset, values: dict[str, Any], lost: list[str]) -> None:
    """Decode each element by itself: one that cannot be decoded takes no other with it."""
    for tag in list(elements.keys()):
        keyword = keyword_for_tag(tag)
        try:
            values[keyword] = elements[tag].value
        except _DAMAGE:
            lost.append(keyword or str(tag))


def _shared_thickness(groups: Any) -> Any:
    for group in groups or ():
        for measures in group.get("PixelMeasuresSequence") or ():
            if measures.get("SliceThickness"):
                return measures.SliceThickness
    return None


def _rejected(message: str, reason: Reason) -> InputRejected:
    return InputRejected(message, reason=reason, position="header")


def _text(value: Any, *, is_declared: bool) -> str | None:
    if isinstance(value, MultiValue):
        text = "\\".join(str(part) for part in value)  # as DICOM writes several values
    else:
        text = "" if value is None else str(value)
    return (text if is_declared else _undeclared(text)) or None


def _undeclared(text: str) -> str:
    """Text without a SpecificCharacterSet may be ASCII only (PS3.3, C.12.1.1.2); most is UTF-8."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _single(value: Any) -> Any:
    if isinstance(value, MultiValue):
        return value[0] if len(value) else None
    return value


def _integer(value: Any) -> int | None:
    number = _decimal(value)
    if number is None:
        return None
    if number != int(number) or not -_INT32 <= number < _INT32:
        raise _NotOfItsType
    return int(number)


def _decimal(value: Any) -> float | None:
    single = _single(value)
    if single is None or str(single).strip() == "":
        return None
    try:
        number = float(single)
    except (TypeError, ValueError):
        raise _NotOfItsType from None
    if not math.isfinite(number):
        raise _NotOfItsType
    return number


class DicomSource:
    """Reads the headers of DICOM part 10 files, and of files that lack their preamble."""

    name = "dicom"
    file_types = frozenset({"dicom"})
    tables = (DICOM_INSTANCE,)

    def read(self, store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
        rows: list[dict[str, object]] = []
        for file in files:
            try:
                with store.open(file.key) as opened:
                    read = instance(opened)
            except InputRejected as rejected:
                reason = Reason(rejected.reason)
                sample = {"bytes": file.size}
                yield Rejected(file.path, rejected.position, reason, rejected.message, sample)
                yield FileRead(file.path, arrived=1, accepted=0, quarantined=1)
                continue
            for keyword in read.lost:
                detail = f"{keyword} is not of its type: the value is left out."
                yield Rejected(file.path, "header", Reason.INVALID_VALUE, detail, records=0)
            rows.append({"source_file": file.path, "source_position": 0, **read.row})
            yield FileRead(file.path, arrived=1, accepted=1, quarantined=0)
            if len(rows) == _BATCH_ROWS:
                yield Batch(
                    DICOM_INSTANCE.name, pa.RecordBatch.from_pylist(rows, DICOM_INSTANCE.schema)
                )
                rows = []
        if rows:
            yield Batch(
                DICOM_INSTANCE.name, pa.RecordBatch.from_pylist(rows, DICOM_INSTANCE.schema)
            )
