"""Who writes what while whom: a landing again waits for whoever holds the whole layer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import duckdb

from lakehouse import lake
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from tests.integration.landing.conftest import Land, Stage

PATIENT = {"p.json": b'{"resourceType":"Patient","id":"p1"}'}


def test_a_landing_again_waits_for_the_layer_lock_and_a_first_landing_does_not(
    stage: Stage, landing: Land, settings: Settings, con: duckdb.DuckDBPyConnection
) -> None:
    landed, first = stage(PATIENT), stage({"q.json": PATIENT["p.json"].replace(b"p1", b"q1")})
    landing(landed)
    done = threading.Event()

    def again() -> None:
        landing(landed)
        done.set()

    thread = threading.Thread(target=again)
    with lake.layer_lock(settings, "bronze"):
        landing(first)  # an append: nobody's lock concerns it
        thread.start()
        assert not done.wait(timeout=5)
    thread.join(timeout=120)
    assert done.is_set()
    assert con.execute("select count(*) from lake.bronze.fhir_resource").fetchone() == (2,)
