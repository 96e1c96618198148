"""DICOM files for imaging studies: full headers, a tiny picture, one file per instance."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from making.clinical import Imaging, study_uid
from making.fhir import Resource, made_uid
from making.population import Record, medical_record_number


def write_study(folder: Path, record: Record, study: Resource, spec: Imaging) -> list[Path]:
    """One file per instance below `folder`; the paths written.

    Ultrasound is written in the implicit transfer syntax, as many older devices still send it.
    """
    paths = []
    for series in study["series"]:
        for instance in series["instance"]:
            path = folder / f"series-{series['number']}" / f"image-{instance['number']:03}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            implicit = spec.modality == "US"
            dataset = _header(record, study, series, instance, spec, implicit=implicit)
            dataset.save_as(path, enforce_file_format=True)
            paths.append(path)
    return paths


def _header(
    record: Record,
    study: Resource,
    series: Resource,
    instance: Resource,
    spec: Imaging,
    *,
    implicit: bool,
) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = instance["sopClass"]["code"].removeprefix("urn:oid:")
    meta.MediaStorageSOPInstanceUID = instance["uid"]
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta.ImplementationClassUID = made_uid("samples", "implementation")
    meta.ImplementationVersionName = "SAMPLES_1"

    name = record.patient["name"][0]
    date, time = study["started"][:10].replace("-", ""), study["started"][11:19].replace(":", "")
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = meta.MediaStorageSOPClassUID
    ds.SOPInstanceUID = instance["uid"]
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = date
    ds.StudyTime = time
    ds.AccessionNumber = f"ACC{study['id'][:8].upper()}"
    ds.Modality = spec.modality
    ds.Manufacturer = spec.manufacturer
    ds.InstitutionName = "Larkhaven Imaging Centre"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = spec.description
    ds.SeriesDescription = series["description"]
    ds.PatientName = f"{name['family']}^{name['given'][0]}"
    ds.PatientID = medical_record_number(record.patient)
    ds.PatientBirthDate = record.patient["birthDate"].replace("-", "")
    ds.PatientSex = {"male": "M", "female": "F"}[record.patient["gender"]]
    ds.BodyPartExamined = spec.body_site[1].split()[0].upper()[:16]
    if spec.slice_thickness is not None:
        ds.SliceThickness = spec.slice_thickness
    if spec.field_strength is not None:
        ds.MagneticFieldStrength = spec.field_strength
    ds.StudyInstanceUID = study_uid(study)
    ds.SeriesInstanceUID = series["uid"]
    ds.StudyID = study["id"][:8]
    ds.SeriesNumber = series["number"]
    ds.InstanceNumber = instance["number"]
    _draw(ds, spec.matrix, instance["number"])
    return ds


def _draw(ds: FileDataset, matrix: int, number: int) -> None:
    """A bright disc on a dark ground; its size depends on the instance number."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = matrix
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    middle, radius = matrix / 2, matrix / 4 + number
    ds.PixelData = bytes(
        200 if (x - middle) ** 2 + (y - middle) ** 2 < radius**2 else 20
        for y in range(matrix)
        for x in range(matrix)
    )
