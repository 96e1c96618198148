#!/usr/bin/env bash
# dlt 1.31.0 (PyPI) with pyarrow 26.0.1, on Python 3.11
# Guess:     a Parquet file that is handed over whole (mark.with_file_import) with an Arrow schema as its hints arrives as it
#            was written: the same bytes, or at least the same types.
# Behaviour: it is written anew, and a time without a zone becomes a time in UTC: a sensor's or a chart's wall-clock time is
#            from then on an instant, in whatever zone it was measured. No warning; a column hint `timezone: False` keeps it.
# Seen:      written timestamp[us]; arrived timestamp[us, tz=UTC]; with the hint timestamp[us]
# Rule:      Parquet, logical types: isAdjustedToUTC=false is a local time, which no zone may be given; dlt API reference,
#            with_file_import: of a handed Arrow table the schema is taken, its content discarded
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
export DLT_DATA_DIR="$work/dlt" RUNTIME__DLTHUB_TELEMETRY=false RUNTIME__LOG_LEVEL=CRITICAL
python3.11 -m venv env && env/bin/pip install --quiet --disable-pip-version-check 'dlt[filesystem,parquet]==1.31.0' pyarrow==26.0.1
cat >look.py <<'PY'
from datetime import datetime
from pathlib import Path

import dlt
import pyarrow as pa
import pyarrow.parquet as pq

readings = pa.table({"at": pa.array([datetime(2026, 3, 29, 2, 30)], pa.timestamp("us")), "mg_dl": [112]})
pq.write_table(readings, "readings.parquet")


def arrived(folder: str, **hints: object) -> str:
    @dlt.resource(name="reading", **hints)
    def handed_over():
        yield dlt.mark.with_file_import("readings.parquet", "parquet", 1, hints=readings.schema.empty_table())

    destination = dlt.destinations.filesystem(bucket_url=(Path.cwd() / folder).as_uri())
    dlt.pipeline(folder, destination=destination, dataset_name="lake").run(handed_over(), loader_file_format="parquet")
    (file,) = Path(folder, "lake", "reading").glob("*.parquet")
    return str(pq.read_schema(file).field("at").type)


kept = {"at": {"data_type": "timestamp", "timezone": False}}
print(f"written {readings.schema.field('at').type}; arrived {arrived('plain')}; with the hint {arrived('hinted', columns=kept)}")
PY
seen=$(env/bin/python look.py 2>/dev/null); echo "$seen"
[ "$seen" = "written timestamp[us]; arrived timestamp[us, tz=UTC]; with the hint timestamp[us]" ]
