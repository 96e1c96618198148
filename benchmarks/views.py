"""SQL-on-FHIR views against the same columns by hand, `read_json`, and an interpreter.

    python -m benchmarks.views [--data ARCHIVE] [--threads N] [--repeat N]

Input: the Synthea bundles of the test data (LAKEHOUSE_TEST_DATA), split into resources
beforehand; MB are megabytes of their JSON text. All four give the same number of rows; (a) and
(b) take the first item of each list, so they do less than the views where those filter or join.
"""

import argparse
import json
import os
import resource as process
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from sql_on_fhir import compile_view, plan
from sql_on_fhir.logical import Cell, Expr, Field, Variable
from sql_on_fhir.sources import resources_of
from tests.unit.sql_on_fhir.interpreter import read_json, rows_of

ROOT = Path(__file__).parents[1]
ARCHIVE = "fhir_synthea_100.tar.xz"
TEN = (
    "patient encounter condition observation procedure medication_request "
    "diagnostic_report immunization care_plan claim"
).split()


def split(archive: Path) -> Iterator[bytes]:
    """Every resource of the bundles in an archive."""
    with tarfile.open(archive) as files:
        for member in files:
            file = files.extractfile(member) if member.name.endswith(".json") else None
            document = file.read() if file else b""
            if b'"resourceType"' in document:
                yield from resources_of(document, None)


def json_path(cell: Cell) -> str:
    """What a person would write for the column: its path, the first item of each list."""

    def path(expr: Expr) -> str:
        if isinstance(expr, Field):
            return f"{path(expr.base)}.{expr.key}{'[0]' if expr.repeats else ''}"
        if isinstance(expr, Variable):
            return "$"
        inner = [value for value in vars(expr).values() if isinstance(value, Expr)]
        return path(inner[0]) if inner else "$.id"

    return path(cell.value)


def by_hand(view: dict[str, Any], source: str) -> str:
    """(a) One json_extract_string with the list of all paths."""
    cells = plan(view).cells
    paths = ", ".join(f"'{json_path(cell)}'" for cell in cells)
    names = ", ".join(f"x[{n}] as {cell.definition.name}" for n, cell in enumerate(cells, 1))
    return f"select {names} from (select json_extract_string(resource, [{paths}]) as x from {source})"


def by_read_json(view: dict[str, Any], file: Path) -> str:
    """(b) read_json with DuckDB's own reading of the types."""
    cells = plan(view).cells
    tops = sorted({json_path(cell).split(".")[1].split("[")[0] for cell in cells})
    columns = ", ".join(f"'{top}': 'JSON'" for top in tops)
    names = []
    for cell in cells:
        top, _, rest = json_path(cell).removeprefix("$.").replace("[0]", "[1]", 1).partition(".")
        top = top.removesuffix("[1]")
        inner = "$[0]" if "[1]" in json_path(cell).replace("[0]", "[1]", 1).split(".")[1] else "$"
        names.append(f"json_extract_string(\"{top}\", '{inner}{'.' + rest if rest else ''}')")
    listed = ", ".join(f"{sql} as {cell.definition.name}" for sql, cell in zip(names, cells, strict=True))
    return f"select {listed} from read_json('{file}', format = 'newline_delimited', columns = {{{columns}}})"


def seconds(run: Callable[[], Any], repeat: int) -> float:
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Speed of the SQL-on-FHIR views")
    data = Path(os.environ.get("LAKEHOUSE_TEST_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=data / ARCHIVE)
    parser.add_argument("--views", type=Path, default=ROOT / "dbt" / "views")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args(arguments)
    if not options.data.exists():
        print(f"no data: {options.data} is absent (LAKEHOUSE_TEST_DATA)")
        return 0
    by_type: dict[str, list[bytes]] = {}
    for text in split(options.data):
        by_type.setdefault(read_type(text), []).append(text)
    con = duckdb.connect(config={"threads": options.threads})
    print(f"{'view':<20}{'MB':>7}{'rows':>8}{'view MB/s':>11}{'(a) list':>10}{'(b) read_json':>15}{'(c) python':>12}{'view/(a)':>10}")
    totals = [0.0] * 5
    with tempfile.TemporaryDirectory() as folder:
        for name in TEN:
            view = json.loads((options.views / f"{name}.json").read_text())
            row = measure(con, view, by_type.get(view["resource"], []), Path(folder), options.repeat)
            totals = [total + value for total, value in zip(totals, row, strict=True)]
            print(line(name, row, con.execute("select count(*) from result").fetchone()[0]))
    print(line("all", totals, None))
    print(f"peak memory {process.getrusage(process.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return 0


def read_type(text: bytes) -> str:
    return str(json.loads(text)["resourceType"])


def measure(
    con: duckdb.DuckDBPyConnection,
    view: dict[str, Any],
    texts: list[bytes],
    folder: Path,
    repeat: int,
) -> list[float]:
    """Megabytes, then seconds of the view, (a), (b) and (c)."""
    megabytes = sum(map(len, texts)) / 1e6
    table = pa.table({"resource": pa.array(texts, pa.binary()).cast(pa.string())})
    con.register("arrow_input", table)
    con.execute("create or replace table input as select * from arrow_input")
    con.unregister("arrow_input")
    file = folder / "input.ndjson"
    file.write_bytes(b"\n".join(text.replace(b"\n", b" ") for text in texts))
    sql = compile_view(view, source="input", assume_type=True).sql

    def made(statement: str) -> Callable[[], Any]:
        return lambda: con.execute(f"create or replace temp table result as {statement}")

    hand = seconds(made(by_hand(view, "input")), repeat)
    read = seconds(made(by_read_json(view, file)), 1)
    sample = texts[:: max(1, len(texts) // 300)]
    share = sum(map(len, sample)) / 1e6 / megabytes
    python = seconds(lambda: [rows_of(view, read_json(text.decode())) for text in sample], 1) / share
    return [megabytes, seconds(made(sql), repeat), hand, read, python]


def line(name: str, row: list[float], rows: int | None) -> str:
    megabytes, view, hand, read, python = row
    speeds = [megabytes / value for value in (view, hand, read, python)]
    counted = "" if rows is None else rows
    return (
        f"{name:<20}{megabytes:>7.1f}{counted:>8}{speeds[0]:>11.0f}{speeds[1]:>10.0f}"
        f"{speeds[2]:>15.0f}{speeds[3]:>12.1f}{hand / view:>10.2f}"
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
