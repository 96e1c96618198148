#!/usr/bin/env bash
# PET: @cornerstonejs/calculate-suv 1.1.0 (npm), on Node.js 20
# Guess:     a series whose activity is corrected to the time of injection (Decay Correction ADMIN) needs no decay of the dose:
#            with 370 MBq, 70 kg and 60 minutes between injection and scan, SUVbw of 1 Bq/mL is 70000 / 370e6.
# Behaviour: Decay Correction is only compared between slices, never used: the dose is decayed once more, and every SUV of
#            F-18 at 60 minutes is 1.46 times too high; of C-11 7.7 times.
# Seen:      F-18 START 2.763e-4 ADMIN 2.763e-4 (right 1.892e-4) / C-11 START 1.454e-3 ADMIN 1.454e-3 (right 1.892e-4)
# Rule:      DICOM PS3.3 C.8.9.1, Decay Correction (0054,1102): ADMIN says that the dose is that of its administration;
#            QIBA's SUV pseudo-code, which the package says it follows, decays the dose for START only
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
npm init -y >/dev/null && npm install --silent --no-fund --no-audit @cornerstonejs/calculate-suv@1.1.0
cat >look.cjs <<'JS'
const {calculateSUVScalingFactors} = require('@cornerstonejs/calculate-suv');
const suv = (RadionuclideHalfLife, DecayCorrection) => calculateSUVScalingFactors([{
  Units: 'BQML', CorrectedImage: ['ATTN', 'DECY'], DecayCorrection, RadionuclideHalfLife, RadionuclideTotalDose: 370e6,
  PatientWeight: 70, PatientSize: 1.75, PatientSex: 'F', RadiopharmaceuticalStartDateTime: '20240102130000',
  RadiopharmaceuticalStartTime: '130000', SeriesDate: '20240102', SeriesTime: '140000', AcquisitionDate: '20240102',
  AcquisitionTime: '140000',
}])[0].suvbw.toExponential(3);
const tell = (name, halfLife) => `${name} START ${suv(halfLife, 'START')} ADMIN ${suv(halfLife, 'ADMIN')} (right ${(70000 / 370e6).toExponential(3)})`;
console.log(tell('F-18', 6586.2) + ' / ' + tell('C-11', 1223.4));
JS
seen=$(node look.cjs); echo "$seen"
[ "$seen" = "F-18 START 2.763e-4 ADMIN 2.763e-4 (right 1.892e-4) / C-11 START 1.454e-3 ADMIN 1.454e-3 (right 1.892e-4)" ]
