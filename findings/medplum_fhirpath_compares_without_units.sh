#!/usr/bin/env bash
# @medplum/core 5.2.13 (npm), on Node.js 20
# Guess:     FHIRPath compares quantities in one unit (4 mg/L is not more than 3 g/L), and a date plus a month is a date.
# Behaviour: `>` and `<` compare the bare numbers whatever the units; `date + quantity` writes the number behind the date
#            as text (31 January and "1" give "2024-01-311"), a minus gives null. No error in any of the cases.
# Seen:      4 mg/L > 3 g/L: true; 4 g/L > 3000 mg/L: false; @2024-01-31 + 1 month: 2024-01-311; birthDate + 18 years: 2010-05-0418; @2024-03-01 - 1 month: null
# Rule:      FHIRPath N1, 6.2 Comparison (an engine need not convert units, but has to
#            see that they differ), 6.7 Date/Time Arithmetic (last day of a shorter month): hl7.org/fhirpath/N1
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
npm init -y >/dev/null && npm install --silent --no-fund --no-audit @medplum/core@5.2.13
cat >look.mjs <<'JS'
import {evalFhirPath} from '@medplum/core';
const system = 'http://unitsofmeasure.org';
const albumin = (value, unit) => ({resourceType: 'Observation', status: 'final', code: {text: 'Albumin'},
  valueQuantity: {value, unit, code: unit, system}});
const patient = {resourceType: 'Patient', birthDate: '2010-05-04'};
console.log([
  '4 mg/L > 3 g/L: ' + evalFhirPath("value > 3 'g/L'", albumin(4, 'mg/L')),
  '4 g/L > 3000 mg/L: ' + evalFhirPath("value > 3000 'mg/L'", albumin(4, 'g/L')),
  '@2024-01-31 + 1 month: ' + evalFhirPath('@2024-01-31 + 1 month', patient),
  'birthDate + 18 years: ' + evalFhirPath('birthDate + 18 years', patient),
  '@2024-03-01 - 1 month: ' + JSON.stringify(evalFhirPath('@2024-03-01 - 1 month', patient)[0]),
].join('; '));
JS
seen=$(node --no-warnings --experimental-websocket look.mjs); echo "$seen"
[ "$seen" = "4 mg/L > 3 g/L: true; 4 g/L > 3000 mg/L: false; @2024-01-31 + 1 month: 2024-01-311; birthDate + 18 years: 2010-05-0418; @2024-03-01 - 1 month: null" ]
