"""The FHIR path, measured stage by stage: MB/s, rows/s and peak memory, as a table.

    python -m benchmarks.main_job [FOLDER | ARCHIVE.tar.xz …] [--copies N] [--json]

Without arguments it takes `fhir_synthea_*.tar.xz` from LAKEHOUSE_TEST_DATA (default ../shared/data).
`--copies N` lands every file N times with new ids, which is how memory is compared between 200 MB
and 1 GB. Each figure is one run on this machine: quote ratios between stages of one run, not single
numbers. The first load is a process of its own, with its start-up; what comes after it is done by the
worker that commands leave behind, as for a person who types one command after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cli.entry import socket_of

ROOT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).parent / "lakehouse"
MB = 1e6
_HELD_BACK_BYTES = 3 * MB
_WORKER_SECONDS = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="*", type=Path)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
        result = measure(arguments.inputs or default_inputs(), Path(folder), arguments.copies)
    sys.stdout.write(json.dumps(result, indent=2) + "\n" if arguments.json else as_table(result))


def default_inputs() -> list[Path]:
    folder = Path(os.environ.get("LAKEHOUSE_TEST_DATA", ROOT.parent / "shared/data"))
    found = sorted(folder.glob("fhir_synthea_*.tar.xz"))
    if not found:
        raise SystemExit("No input: name a folder of bundles, or set LAKEHOUSE_TEST_DATA.")
    return found


def measure(inputs: list[Path], folder: Path, copies: int) -> dict[str, object]:
    """Run everything once in ``folder``; seconds, bytes, rows and peak memory by stage."""
    bundles = folder / "bundles"
    for path in inputs:
        unpack(path, bundles)
    single = hold_one_back(bundles, folder / "single")
    if copies > 1:
        multiply(bundles, copies)
    size = sum(file.stat().st_size for file in bundles.rglob("*") if file.is_file())

    home = folder / "home"
    split = timed_split(bundles)
    run(home, "--no-worker", "init")
    run(home, "--no-worker", "drop", str(bundles), "--drop-id", "bench")
    first, first_wall = run_summary(home, "--no-worker")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    run(home, "status")
    wait_for_worker(home)
    nothing, nothing_wall = run_summary(home)
    run(home, "drop", str(single), "--drop-id", "one-more")
    one, one_wall = run_summary(home)
    started = time.perf_counter()
    run(home, "status")
    status_wall = time.perf_counter() - started
    run(home, "down")
    return {
        "machine": machine(),
        "input_megabytes": round(size / MB, 1),
        "input_files": sum(1 for file in bundles.rglob("*.json")),
        "split_megabytes_per_second": round(size / MB / split, 1),
        "stages": first["stages"],
        "tables": first["tables"],
        "first_wall_seconds": round(first_wall, 2),
        "nothing_new_wall_seconds": round(nothing_wall, 2),
        "nothing_new": nothing["nothing_new"],
        "one_bundle_wall_seconds": round(one_wall, 2),
        "one_bundle_stages": one["stages"],
        "status_wall_seconds": round(status_wall, 2),
        "peak_megabytes": round(peak),
    }


def hold_one_back(bundles: Path, folder: Path) -> Path:
    """Move the largest bundle below three megabytes into ``folder``."""
    folder.mkdir()
    small = (file for file in bundles.rglob("*.json") if file.stat().st_size < _HELD_BACK_BYTES)
    shutil.move(max(small, key=lambda file: file.stat().st_size), folder / "one-more.json")
    return folder


def unpack(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, target / path.name)
        return
    with tarfile.open(path) as archive:
        archive.extractall(target / path.name.partition(".")[0], filter="data")


_UUID_START = re.compile(rb"\b[0-9a-f]{8}(?=-[0-9a-f]{4}-)")


def multiply(folder: Path, copies: int) -> None:
    """Copies of every file with other ids, so that each is new data of the same shape."""
    for file in sorted(folder.rglob("*.json")):
        text = file.read_bytes()
        for copy in range(1, copies):
            renamed = _UUID_START.sub(lambda match, by=copy: shifted(match.group(), by), text)
            file.with_name(f"{copy}-{file.name}").write_bytes(renamed)


def shifted(start: bytes, copy: int) -> bytes:
    return b"%08x" % ((int(start, 16) + copy * 0x01234567) & 0xFFFFFFFF)


def timed_split(folder: Path) -> float:
    """Seconds to split every bundle into rows, on one core, without storing them."""
    script = (
        "import sys,time,pathlib\n"
        "from ingestion.sources.fhir import split\n"
        "files=[p.read_bytes() for p in pathlib.Path(sys.argv[1]).rglob('*.json')]\n"
        "t=time.perf_counter()\n"
        "for data in files:\n"
        "    for _ in split(data, 'file'): pass\n"
        "print(time.perf_counter()-t)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def run(home: Path, *arguments: str) -> str:
    environment = {**os.environ, "LAKEHOUSE_HOME": str(home), "QUIESCENCE_MINUTES": "0"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # would compile our own modules every time
    done = subprocess.run(
        [str(COMMAND), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(
            f"lakehouse {' '.join(arguments)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        )
    return done.stdout


def wait_for_worker(home: Path) -> None:
    """Until the worker that the first command left listens (`lakehouse --no-worker` leaves none)."""
    deadline = time.monotonic() + _WORKER_SECONDS
    while not socket_of(home).exists():
        if time.monotonic() > deadline:
            raise SystemExit("The worker did not start: read worker/log in the home.")
        time.sleep(0.1)


def run_summary(home: Path, *options: str) -> tuple[dict[str, dict[str, float]], float]:
    started = time.perf_counter()
    output = run(home, *options, "run", "--json")
    return json.loads(output), time.perf_counter() - started


def machine() -> str:
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")),
        "unknown CPU",
    )
    return f"{os.cpu_count()} cores ({model}), {_memory_gigabytes():.0f} GB, Python {platform.python_version()}"


def _cpuinfo() -> Iterator[str]:
    path = Path("/proc/cpuinfo")
    return iter(path.read_text(encoding="utf-8").splitlines() if path.exists() else [])


def _memory_gigabytes() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def as_table(result: dict[str, object]) -> str:
    size = float(result["input_megabytes"])  # type: ignore[arg-type]
    split = float(result["split_megabytes_per_second"])  # type: ignore[arg-type]
    stages: dict[str, float] = result["stages"]  # type: ignore[assignment]
    tables: dict[str, int] = result["tables"]  # type: ignore[assignment]
    lines = [
        f"{result['machine']}",
        f"{size:,.1f} MB in {result['input_files']} files",
        "",
        "| stage | seconds | MB/s |",
        "|---|---:|---:|",
        f"| split alone (one core) | {size / split:.2f} | {split} |",
    ]
    lines += [
        f"| {name} | {seconds:.2f} | {size / seconds:,.1f} |"
        for name, seconds in stages.items()
        if seconds > 0
    ]
    encounters = tables.get("gold.encounter_summary", 0)
    gold = stages.get("gold", 0.0)
    lines += [
        "",
        f"first run {result['first_wall_seconds']} s · nothing new {result['nothing_new_wall_seconds']} s · "
        f"one new bundle {result['one_bundle_wall_seconds']} s · "
        f"status {result['status_wall_seconds']} s · peak memory {result['peak_megabytes']} MB",
        f"rows in Silver: {sum(n for t, n in tables.items() if t.startswith('silver.')):,}; "
        f"Gold: {encounters:,} encounters"
        + (f" ({encounters / gold:,.0f}/s with all marts and tests)" if gold else ""),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
