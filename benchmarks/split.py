"""How fast FHIR files become Bronze rows, step by step.

    python -m benchmarks.split [FOLDER] [--copies N] [--processes N]

FOLDER holds bundles, NDJSON or bare resources; by default the Synthea archives of the test data
(LAKEHOUSE_TEST_DATA) are unpacked. MB are megabytes of the files as they are. Each line is the
best of three, in a process of its own, so that peak memory is that of the step alone.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LAKEHOUSE_TEST_DATA", ROOT.parent / "shared/data"))
ARCHIVES = ("fhir_synthea_100.tar.xz", "fhir_synthea_notes_79.tar.xz")
REPEAT = 3

STEPS = {
    "decode": "decode bundles, resources left raw",
    "split": "split into rows of Arrow",
    "parquet": "split and write Parquet, one process",
    "processes": "split and write Parquet, all processes",
    "land": "land: split, Parquet, dlt, DuckLake, metadata",
}


def staged(store_folder: Path) -> tuple[Any, list[Any]]:
    from ingestion.sources import StagedFile
    from lakehouse.settings import Settings
    from lakehouse.store import LocalStore

    store = LocalStore(store_folder, Settings(privacy_key="key-of-the-benchmark"))
    files = [
        StagedFile(info.key, info.key, info.size, file_type(info.key))
        for info in store.list("raw/")
    ]
    return store, files


def file_type(key: str) -> str:
    return "fhir_ndjson" if ".ndjson" in key else "fhir_bundle"


def step_decode(folder: Path) -> Callable[[], object]:
    from ingestion.sources.fhir import envelope

    store, files = staged(folder)
    data = [store.read(file.key) for file in files if file.file_type == "fhir_bundle"]
    return lambda: [envelope.DOCUMENT.decode(one) for one in data]


def step_split(folder: Path) -> Callable[[], object]:
    from ingestion.sources.fhir import FhirSource

    store, files = staged(folder)
    return lambda: [None for _ in FhirSource().read(store, files)]


def step_parquet(folder: Path) -> Callable[[], object]:
    return _reading(folder, processes=1)


def step_processes(folder: Path) -> Callable[[], object]:
    return _reading(folder, processes=int(os.environ["BENCHMARK_PROCESSES"]))


def _reading(folder: Path, processes: int) -> Callable[[], object]:
    from ingestion.reading import Share, read_files
    from lakehouse.settings import Settings

    store, files = staged(folder)
    settings = Settings(
        LAKEHOUSE_HOME=folder.parent,
        object_store_url=f"file:{folder}",
        duckdb_threads=processes,
        privacy_key="key-of-the-benchmark",
    )
    work = folder.parent / "work"

    def read() -> object:
        shutil.rmtree(work, ignore_errors=True)
        return read_files(store, settings, Share("benchmark", datetime.now(UTC), work, files))

    return read


def step_land(folder: Path) -> Callable[[], object]:
    from sqlalchemy import insert
    from sqlalchemy.orm import Session

    from ingestion.landing import land
    from installation import databases, embedded
    from lakehouse import lake, metadata
    from lakehouse.metadata import models
    from lakehouse.settings import Settings
    from lakehouse.store import open_store

    settings = Settings(
        LAKEHOUSE_HOME=folder.parent / "home",
        object_store_url=f"file:{folder}",
        duckdb_threads=int(os.environ["BENCHMARK_PROCESSES"]),
        privacy_key="key-of-the-benchmark",
    ).with_home()
    settings = embedded.ensure_running(settings)
    atexit.register(embedded.stop, settings)
    databases.ensure(settings)
    lake.initialise(settings)
    metadata.migrate(settings)
    engine = metadata.engine(settings)
    _, files = staged(folder)
    numbers = iter(range(REPEAT))

    def register() -> str:
        submission = f"20260101T000000000-{next(numbers):06d}"
        now = datetime.now(UTC)
        with Session(engine) as session, session.begin():
            session.execute(
                insert(models.Submission),
                [
                    {
                        "submission_id": submission,
                        "group_key": submission,
                        "submitter": "benchmark",
                        "file_type": "fhir",
                        "drop_id": submission,
                        "state": "STAGED",
                        "content_sha256": submission,
                        "file_count": len(files),
                        "byte_count": sum(file.size for file in files),
                        "received_at": now,
                    }
                ],
            )
            rows = [
                {
                    "submission_id": submission,
                    "path": file.path,
                    "raw_key": file.key,
                    "sha256": "",
                    "size": file.size,
                    "file_type": file.file_type,
                    "outcome": "staged",
                }
                for file in files
            ]
            session.execute(insert(models.SubmissionFile), rows)
        return submission

    waiting = [register() for _ in range(REPEAT)]

    def run() -> object:
        return land(
            waiting.pop(),
            store=open_store(settings),
            engine=engine,
            settings=settings,
            run_id="benchmark",
            actor="benchmark",
        )

    return run


def measure(step: str, folder: Path) -> dict[str, float]:
    """Best of three runs of one step, and the peak memory of this process and its children."""
    work = globals()[f"step_{step}"](folder)
    seconds = []
    for _ in range(REPEAT):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return {"seconds": min(seconds), "peak_mb": int(peak.split()[1]) / 1024}


def unpack(target: Path, source: Path | None, copies: int) -> None:
    target.mkdir(parents=True)
    first = target / "0"
    if source is not None:
        shutil.copytree(source, first)
    else:
        for name in ARCHIVES:
            if not (DATA / name).is_file():
                sys.exit(f"no input: {DATA / name} is not there; give a folder")
            with tarfile.open(DATA / name) as archive:
                archive.extractall(first, filter="data")
    for path in list(first.rglob("*")):
        if path.is_file() and not {".json", ".ndjson"} & set(path.suffixes):
            path.unlink()
    for copy in range(1, copies):
        shutil.copytree(first, target / str(copy))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--copies", type=int, default=1, help="how often the input is repeated")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(measure(arguments.step, arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch) / "store"
        unpack(store / "raw", arguments.folder, arguments.copies)
        size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) / 1e6
        machine = f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}"
        print(f"{size:,.0f} MB, Python {platform.python_version()}, {machine}\n")
        print(f"| {'step':48} | {'s':>6} | {'MB/s':>6} | {'peak MB':>7} |")
        print(f"|{'-' * 50}|{'-' * 8}|{'-' * 8}|{'-' * 9}|")
        for step, title in STEPS.items():
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.split", str(store), "--step", step],
                cwd=ROOT,
                env=os.environ | {"BENCHMARK_PROCESSES": str(arguments.processes)},
                stdout=subprocess.PIPE,
                check=True,
            )
            found = json.loads(done.stdout.splitlines()[-1])
            seconds, peak = found["seconds"], found["peak_mb"]
            print(f"| {title:48} | {seconds:6.2f} | {size / seconds:6.0f} | {peak:7.0f} |")


if __name__ == "__main__":
    main()
