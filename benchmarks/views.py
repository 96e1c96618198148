"""SQL-on-FHIR views against the same columns by hand, `read_json`, and an interpreter.

    python -m benchmarks.views [--data ARCHIVE] [--threads N] [--megabytes N] [--repeat N]

Input: the Synthea bundles of the test data (LAKEHOUSE_TEST_DATA), split into resources
beforehand; MB are megabytes of their JSON text. All four give the same number of rows; (a) and
(b) take the first item of each list, so they do less than the views where those filter or join.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from sql_on_fhir import compile_view, plan
from sql_on_fhir.ir.expressions import Expr, Field, Variable
from sql_on_fhir.ir.rows import Cell
from sql_on_fhir.sources import resources_of
from tests.unit.sql_on_fhir.interpreter import read_json, rows_of

ROOT = Path(__file__).parents[1]
ARCHIVE = "fhir_synthea_100.tar.xz"
TEN = [
    "patient",
    "encounter",
    "condition",
    "observation",
    "procedure",
    "medication_request",
    "diagnostic_report",
    "immunization",
    "care_plan",
    "claim",
]


def split(archive: Path) -> Iterator[bytes]:
    """Every resource of the bundles in an archive."""
    with tarfile.open(archive) as files:
        for member in files:
            file = files.extractfile(member) if member.name.endswith(".json") else None
            document = file.read() if file else b""
            if b'"resourceType"' in document:
                yield from (r for r in resources_of(document, None) if r is not document)


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
    return (
        f"select {names} from (select json_extract_string(resource, [{paths}]) as x from {source})"
    )


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
    listed = ", ".join(
        f"{sql} as {cell.definition.name}" for sql, cell in zip(names, cells, strict=True)
    )
    return f"select {listed} from read_json('{file}', format = 'newline_delimited', columns = {{{columns}}})"


class Spent(NamedTuple):
    """Seconds on the clock, and seconds of processor time (which other programs do not change)."""

    wall: float
    processor: float


def spent(run: Callable[[], Any]) -> Spent:
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return Spent(time.perf_counter() - wall, time.process_time() - processor)


def least(one: Spent, other: Spent) -> Spent:
    return Spent(min(one.wall, other.wall), min(one.processor, other.processor))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Speed of the SQL-on-FHIR views")
    data = Path(os.environ.get("LAKEHOUSE_TEST_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=data / ARCHIVE)
    parser.add_argument("--views", type=Path, default=ROOT / "dbt" / "views")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--megabytes", type=int, default=40, help="of each type, by repeating it")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args(arguments)
    if not options.data.exists():
        print(f"no data: {options.data} is absent (LAKEHOUSE_TEST_DATA)")
        return 0
    resources = list(split(options.data))
    by_type: dict[str, list[bytes]] = {}
    for text in resources:
        by_type.setdefault(str(json.loads(text)["resourceType"]), []).append(text)
    con = duckdb.connect(config={"threads": options.threads})
    print(
        f"{'view':<20}{'MB':>7}{'columns':>9}{'rows':>9}{'view MB/s':>11}{'(a) list':>10}"
        f"{'(b) read_json':>15}{'(c) python':>12}{'view/(a)':>10}"
    )
    totals = Measured(0, 0, 0, 0, 0, 0, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        for name in TEN:
            view = json.loads((options.views / f"{name}.json").read_text())
            texts = by_type[view["resource"]]
            texts = texts * max(1, round(options.megabytes * 1e6 / sum(map(len, texts))))
            measured = measure(con, view, texts, Path(folder), options.repeat)
            totals = Measured(*(a + b for a, b in zip(totals, measured, strict=True)))
            print(line(name, measured))
        print(line("all", totals))
        del con
        memory(
            resources, json.loads((options.views / "observation.json").read_text()), Path(folder)
        )
    return 0


class Measured(NamedTuple):
    """Sizes; seconds of the view, (a), (b) and (c); processor seconds of the view and (a)."""

    megabytes: float
    columns: int
    rows: int
    view: float
    hand: float
    read: float
    python: float
    view_processor: float
    hand_processor: float


def measure(
    con: duckdb.DuckDBPyConnection,
    view: dict[str, Any],
    texts: list[bytes],
    folder: Path,
    repeat: int,
) -> Measured:
    """The best of several runs, taken in turns so that a busy machine slows all alike."""
    megabytes = sum(map(len, texts)) / 1e6
    con.register(
        "arrow_input", pa.table({"resource": pa.array(texts, pa.binary()).cast(pa.string())})
    )
    con.execute("create or replace table input as select * from arrow_input")
    con.unregister("arrow_input")
    file = folder / "input.ndjson"
    file.write_bytes(b"\n".join(text.replace(b"\n", b" ") for text in texts))
    compiled = compile_view(view, source="input", assume_type=True)
    statements = {
        "view": compiled.sql,
        "hand": by_hand(view, "input"),
        "read": by_read_json(view, file),
    }
    best: dict[str, Spent] = {}
    for turn in range(repeat):
        for name, sql in statements.items():
            if name == "read" and turn:
                continue
            made = f"create or replace temp table {name}_rows as {sql}"
            now = spent(lambda sql=made: con.execute(sql))
            best[name] = least(best.get(name, now), now)
    counted = con.execute("select count(*) from view_rows").fetchone()
    sample = texts[: max(1, 200_000_000 // sum(map(len, texts)) * 20)]
    share = sum(map(len, sample)) / 1e6 / megabytes
    python = spent(lambda: [rows_of(view, read_json(text.decode())) for text in sample])
    return Measured(
        megabytes,
        len(compiled.columns),
        counted[0] if counted else 0,
        best["view"].wall,
        best["hand"].wall,
        best["read"].wall,
        python.wall / share,
        best["view"].processor,
        best["hand"].processor,
    )


def line(name: str, measured: Measured) -> str:
    walls = (measured.view, measured.hand, measured.read, measured.python)
    speeds = [measured.megabytes / wall for wall in walls]
    ratio = measured.hand_processor / measured.view_processor
    return (
        f"{name:<20}{measured.megabytes:>7.1f}{measured.columns:>9}{measured.rows:>9}"
        f"{speeds[0]:>11.0f}{speeds[1]:>10.0f}{speeds[2]:>15.0f}{speeds[3]:>12.1f}{ratio:>10.2f}"
    )


STREAM = """
import json, resource, sys, time
from sql_on_fhir import stream_view
start = time.perf_counter()
rows = sum(batch.num_rows for batch in stream_view(json.loads(sys.argv[1]), [sys.argv[2]]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(rows, time.perf_counter() - start, peak)
"""


def memory(resources: list[bytes], view: dict[str, Any], folder: Path) -> None:
    """Reading, splitting and streaming one NDJSON file of all types: 100 and 1,000 patients."""
    print(f"\n{'NDJSON file':<20}{'MB':>7}{'rows':>9}{'MB/s':>7}{'peak MB':>9}")
    file = folder / "all.ndjson"
    text = b"".join(resource.replace(b"\n", b" ") + b"\n" for resource in resources)
    for copies in (1, 10):
        with file.open("wb") as out:
            for _ in range(copies):
                out.write(text)
        result = subprocess.run(
            [sys.executable, "-c", STREAM, json.dumps(view), str(file)],
            check=True,
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        rows, wall, peak = (float(value) for value in result.stdout.split())
        megabytes = len(text) * copies / 1e6
        print(
            f"{copies * 100:>5} patients      {megabytes:>7.0f}{rows:>9.0f}"
            f"{megabytes / wall:>7.0f}{peak:>9.0f}"
        )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
