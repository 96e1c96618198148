"""DICOM headers become one row per instance; pixels are never read."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)

from ingestion.intake.classify import _is_bare_dicom
from ingestion.sources import Batch, StagedFile
from ingestion.sources.dicom.reader import TAGS, DicomSource
from lakehouse.settings import Settings
from lakehouse.store import LocalStore, RangedReader
from lakehouse.store.ranged import READ_AHEAD_MIN

if TYPE_CHECKING:
    from tests.unit.sources.conftest import Outcome, Reader

SOURCE = DicomSource()


def sample(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert path is not None
    return Path(path).read_bytes()


def made(
    syntax: pydicom.uid.UID = ExplicitVRLittleEndian, pixels: int = 0, **more: object
) -> bytes:
    """A small MR instance."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = MRImageStorage
    data.SOPInstanceUID = "1.2.3.4"
    data.StudyInstanceUID = "1.2"
    data.SeriesInstanceUID = "1.2.3"
    data.PatientID = "P-1"
    data.Modality = "MR"
    data.StudyDate = "20260131"
    data.MagneticFieldStrength = "1.5"
    data.SliceThickness = "0.8"
    data.InstanceNumber = "7"
    data.Rows, data.Columns = 512, 256
    for keyword, value in more.items():
        setattr(data, keyword, value)
    if pixels:
        data.BitsAllocated = 8
        data.PixelData = b"\0" * pixels
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def read(reader: Reader, data: bytes) -> Outcome:
    return reader(SOURCE, {"a/1.dcm": data}, "dicom")


def test_an_instance_is_a_row_with_what_its_header_says(reader: Reader) -> None:
    [row] = read(reader, sample("CT_small.dcm")).rows
    assert row == {
        "source_file": "a/1.dcm",
        "source_position": 0,
        "study_instance_uid": "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322",
        "series_instance_uid": "1.3.6.1.4.1.5962.1.3.1.1.20040119072730.12322",
        "sop_instance_uid": "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "modality": "CT",
        "body_part_examined": None,
        "patient_id": "1CT1",
        "study_date": "20040119",
        "study_description": "e+1",
        "series_description": None,
        "series_number": 1,
        "instance_number": 1,
        "manufacturer": "GE MEDICAL SYSTEMS",
        "magnetic_field_strength": None,
        "slice_thickness_mm": 5.0,
        "rows": 128,
        "columns": 128,
    }


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_every_transfer_syntax_is_read(reader: Reader, syntax: pydicom.uid.UID) -> None:
    [row] = read(reader, made(syntax, pixels=100)).rows
    assert row["transfer_syntax_uid"] == syntax
    assert (row["magnetic_field_strength"], row["slice_thickness_mm"]) == (1.5, 0.8)
    assert (row["rows"], row["columns"], row["instance_number"]) == (512, 256, 7)
    assert (row["patient_id"], row["study_date"]) == ("P-1", "20260131")


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "image_dfl.dcm",
        "JPEG2000.dcm",
        "waveform_ecg.dcm",
        "rtplan.dcm",
        "reportsi.dcm",
        "ExplVR_BigEnd.dcm",
    ],
)
def test_instances_of_many_kinds_are_read(reader: Reader, name: str) -> None:
    [row] = read(reader, sample(name)).rows
    assert row["study_instance_uid"]
    assert row["series_instance_uid"]
    assert row["sop_instance_uid"]


def test_a_data_set_without_preamble_is_read(reader: Reader) -> None:
    [row] = read(reader, made()[132:]).rows
    assert row["sop_instance_uid"] == "1.2.3.4"


def test_placeholders_are_kept_as_they_are_written(reader: Reader) -> None:
    [row] = read(reader, made(BodyPartExamined="UNKNOWN", Manufacturer="N/A")).rows
    assert (row["body_part_examined"], row["manufacturer"]) == ("UNKNOWN", "N/A")


BAD = {
    "empty": (b"", "empty_file"),
    "text": (b"patient,study\n1,2\n" * 50, "not_dicom"),
    "jpeg": (b"\xff\xd8\xff\xe0" + b"\0" * 500, "not_dicom"),
    "preamble only": (b"\0" * 128 + b"DICM", "missing_uid"),
    "cut in the header": (made()[:300], "missing_uid"),
    "no series": (made(SeriesInstanceUID=""), "missing_uid"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_file_is_named_and_the_run_goes_on(reader: Reader, case: str) -> None:
    data, reason = BAD[case]
    files = {"1.dcm": made(), "2.dcm": data, "3.dcm": made(SOPInstanceUID="1.2.3.5")}
    outcome = reader(SOURCE, files, "dicom")
    assert [row["source_file"] for row in outcome.rows] == ["1.dcm", "3.dcm"]
    assert [(one.path, one.reason) for one in outcome.rejected] == [("2.dcm", reason)]


@pytest.mark.parametrize(
    ("keyword", "written", "column"),
    [
        ("SliceThickness", b"1,25", "slice_thickness_mm"),
        ("SliceThickness", b"thin", "slice_thickness_mm"),
        ("InstanceNumber", b"7.5 ", "instance_number"),
        ("InstanceNumber", b"1e10", "instance_number"),
        ("SeriesNumber", b"no 1", "series_number"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_lost_alone_and_told(
    reader: Reader, keyword: str, written: bytes, column: str
) -> None:
    good = made(SliceThickness="0.81", InstanceNumber="7777", SeriesNumber="6666")
    place = {"SliceThickness": b"0.81", "InstanceNumber": b"7777", "SeriesNumber": b"6666"}[keyword]
    outcome = read(reader, good.replace(place, written))
    [row] = outcome.rows
    assert row[column] is None
    assert row["modality"] == "MR"
    [told] = outcome.rejected
    assert (told.reason, told.records) == ("invalid_value", 0)
    assert keyword in told.detail
    assert written.decode() not in told.detail


def test_an_element_of_the_wrong_length_is_lost_alone(reader: Reader) -> None:
    good = made()
    rows = b"\x28\x00\x10\x00US\x02\x00\x00\x02"
    assert rows in good
    outcome = read(reader, good.replace(rows, b"\x28\x00\x10\x00US\x01\x00\x02"))
    assert [(row["rows"], row["columns"]) for row in outcome.rows] == [(None, 256)]
    assert [told.records for told in outcome.rejected] == [0]


@pytest.mark.parametrize(
    ("charset", "written", "text"),
    [
        ("ISO_IR 100", "Schädel".encode("latin-1"), "Schädel"),
        ("ISO_IR 192", "Schädel".encode(), "Schädel"),
        ("ISO_IR 144", "Голова".encode("iso8859-5"), "Голова"),
        ("\\ISO 2022 IR 87", b"\x1b$B6;It\x1b(B ", "胸部"),
        (None, "Schädel".encode(), "Schädel"),
        (None, "Schädel".encode("latin-1"), "Schädel"),
        ("NO_SUCH_SET", b"Skull", "Skull"),
    ],
)
def test_text_is_read_in_its_character_set(
    reader: Reader, charset: str | None, written: bytes, text: str
) -> None:
    written += b" " * (len(written) % 2)
    data = made(
        StudyDescription="x" * len(written),
        SpecificCharacterSet=charset.split("\\") if charset else "",
    ).replace(b"x" * len(written), written)
    [row] = read(reader, data).rows
    assert row["study_description"] == text


def test_the_slice_thickness_of_an_enhanced_object_is_in_its_shared_groups(reader: Reader) -> None:
    measures, shared = Dataset(), Dataset()
    measures.SliceThickness = "3.0"
    shared.PixelMeasuresSequence = [measures]
    [row] = read(reader, made(SliceThickness="", SharedFunctionalGroupsSequence=[shared])).rows
    assert row["slice_thickness_mm"] == 3.0


def bare(*, implicit: bool, little: bool) -> bytes:
    """A data set without preamble and meta header, as ACR-NEMA and early DICOM wrote it."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, "1.2.3.4"
    data.StudyDate, data.Modality = "1993.04.30", "MR"
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2", "1.2.3"
    data.Rows, data.Columns = 512, 256
    data.PixelData = b"\0" * 64
    data["PixelData"].VR = "OW"
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, little
    write_dataset(buffer, data)
    return buffer.getvalue()


@pytest.mark.parametrize("implicit", [True, False], ids=["implicit", "explicit"])
@pytest.mark.parametrize("little", [True, False], ids=["little", "big"])
def test_a_data_set_without_meta_header_is_dicom_in_any_order_of_bytes(
    reader: Reader, implicit: bool, little: bool
) -> None:
    data = bare(implicit=implicit, little=little)
    assert _is_bare_dicom(data)
    [row] = read(reader, data).rows
    assert (row["modality"], row["rows"], row["columns"]) == ("MR", 512, 256)
    assert (row["study_instance_uid"], row["study_date"]) == ("1.2", "1993.04.30")


def test_no_element_that_is_asked_for_needs_another_to_be_read() -> None:
    """With `specific_tags` a private element is bytes, and US or SS a guess, without its neighbour."""
    assert not any(tag.is_private for tag in TAGS)
    assert not any(" or " in dictionary_VR(tag) for tag in TAGS)


def test_every_file_that_pydicom_ships_is_read_or_named(reader: Reader) -> None:
    folder = Path(pydicom.data.__file__).parent
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".dcm", "", ".dump", ".gz")
    }
    outcome = reader(SOURCE, files, "dicom")
    quarantined = {str(one.path): str(one.reason) for one in outcome.rejected if one.records}
    assert len(outcome.rows) + len(quarantined) == len(files)
    assert set(quarantined.values()) == {"missing_uid", "not_dicom"}
    for path in quarantined:
        if quarantined[path] == "missing_uid":
            whole = pydicom.dcmread(io.BytesIO(files[path]), force=True)
            assert not all(
                whole.get(keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID")
            )


def test_damaged_headers_never_raise(reader: Reader) -> None:
    good = sample("MR_small.dcm")[:2_000]
    files = {}
    for number in range(300):  # each with another byte of the header changed, or cut there
        place = 132 + number * 5
        files[f"{number}c.dcm"] = good[:place]
        files[f"{number}x.dcm"] = good[:place] + b"\xff\xff" + good[place + 2 :]
    outcome = reader(SOURCE, files, "dicom")
    assert len(outcome.rows) + sum(one.records for one in outcome.rejected) == 600


class CountingStore(LocalStore):
    """Counts the bytes that leave the store, as S3 would."""

    fetched = 0
    requests = 0

    def open(self, key: str) -> BinaryIO:
        def fetch(key: str, offset: int, length: int | None, etag: str | None) -> bytes:
            data = self.read(key, offset, length)
            self.fetched += len(data)
            self.requests += 1
            return data

        reader = RangedReader(self.stat(key), fetch)
        return io.BufferedReader(reader, READ_AHEAD_MIN)  # type: ignore[return-value]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_the_header_of_40_mb_costs_a_few_hundred_kb(
    tmp_path: Path, syntax: pydicom.uid.UID
) -> None:
    store = CountingStore(tmp_path, Settings(privacy_key="key-of-the-tests"))
    private = Dataset()
    private.add_new(0x00091010, "UN", b"\1" * 3_000_000)  # a large value before the pixels
    data = made(syntax, pixels=40_000_000, ReferencedImageSequence=[private])
    info = store.put("raw/big.dcm", data)
    events = list(SOURCE.read(store, [StagedFile("big.dcm", info.key, info.size, "dicom")]))
    assert [event.rows.num_rows for event in events if isinstance(event, Batch)] == [1]
    assert info.size > 43_000_000
    assert store.fetched < 400_000
    assert store.requests < 10


def test_nothing_of_a_header_is_printed_in_warnings(reader: Reader) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        broken = made().replace(b"20260131", b"Jane_Doe").replace(b"P-1 ", b"\xff\xfe\xfd ")
        read(reader, broken)
    assert not [str(one.message) for one in caught if "Jane" in str(one.message)]
