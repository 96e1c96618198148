#!/usr/bin/env bash
# NIfTI-1: nibabel 5.4.2 and SimpleITK 2.5.7 (PyPI) on one file whose spatial unit is the micrometre (xyzt_units 3)
# Guess:     both readers take voxels of 50 micrometres for equally large, and a volume in mm3 comes out the same.
# Behaviour: nibabel's zooms and affine are the file's numbers in the file's unit; SimpleITK converts size and origin to mm.
#            Code that takes mm for granted (most does) has lengths wrong by 1,000 and volumes by 10^9 with one of them;
#            written back by SimpleITK the file says mm, so nibabel's numbers change though the image did not.
# Seen:      nibabel 50 at 200 'micron', SimpleITK 0.05 at 0.2, after a round trip nibabel 0.05 at 0.2 'mm'
# Rule:      NIfTI-1 (nifti1.h), "UNITS OF SPATIAL AND TEMPORAL DIMENSIONS": pixdim and the matrices are in xyzt_units
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --disable-pip-version-check nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
cat >look.py <<'PY'
import nibabel, numpy as np, SimpleITK as sitk
affine = np.diag([50.0, 50, 50, 1]); affine[2, 3] = 200
image = nibabel.Nifti1Image(np.ones((4, 4, 4), np.int16), affine)
image.header.set_xyzt_units("micron", "sec"); image.set_sform(affine, 1); image.set_qform(affine, 1)
nibabel.save(image, "tissue.nii")
def by_nibabel(path):
    read = nibabel.load(path)
    return f"nibabel {read.header.get_zooms()[2]:.4g} at {read.affine[2, 3]:.4g} {read.header.get_xyzt_units()[0]!r}"
other = sitk.ReadImage("tissue.nii"); sitk.WriteImage(other, "again.nii")
print(f"{by_nibabel('tissue.nii')}, SimpleITK {other.GetSpacing()[2]:.4g} at {other.GetOrigin()[2]:.4g}, "
      f"after a round trip {by_nibabel('again.nii')}")
PY
seen=$(v/bin/python -W ignore look.py); echo "$seen"
[ "$seen" = "nibabel 50 at 200 'micron', SimpleITK 0.05 at 0.2, after a round trip nibabel 0.05 at 0.2 'mm'" ]
