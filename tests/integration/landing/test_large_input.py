"""Large input: memory stays bounded, and many small files are no trouble. Each in its own process."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.landing import _Tally
from ingestion.reading import Share, read_share
from ingestion.sources import StagedFile
from lakehouse.settings import Settings
from lakehouse.store import LocalStore

pytestmark = pytest.mark.slow

_MB = 1024 * 1024


def write_parts(folder: Path, file_type: str, results: object) -> None:
    """Read and write everything in raw/ as landing does; reports counts and peak memory."""
    store = LocalStore(folder / "store", Settings(privacy_key="key-of-the-tests"))
    files = [
        StagedFile(info.key.removeprefix("raw/"), info.key, info.size, file_type)
        for info in store.list("raw/")
    ]
    started = time.monotonic()
    share = Share("20260101T000000000-000000", datetime.now(UTC), folder / "work", files)
    reading = read_share(store, share)
    seconds = time.monotonic() - started
    tally = _Tally(reading.files, reading.rejected)
    tally.check(files)
    peak = peak_memory()
    rows = sum(part.rows for part in reading.parts)
    results.put((tally.accepted, tally.arrived, rows, peak, seconds))  # type: ignore[attr-defined]


def peak_memory() -> int:
    """Peak resident bytes of this program. (getrusage would count the parent before the exec.)"""
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def measured(folder: Path, file_type: str) -> tuple[int, int, int, int, float]:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=write_parts, args=(folder, file_type, results))
    process.start()
    outcome: tuple[int, int, int, int, float] = results.get(timeout=600)
    process.join()
    return outcome


@pytest.fixture
def raw(tmp_path: Path) -> Callable[[str], Path]:
    (tmp_path / "store" / "raw").mkdir(parents=True)
    return lambda name: tmp_path / "store" / "raw" / name


def test_a_gigabyte_of_ndjson_stays_below_half_a_gigabyte_of_memory(
    raw: Callable[[str], Path], tmp_path: Path
) -> None:
    types = ("Patient", "Encounter", "Observation", "Condition")
    lines = [
        json.dumps({"resourceType": types[n % 4], "id": f"r{n}", "text": {"div": f"{n} " * 300}})
        for n in range(20_000)
    ]
    block = ("\n".join(lines) + "\n").encode()
    with raw("x.ndjson").open("wb") as file:
        while file.tell() < 1_000_000_000:
            file.write(block)
            copies = file.tell() // len(block)
    del lines, block
    accepted, arrived, rows, peak, _ = measured(tmp_path, "fhir_ndjson")
    assert accepted == arrived == rows == copies * 20_000
    assert peak < 512 * _MB


@pytest.mark.parametrize("bare", [True, False], ids=["bare", "in a bundle"])
def test_a_resource_of_200_mb_is_taken(
    raw: Callable[[str], Path], tmp_path: Path, bare: bool
) -> None:
    large = {
        "resourceType": "DocumentReference",
        "id": "large",
        "content": [{"attachment": {"data": "QUJD" * 50_000_000}}],
    }
    small = {"resourceType": "Patient", "id": "small"}
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": one} for one in (small, large, small | {"id": "other"})],
    }
    raw("x.json").write_text(json.dumps(large if bare else bundle))
    del large, bundle
    accepted, arrived, rows, peak, _ = measured(tmp_path, "fhir_bundle")
    assert accepted == arrived == rows == (1 if bare else 3)
    assert peak < 1_300 * _MB


def test_a_hundred_thousand_small_files_do_not_take_minutes(
    raw: Callable[[str], Path], tmp_path: Path
) -> None:
    for number in range(100_000):
        text = f'{{"resourceType":"Patient","id":"p{number}"}}' if number % 100 else "{"
        raw(f"{number}.json").write_text(text)
    accepted, arrived, rows, peak, seconds = measured(tmp_path, "fhir_bundle")
    assert (accepted, arrived, rows) == (99_000, 100_000, 99_000)
    assert peak < 512 * _MB
    assert seconds < 60
