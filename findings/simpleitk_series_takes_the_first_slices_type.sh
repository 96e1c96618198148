#!/usr/bin/env bash
# SimpleITK 2.5.7 reading a PET series that pydicom 3.0.2 wrote (PyPI)
# Guess:     a PET series, where each slice has its own Rescale Slope, is read in Bq/mL: stored 15 with the slopes
#            1, 0.25 and 0.125 is 15, 3.75 and 1.875.
# Behaviour: the pixel type of the whole volume is the first file's after rescaling. Where that slope is a whole number
#            (an empty slice is often stored with slope 1) all others are cut to integers; from the other end they are not.
# Seen:      from the first slice: 16-bit unsigned integer [15.0, 3.0, 1.0] / from the last: 64-bit float [1.875, 3.75, 15.0]
# Rule:      DICOM PS3.3 C.8.9.4 (PET Image: Rescale Slope is per image and may differ in a series);
#            SimpleITK issue 1636 and pull request 1640 (a test for it, open since 2022)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --disable-pip-version-check SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
cat >look.py <<'PY'
import SimpleITK as sitk
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid
study, series, frame = (generate_uid() for _ in range(3))
for n, slope in enumerate([1, 0.25, 0.125]):
    ds = Dataset(); ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
    ds.Modality, ds.PatientID, ds.PatientName, ds.Units = "PT", "P1", "P^1", "BQML"
    ds.SeriesType, ds.CorrectedImage, ds.DecayCorrection = ["STATIC", "IMAGE"], ["ATTN", "DECY"], "START"
    ds.CountsSource, ds.CollimatorType, ds.NumberOfSlices = "EMISSION", "NONE", 3
    ds.SeriesDate = ds.AcquisitionDate = "20240101"; ds.SeriesTime = ds.AcquisitionTime = "120000"
    ds.FrameReferenceTime, ds.ActualFrameDuration = 30000, 60000
    ds.InstanceNumber, ds.ImageIndex, ds.SliceThickness = n + 1, n + 1, 3
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 3 * n], [1, 0, 0, 0, 1, 0]
    ds.Rows = ds.Columns = 4; ds.PixelSpacing = [2, 2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16; ds.HighBit = 15; ds.PixelRepresentation = 0
    ds.RescaleSlope, ds.RescaleIntercept = slope, 0
    ds.PixelData = np.full((4, 4), 15, np.uint16).tobytes()
    ds.save_as(f"{n}.dcm", enforce_file_format=True)
files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(".")
def read(name, order):
    image = sitk.ReadImage(order)
    return f"{name}: {image.GetPixelIDTypeAsString()} {[float(v) for v in sitk.GetArrayFromImage(image)[:, 0, 0]]}"
print(read("from the first slice", files), "/", read("from the last", files[::-1]))
PY
seen=$(v/bin/python -W ignore look.py); echo "$seen"
[ "$seen" = "from the first slice: 16-bit unsigned integer [15.0, 3.0, 1.0] / from the last: 64-bit float [1.875, 3.75, 15.0]" ]
