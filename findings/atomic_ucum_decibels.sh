#!/usr/bin/env bash
# UCUM: @atomic-ehr/ucum 0.2.5 beside @lhncbc/ucum-lhc 7.1.10 (npm), on Node.js 20
# Guess:     a sound of 60 dB[SPL] is 0.02 Pa in every UCUM library: two times the logarithm, and deci is a tenth.
# Behaviour: @atomic-ehr/ucum takes the tenth of the result instead of the exponent, and loses the 2 of the reference pressure:
#            60 dB[SPL] are 10^24 Pa and 20 dB[uV] 10^9 uV, without an error; plain dB is right, so tests with it pass.
# Seen:      60 dB[SPL] in Pa: atomic 1e+24, lhc 0.02; 20 dB[uV] in uV: atomic 1e+9, lhc 10; 60 dB in 1: atomic 1e+6, lhc 1e+6
# Rule:      UCUM, table of levels: B[SPL] is 2lg(2 * 10*-5.Pa), B[uV] 2lg(1 uV); special units on a logarithmic scale may
#            take a prefix, which scales the value of the logarithm (21 and 22, special units): ucum.org/ucum
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
npm init -y >/dev/null && npm install --silent --no-fund --no-audit @atomic-ehr/ucum@0.2.5 @lhncbc/ucum-lhc@7.1.10
cat >look.mjs <<'JS'
import {ucum} from '@atomic-ehr/ucum';
import lhc from '@lhncbc/ucum-lhc';
const other = lhc.UcumLhcUtils.getInstance();
const short = (value) => String(Number(Number(value).toPrecision(6))).replace(/^1000000000$/, '1e+9').replace(/^1000000$/, '1e+6');
const tell = (value, from, to) =>
  `${value} ${from} in ${to}: atomic ${short(ucum.convert(value, from, to))}, lhc ${short(other.convertUnitTo(from, value, to).toVal)}`;
console.log([tell(60, 'dB[SPL]', 'Pa'), tell(20, 'dB[uV]', 'uV'), tell(60, 'dB', '1')].join('; '));
JS
seen=$(node look.mjs); echo "$seen"
[ "$seen" = "60 dB[SPL] in Pa: atomic 1e+24, lhc 0.02; 20 dB[uV] in uV: atomic 1e+9, lhc 10; 60 dB in 1: atomic 1e+6, lhc 1e+6" ]
