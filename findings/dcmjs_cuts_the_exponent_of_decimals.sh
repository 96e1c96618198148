#!/usr/bin/env bash
# DICOM: dcmjs 0.51.1 (npm), on Node.js 20
# Guess:     a decimal string may have 16 characters, so a longer number is written rounded: cos 90 degrees as computed,
#            6.123233995736766e-17, becomes 6.1232339957e-17 (or 0) in Image Orientation.
# Behaviour: the text is cut after 16 characters and the exponent is lost: the direction cosine becomes 6.12 (with a line
#            in the log only), so a slice's normal, and every position from it, is nonsense.
# Seen:      wrote 1, 6.123233995736766e-17, 0, -6.123233995736766e-17, 1, 0 / read 1, 6.12323399573676, 0, -6.1232339957367, 1, 0; slope 4.76837158203125e-7 -> 4.76837158203125
# Rule:      DICOM PS3.5 6.2, DS: at most 16 bytes, "E" with its exponent part of the value; PS3.3 C.7.6.2.1.1: the row
#            and column cosines are unit vectors at right angles
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
npm init -y >/dev/null && npm install --silent --no-fund --no-audit dcmjs@0.51.1
cat >look.cjs <<'JS'
const {DicomDict, DicomMessage, DicomMetaDictionary} = require('dcmjs').data;
const turn = Math.PI / 2;
const said = {
  SOPClassUID: '1.2.840.10008.5.1.4.1.1.2', SOPInstanceUID: '2.25.1', Modality: 'CT',
  ImageOrientationPatient: [1, Math.cos(turn), 0, -Math.cos(turn), 1, 0], RescaleSlope: 2 ** -21,
};
const dict = new DicomDict({'00020010': {vr: 'UI', Value: ['1.2.840.10008.1.2.1']}});
dict.dict = DicomMetaDictionary.denaturalizeDataset(said);
const read = DicomMetaDictionary.naturalizeDataset(DicomMessage.readFile(dict.write()).dict);
console.log(`wrote ${said.ImageOrientationPatient.join(', ')} / read ${read.ImageOrientationPatient.join(', ')}; slope ${said.RescaleSlope} -> ${read.RescaleSlope}`);
JS
seen=$(node look.cjs 2>/dev/null | tail -1); echo "$seen"
[ "$seen" = "wrote 1, 6.123233995736766e-17, 0, -6.123233995736766e-17, 1, 0 / read 1, 6.12323399573676, 0, -6.1232339957367, 1, 0; slope 4.76837158203125e-7 -> 4.76837158203125" ]
