"""The work alone: the pipeline's functions without Dagster, dbt's tests and start-up.

    python -m benchmarks.engine [FOLDER | ARCHIVE.tar.xz …] [--copies N]

One process does what `lakehouse run` does between its events: intake, landing with dlt, Silver, Gold
and marts with dbt, the rules, publish; then the same for one more bundle, with everything loaded. Beside
`benchmarks.main_job`, which measures the commands as people run them, it shows what the engine costs.
Quote ratios within one run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import quality
from benchmarks.main_job import MB, default_inputs, hold_one_back, machine, multiply, unpack
from ingestion.intake import intake
from ingestion.intake.drop import put_as
from ingestion.landing import land
from installation import embedded
from installation.platform import Platform, open_platform
from lakehouse import lake
from lakehouse.metadata import builds, submissions
from lakehouse.settings import Settings
from publishing import publish
from transformation import dbt_runner

_ACTOR = "benchmark"


@dataclass
class Stages:
    """Wall seconds of each stage, in order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="*", type=Path)
    parser.add_argument("--copies", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
        home = Path(folder) / "home"
        platform = open_platform(
            Settings(LAKEHOUSE_HOME=home, quiescence_minutes=0).with_home(), create=True
        )
        try:
            bundles = Path(folder) / "bundles"
            for path in arguments.inputs or default_inputs():
                unpack(path, bundles)
            single = hold_one_back(bundles, Path(folder) / "single")
            if arguments.copies > 1:
                multiply(bundles, arguments.copies)
            dbt_runner.prepare(platform.settings)
            with lake.kept_open(platform.settings):
                everything = run(platform, bundles, "all")
                one_more = run(platform, single, "one-more")
                counts = row_counts(platform)
        finally:
            embedded.stop(platform.settings)
        size = sum(file.stat().st_size for file in bundles.rglob("*") if file.is_file()) / MB
    sys.stdout.write(as_table(size, everything, one_more, counts))


def run(platform: Platform, folder: Path, drop: str) -> dict[str, float]:
    """Seconds of each stage for one drop."""
    store, engine, settings = platform.store, platform.engine, platform.settings
    put_as(store, engine, settings, folder, f"bench/fhir/{drop}", actor=_ACTOR)
    stages = Stages()
    with stages.timed("intake"):
        intake(store, engine, settings, now=datetime.now(UTC), actor=_ACTOR)
    with stages.timed("landing"):
        for submission_id in submissions.staged(engine):
            land(
                submission_id,
                store=store,
                engine=engine,
                settings=settings,
                run_id=drop,
                actor=_ACTOR,
            )
    with stages.timed("Silver"), lake.layer_lock(settings, "silver"):
        build = builds.start_build(engine, full_refresh=False, run_id=drop, actor=_ACTOR)
        build_models(settings, "tag:staging tag:silver")
        builds.finish_build(engine, build.build_id, "succeeded", None, actor=_ACTOR)
    with stages.timed("Gold"), lake.layer_lock(settings, "gold"):
        build_models(settings, "tag:gold")
    with stages.timed("marts"), lake.layer_lock(settings, "marts"):
        build_models(settings, "tag:marts")
    with stages.timed("rules"):
        for layer in lake.LAYERS:
            quality.run(
                layer, settings=settings, engine=engine, build_id=build.build_id, run_id=drop
            )
    with stages.timed("publish"):
        publish(settings, engine, build_id=build.build_id, run_id=drop, actor=_ACTOR)
    return stages.seconds


def build_models(settings: Settings, select: str) -> None:
    done = dbt_runner.build(settings, select=select, with_tests=False)
    if done.failed:
        raise SystemExit(f"dbt: {done.failed[0].name} {done.failed[0].status}")


def row_counts(platform: Platform) -> tuple[int, int]:
    """Rows in all of Silver, and encounters in Gold."""
    with lake.connect(platform.settings) as connection, lake.one_snapshot(connection):
        silver = connection.execute(
            "select sum(estimated_size) from duckdb_tables() "
            "where database_name = 'lake' and schema_name = 'silver'"
        ).fetchone()
        gold = connection.execute("select count(*) from gold.encounter_summary").fetchone()
    return int((silver or [0])[0]), int((gold or [0])[0])


def as_table(
    size: float,
    everything: dict[str, float],
    one_more: dict[str, float],
    counts: tuple[int, int],
) -> str:
    silver_rows, encounters = counts
    to_silver = everything["landing"] + everything["Silver"]
    lines = [
        machine(),
        f"{size:,.1f} MB of bundles",
        "",
        "| stage | seconds | rate | one more bundle, seconds |",
        "|---|---:|---:|---:|",
        *(
            f"| {stage} | {seconds:.2f} | {size / seconds:,.0f} MB/s | {one_more[stage]:.2f} |"
            for stage, seconds in everything.items()
        ),
        f"| all | {sum(everything.values()):.2f} | {size / sum(everything.values()):,.0f} MB/s "
        f"| {sum(one_more.values()):.2f} |",
        "",
        f"landing and Silver: {size / to_silver:,.0f} MB/s, {silver_rows / to_silver:,.0f} rows/s; "
        f"Gold: {encounters / everything['Gold']:,.0f} encounters/s ({encounters:,})",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
