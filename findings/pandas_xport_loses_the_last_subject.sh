#!/usr/bin/env bash
# pandas 3.1.1 reading SAS transport files (XPORT version 5, the form of FDA submissions) that pyreadstat 1.3.7 wrote
# Guess:     read_sas gives the three rows that were written, and 0 is 0.
# Behaviour: where the text at the end of the last row is blank, that row is taken for the padding of the file's last
#            80-byte card and is left out without a word; a stored 0 comes back as 5.397605e-79.
# Seen:      written 3 rows, doses [0.0, 1.5, 100.25] / pandas: 2 rows, doses [5.397605346934028e-79, 1.5] / pyreadstat: 3 rows, doses [0.0, 1.5, 100.25]
# Rule:      SAS technical note TS-140, record layout of transport files: observations are padded to 80 bytes with blanks,
#            so their number cannot be told from trailing blanks where a row may be blank; IBM floating point has a zero.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv v && v/bin/pip install -q --disable-pip-version-check pandas==3.1.1 numpy==2.4.6 pyreadstat==1.3.7
cat >look.py <<'PY'
import pandas as pd, pyreadstat
rows = pd.DataFrame({"DOSE": [0.0, 1.5, 100.25], "AEREASON": ["none", "headache since day 2", ""]})
pyreadstat.write_xport(rows, "ae.xpt", file_format_version=5)
by_pandas = pd.read_sas("ae.xpt", format="xport")
by_other, _ = pyreadstat.read_xport("ae.xpt")
tell = lambda name, frame: f"{name} {len(frame)} rows, doses {frame['DOSE'].tolist()}"
print(" / ".join([tell("written", rows), tell("pandas:", by_pandas), tell("pyreadstat:", by_other)]))
PY
seen=$(v/bin/python -W ignore look.py); echo "$seen"
[ "$seen" = "written 3 rows, doses [0.0, 1.5, 100.25] / pandas: 2 rows, doses [5.397605346934028e-79, 1.5] / pyreadstat: 3 rows, doses [0.0, 1.5, 100.25]" ]
