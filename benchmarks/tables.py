"""How fast tables of claims and health records become Bronze rows.

    python -m benchmarks.tables [--rows N]

Each file is made of N rows of its layout, all columns filled with values of their type, and read as from a
drop; rows per second are of CPU time, in one process, without Parquet.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from ingestion.intake import layouts
from ingestion.intake.layouts import Layout
from ingestion.sources import FileRead, StagedFile, registry
from lakehouse.settings import Settings
from lakehouse.store import LocalStore

LAYOUTS = ("cms_rif_carrier", "cms_rif_inpatient", "plain_medical", "synthea_observations")
VALUES = {
    "string": "E119",
    "integer": "{number}",
    "decimal": "{number}.25",
    "date": "2026-02-{day:02d}",
    "timestamp": "2026-02-{day:02d}T08:15:00Z",
}


def written(layout: Layout, rows: int) -> bytes:
    """A file of the layout."""
    line = layout.delimiter.join(VALUES[kind] for kind in layout.columns.values())
    lines = [layout.delimiter.join(layout.columns)]
    lines += [line.format(number=number, day=number % 28 + 1) for number in range(rows)]
    return "\n".join(lines).encode()


def seen(store: LocalStore, layout: Layout, rows: int) -> tuple[int, int]:
    """Rows that were taken of a file of so many, and its bytes."""
    info = store.put(f"raw/{layout.name}-{rows}.csv", written(layout, rows))
    file = StagedFile(info.key, info.key, info.size, layout.file_type, layout.name, layout.version)
    events = registry()[layout.file_type].read(store, [file])
    return sum(one.accepted for one in events if isinstance(one, FileRead)), info.size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder), Settings(privacy_key="key-of-the-benchmark"))
        for layout in (one for one in layouts.load() if one.name in LAYOUTS):
            seen(store, layout, 1)  # imports and layouts are read once
            started = time.process_time()
            taken, size = seen(store, layout, rows)
            seconds = time.process_time() - started
            print(
                f"{layout.name:22} {len(layout.columns):4} columns {taken:8,} rows "
                f"{taken / seconds:8,.0f} rows/s {size / seconds / 1e6:6.1f} MB/s"
            )


if __name__ == "__main__":
    main()
