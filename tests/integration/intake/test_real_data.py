"""Real inputs by others: every file gets the type that its makers say it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.intake.classify import HEAD_BYTES, Classification, ContentClassifier

pytestmark = pytest.mark.real_data


def classify(path: Path) -> Classification:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return ContentClassifier().classify(path.name, head, lambda: path.open("rb"))


@pytest.mark.parametrize(
    ("folder", "pattern", "expected"),
    [
        ("ehr_csv", "*.csv", "ehr_csv"),
        ("claims", "*", "claims_csv"),
        ("cgm", "*", "cgm_export"),
        ("documents/pdf_edge", "*.pdf", "document"),
        ("documents/scans", "*", "document"),
        ("documents/clinical", "*", "document"),
        ("instruments", "*/*.json", "instrument_export"),
        ("instruments", "*/*.csv", "instrument_export"),
        ("instruments", "*/*.txt", "instrument_export"),
        ("batches", "batch-fake-data.csv", "batch_record"),
        ("batches", "dryer.csv", "batch_record"),
        ("batches", "nylon.csv", "batch_record"),
    ],
)
def test_a_folder_of_one_kind(test_data: Path, folder: str, pattern: str, expected: str) -> None:
    paths = sorted((test_data / folder).glob(pattern))
    assert paths

    assert {path.name: classify(path).file_type for path in paths} == dict.fromkeys(
        (path.name for path in paths), expected
    )


def test_every_ehr_table_and_every_claims_table_has_its_layout(test_data: Path) -> None:
    tables = [*(test_data / "ehr_csv").glob("*.csv"), *(test_data / "claims").glob("*")]

    assert [path.name for path in tables if classify(path).layout is None] == []


def test_spreadsheets_wait_for_a_person(test_data: Path) -> None:
    sheets = sorted((test_data / "instruments").glob("*/*.xls*"))
    assert sheets

    assert all(classify(path).ambiguous for path in sheets)


def test_dicom_files_are_dicom() -> None:
    import pydicom.data

    folder = Path(pydicom.data.__file__).parent / "test_files"
    files = sorted(folder.glob("*.dcm"))
    other = {path.name for path in files if classify(path).file_type != "dicom"}

    assert len(files) > 40
    # Retired big-endian without a header, and a file damaged on purpose.
    assert other <= {"ExplVR_BigEndNoMeta.dcm", "no_meta.dcm"}
