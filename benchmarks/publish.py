"""Publishing marts to Postgres, measured: rows/s by width, seconds by stage, peak memory.

    python -m benchmarks.publish [--rows N] [--repeat N]

Three marts of the shapes that the platform has: counts by group (6 columns), a monthly statistic
(10 columns), and one row per encounter (39 columns). Each is published alone by the real publisher,
into an embedded Postgres of its own; the best of the repeats is shown. "load" is the copy (binary
COPY through DuckDB's postgres extension, and counting), "all" is everything up to the switch of the
views: counts verified against the lake, indexes, analyze.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine

from installation import databases, embedded
from lakehouse import lake, metadata
from lakehouse.metadata import builds
from lakehouse.settings import Settings
from publishing import PublishReport, publish
from quality.results import CheckResult, store
from quality.suites import rules

_WORDS = "['female', 'male', 'unknown'][1 + i % 3]"
_GROUPS = "['0-17', '18-29', '30-39', '90+'][1 + i % 4]"

SHAPES = {
    "counts by group": f"""
        (i % 4000)::varchar as code, 'Essential hypertension' as condition, {_WORDS} as sex,
        {_GROUPS} as age_group, i % 977 as patient_count, (i % 977) / 977.0::double as prevalence
    """,
    "monthly statistic": f"""
        date '2015-01-01' + (i % 3650)::int as month, {_WORDS} as vital_sign, 'mm[Hg]' as unit,
        i % 977 as measurement_count, i % 97 as patient_count, i / 7.0::double as mean_value,
        i / 8.0::double as median_value, i / 9.0::double as p05_value, i / 5.0::double as p95_value,
        false as suppressed
    """,
    "one row per encounter": f"""
        md5(i::varchar) as encounter_key, md5((i % 50000)::varchar) as patient_key,
        date '2015-01-01' + (i % 3650)::int as encounter_date, date '2015-01-01' as encounter_month,
        2015 + (i % 10)::int as encounter_year, (i % 90)::int as age_at_encounter,
        {_GROUPS} as age_group, {_WORDS} as sex, 'White' as race, 'Not Hispanic' as ethnicity,
        'Massachusetts' as state, 'AMB' as encounter_class, '185345009' as encounter_type_code,
        'Encounter for symptom' as encounter_type, 'finished' as encounter_status,
        null::varchar as reason, 0.25 + (i % 9)::double as length_hours,
        {
        ", ".join(
            f"(i % {n + 3})::int as {name}_count"
            for n, name in enumerate(
                (
                    "condition",
                    "medication",
                    "vital",
                    "lab",
                    "procedure",
                    "imaging",
                    "genomic",
                    "ecg",
                )
            )
        )
    },
        i % 2 = 0 as has_note, (i % 300)::int as note_word_count, 4 as note_section_count,
        {
        ", ".join(
            f"(i % {n + 50}) * 1.1::double as {name}"
            for n, name in enumerate(
                (
                    "systolic_bp",
                    "diastolic_bp",
                    "heart_rate",
                    "respiratory_rate",
                    "body_temperature",
                    "oxygen_saturation",
                    "body_height",
                    "body_weight",
                    "body_mass_index",
                    "pain_score",
                    "glucose",
                )
            )
        )
    }
    """,
}


@dataclass(frozen=True)
class Measured:
    shape: str
    columns: int
    rows: int
    report: PublishReport
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
        settings = Settings(
            LAKEHOUSE_HOME=Path(folder), privacy_key=SecretStr("key-of-the-benchmark")
        ).with_home()
        running = embedded.ensure_running(settings)
        try:
            databases.ensure(running)
            metadata.migrate(running)
            lake.initialise(running)
            engine = metadata.engine(running)
            for shape, columns in SHAPES.items():
                show(measure(running, engine, shape, columns, arguments.rows, arguments.repeat))
            engine.dispose()
        finally:
            embedded.stop(settings)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of the publisher {peak:,.0f} MiB")
    print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")


def measure(
    settings: Settings, engine: Engine, shape: str, columns: str, rows: int, repeat: int
) -> Measured:
    """Publish one mart ``repeat`` times and keep the fastest."""
    runs = []
    with lake.connect(settings) as con:
        for table in ("counts", "statistic", "encounters"):
            con.execute(f"drop table if exists lake.marts.{table}")
        for number in range(repeat):
            con.execute(
                "create or replace table lake.marts.counts as "
                f"select {columns}, {number}::int as repeat from range({rows}) t(i)"
            )
            width = len(con.execute("from lake.marts.counts limit 0").description or ())
            build_id = checked_build(engine, lake.snapshot_id(con))
            started = time.perf_counter()
            report = publish(
                settings, engine, build_id=build_id, run_id=None, actor="benchmark", con=con
            )
            runs.append(Measured(shape, width, rows, report, time.perf_counter() - started))
    return min(runs, key=lambda run: run.seconds)


def checked_build(engine: Engine, snapshot: int) -> str:
    """A build whose Gold is in this snapshot and passed a check, which is what may be published."""
    build = builds.start_build(engine, full_refresh=True, run_id=None, actor="benchmark")
    builds.finish_build(engine, build.build_id, "succeeded", 1)
    builds.record_gold(engine, build.build_id, snapshot, actor="benchmark")
    rule = rules("gold")[0]
    store(
        engine,
        [
            CheckResult(
                build_id=build.build_id,
                run_id=None,
                layer=rule.layer,
                table=rule.table,
                rule=rule.name,
                column=None,
                severity=rule.severity,
                passed=True,
                observed={},
                expected="",
                message="",
                checked_at=build.started_at,
            )
        ],
    )
    return build.build_id


def show(measured: Measured) -> None:
    load = measured.report.seconds["load"]
    stages = ", ".join(f"{name} {value:.2f} s" for name, value in measured.report.seconds.items())
    print(
        f"{measured.shape:22} {measured.columns:3} columns  {measured.rows:,} rows  "
        f"load {measured.rows / load:,.0f} rows/s  all {measured.rows / measured.seconds:,.0f} rows/s"
        f"   ({stages})"
    )


if __name__ == "__main__":
    main()
