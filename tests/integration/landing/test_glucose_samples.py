"""The sample drop of glucose monitors lands: local times stay local, and nobody is named."""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from sqlalchemy import Engine, text

if TYPE_CHECKING:
    from tests.integration.landing.conftest import Land, Stage

DROP = Path(__file__).parents[3] / "samples/drops/diabetes-clinic/cgm_export/2026-01-sensors"
NAMES = ("Marlene", "Quittenbaum", "1979-11-30", "Heribert", "Muckenfuß", "Porridge")


def test_the_sample_drop_lands_without_a_name_in_any_log_or_message(
    stage: Stage,
    landing: Land,
    con: duckdb.DuckDBPyConnection,
    engine: Engine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    files = {
        path.relative_to(DROP).as_posix(): path.read_bytes()
        for path in sorted(DROP.rglob("*"))
        if path.is_file()
    }
    report = landing(stage(files))

    assert (report.arrived, report.accepted) == (1619, 1617)
    assert dict(report.quarantined) == {"invalid_value": 2}
    first = con.execute(
        "select local_time, glucose_mg_dl, utc_offset_minutes from lake.bronze.monitor_reading"
        " where subject_id = 'GLU-3' order by local_time limit 1"
    ).fetchone()
    assert first is not None
    assert first[0] == datetime(2026, 1, 12)
    assert (first[1], first[2]) == (Decimal("101.00000"), -360)
    with engine.connect() as connection:
        said = repr(connection.execute(text("select * from quarantine")).all())
    bronze = repr(con.execute("from lake.bronze.monitor_reading").fetchall())
    bronze += repr(con.execute("from lake.bronze.monitor_event").fetchall())
    for name in NAMES:
        assert name not in said
        assert name not in caplog.text
        assert name not in bronze
