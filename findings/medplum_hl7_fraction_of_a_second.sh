#!/usr/bin/env bash
# HL7 v2 times: @medplum/core 5.2.13 (npm), on Node.js 20
# Guess:     a device's time with one to four digits of a second (.9, .25, .1234) is read to the millisecond: order is kept.
# Behaviour: the digits are taken for a count of milliseconds: .9 becomes 9 ms and .1234 becomes 1.234 s, so later readings
#            come out before earlier ones and one lands in the next second (or day); only three digits are right.
# Seen:      .1234 -> 01.234, .25 -> 00.025, .500 -> 00.500, .9 -> 00.009; 20240101235959.9999 -> 2024-01-02T00:00:08.999Z
# Rule:      HL7 v2.5.1, 2.A.22 DTM: YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ], S being decimal places of a second
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
npm init -y >/dev/null && npm install --silent --no-fund --no-audit @medplum/core@5.2.13
cat >look.mjs <<'JS'
import {parseHl7DateTime} from '@medplum/core';
const seconds = (fraction) => `${fraction} -> ${parseHl7DateTime('20240101120000' + fraction + '+0000').slice(17, 23)}`;
const late = '20240101235959.9999';
console.log(['.1234', '.25', '.500', '.9'].map(seconds).join(', ') + `; ${late} -> ${parseHl7DateTime(late)}`);
JS
seen=$(node --no-warnings --experimental-websocket look.mjs); echo "$seen"
[ "$seen" = ".1234 -> 01.234, .25 -> 00.025, .500 -> 00.500, .9 -> 00.009; 20240101235959.9999 -> 2024-01-02T00:00:08.999Z" ]
