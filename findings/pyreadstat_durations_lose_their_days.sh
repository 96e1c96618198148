#!/usr/bin/env bash
# pyreadstat 1.3.7 (PyPI) reading SPSS files
# Guess:     a length of stay of 25 hours or of nine days, kept in SPSS as a TIME or DTIME variable, comes back as it was
#            (as a timedelta, a number of seconds or a text).
# Behaviour: both formats are read as a time of day: 25:00 hours become 01:00 and 9 days 06:00 become 06:00, without a
#            warning, so means and sums are wrong by whole days. Only disable_datetime_conversion gives the seconds.
# Seen:      TIME 90000 s: 01:00:00, DTIME 799200 s: 06:00:00 / without conversion 90000 and 799200
# Rule:      IBM SPSS Statistics, Command Syntax Reference, Date and Time Formats: TIME and DTIME hold time intervals in seconds,
#            not times of day; hours of TIME are not limited to 24, DTIME shows days before them
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --disable-pip-version-check pyreadstat==1.3.7 pandas==2.3.3 numpy==2.4.6
cat >look.py <<'PY'
import pandas as pd, pyreadstat
stays = pd.DataFrame({"ICU": [25 * 3600.0], "WARD": [9 * 86400 + 6 * 3600.0]})
pyreadstat.write_sav(stays, "stays.sav", variable_format={"ICU": "TIME8", "WARD": "DTIME13"})
read, meta = pyreadstat.read_sav("stays.sav")
plain, _ = pyreadstat.read_sav("stays.sav", disable_datetime_conversion=True)
print(", ".join(f"{meta.original_variable_types[c].rstrip('0123456789')} {stays[c][0]:.0f} s: {read[c][0]}" for c in stays),
      f"/ without conversion {plain['ICU'][0]:.0f} and {plain['WARD'][0]:.0f}")
PY
seen=$(v/bin/python -W ignore look.py); echo "$seen"
[ "$seen" = "TIME 90000 s: 01:00:00, DTIME 799200 s: 06:00:00 / without conversion 90000 and 799200" ]
