#!/usr/bin/env bash
# fhirpath.js 5.2.2 (npm), on Node.js 20
# Guess:     4 nmol/L and 2 nmol/L written in mol/L (4e-9, 2e-9: how SI reports of hormones are coded) differ,
#            and the first is greater, since FHIRPath decimals are equal only where their digits are.
# Behaviour: two decimals closer than about 1e-8 are "equal"; as quantities one is equal to *and* greater than the other,
#            as plain numbers it is not greater, so a threshold on the value is never met. In nmol/L all is as it should.
# Seen:      equal true, greater true, value greater false; in nmol/L: equal false, greater true, value greater true
# Rule:      FHIRPath N1, 6.1.1 Equals (Decimal: trailing zeros are ignored, nothing else): hl7.org/fhirpath/N1/#equals
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
npm init -y >/dev/null && npm install --silent --no-fund --no-audit fhirpath@5.2.2
cat >look.mjs <<'JS'
import fhirpath from 'fhirpath';
import r4 from 'fhirpath/fhir-context/r4/index.js';
const cortisol = (value, unit) => ({
  resourceType: 'Observation', status: 'final', code: {text: 'Cortisol'},
  valueQuantity: {value, unit, system: 'http://unitsofmeasure.org', code: unit},
});
const ask = (resource, path) => fhirpath.evaluate(resource, path, null, r4)[0];
const all = (resource, limit, unit) => ['equal ' + ask(resource, `value = ${limit} '${unit}'`),
  'greater ' + ask(resource, `value > ${limit} '${unit}'`), 'value greater ' + ask(resource, `value.value > ${limit}`)].join(', ');
console.log(all(cortisol(4e-9, 'mol/L'), '0.000000002', 'mol/L') + '; in nmol/L: ' + all(cortisol(4, 'nmol/L'), '2', 'nmol/L'));
JS
seen=$(node look.mjs); echo "$seen"
[ "$seen" = "equal true, greater true, value greater false; in nmol/L: equal false, greater true, value greater true" ]
