#!/usr/bin/env bash
# survival analysis: lifelines 0.30.3 with pandas 2.3.3 (PyPI)
# Guess:     datetimes_to_durations(freq="Y") gives years, 1.0 for a follow-up from 1 January to 1 January (it returns floats),
#            and freq="M" gives months.
# Behaviour: durations are cut down to whole mean years of 365.2425 days (months of 30.44): one year is 0 or, with a leap day, 1;
#            three years are 2; a month is 0 or 1. Subjects with 0 stay at risk for no time, rates are too high.
# Seen:      years 1: 0.0, 1 with a leap day: 1.0, 3: 2.0, 4: 4.0 / months February: 0.0, January: 1.0 / 10 subjects, 10 person-years: 0.0
# Rule:      lifelines documentation, datetimes_to_durations: T is told to be durations as floats in the unit of
#            freq (nothing of whole units); person-time is the denominator of every incidence rate
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --no-compile --disable-pip-version-check lifelines==0.30.3 pandas==2.3.3 numpy==2.4.6
cat >look.py <<'PY'
from lifelines.utils import datetimes_to_durations
def last(freq, start, end):
    return datetimes_to_durations([start], [end], freq=freq)[0][0]
years = {"1": ("2021-01-01", "2022-01-01"), "1 with a leap day": ("2020-01-01", "2021-01-01"),
         "3": ("2021-01-01", "2024-01-01"), "4": ("2021-01-01", "2025-01-01")}
months = {"February": ("2021-02-01", "2021-03-01"), "January": ("2021-01-01", "2021-02-01")}
person_years = datetimes_to_durations(["2021-01-01"] * 10, ["2022-01-01"] * 10, freq="Y")[0].sum()
print("years " + ", ".join(f"{name}: {last('Y', *dates)}" for name, dates in years.items()),
      "/ months " + ", ".join(f"{name}: {last('M', *dates)}" for name, dates in months.items()),
      f"/ 10 subjects, 10 person-years: {person_years}")
PY
seen=$(v/bin/python -W ignore look.py); echo "$seen"
[ "$seen" = "years 1: 0.0, 1 with a leap day: 1.0, 3: 2.0, 4: 4.0 / months February: 0.0, January: 1.0 / 10 subjects, 10 person-years: 0.0" ]
