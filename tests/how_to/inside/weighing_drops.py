"""Drops of weighings from the inbox to Silver; run in a tree that has the source of the how-to."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from sqlalchemy import Engine, text

from ingestion.intake import intake, withdraw
from ingestion.landing import land
from lakehouse import lake
from lakehouse.metadata import builds, submitters
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore
from transformation import dbt_runner, dictionary

HEADER = "Balance,No,Revision,Weighed at,Net mass (g),Readings,Void\n"


class Laboratory:
    """Drops files as one submitter, and builds Silver of them."""

    def __init__(self, settings: Settings, engine: Engine, store: ObjectStore) -> None:
        self.settings, self.engine, self.store = settings, engine, store
        self.drops = 0
        submitters.register(engine, "lab", locale="de-DE", time_zone="Europe/Berlin", actor="test")

    def drop(self, rows: str | bytes, *, drop: str | None = None) -> Any:
        self.drops += 1
        folder = f"inbox/lab/weighing_csv/{drop or self.drops}"
        content = rows if isinstance(rows, bytes) else (HEADER + rows).encode()
        self.store.put(f"{folder}/export.csv", content)
        self.store.put(f"{folder}/_SUCCESS", b"")
        [taken] = intake(
            self.store, self.engine, self.settings, now=datetime.now(UTC), actor="test"
        ).registered
        return land(
            taken.submission_id,
            store=self.store,
            engine=self.engine,
            settings=self.settings,
            run_id="run",
            actor="test",
        )

    def withdraw(self, submission_id: str) -> None:
        withdraw(self.engine, submission_id, reason="wrong balance", actor="test")

    def build(self, *, full_refresh: bool = False) -> list[tuple[Any, ...]]:
        """Build what is pending, with its tests; gives the table."""
        with lake.layer_lock(self.settings, "silver"):
            build = builds.start_build(
                self.engine, full_refresh=full_refresh, run_id=None, actor="test"
            )
            report = dbt_runner.build(
                self.settings, select="tag:staging tag:silver", full_refresh=full_refresh
            )
            assert not report.failed, report.failed
            builds.finish_build(self.engine, build.build_id, "succeeded", None, actor="test")
        return self.rows("select * from lake.silver.weighing_result order by 1, 2")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with lake.connect(self.settings) as connection:
            return connection.execute(query).fetchall()


def brief(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Balance, number, revision and mass."""
    return [(row[0], row[1], row[2], row[4]) for row in rows]


@pytest.fixture
def laboratory(settings: Settings, engine: Engine, store: ObjectStore) -> Laboratory:
    return Laboratory(settings, engine, store)


def test_from_drop_to_silver_and_back(
    laboratory: Laboratory, con: duckdb.DuckDBPyConnection
) -> None:
    first = laboratory.drop(
        'XS-1,7,1,2026-03-02T08:15:00,"12,500",0:12.498 10:12.500,\n'
        'XS-1,8,1,2026-03-02T08:16:00+00:00,"1.234,005",,\n'
        "XS-1,nine,1,,,,\n"
        "XS-1,10,1\n"
    )
    assert (first.arrived, first.accepted) == (4, 2)
    assert dict(first.quarantined) == {"invalid_value": 1, "wrong_column_count": 1}
    landed = laboratory.rows("from (describe lake.bronze.weighing) select column_name, column_type")
    assert dict(landed)["net_mass_g"] == "DECIMAL(9,3)"
    assert dict(landed)["revision"] == "SMALLINT"
    assert dict(landed)["readings"] == 'STRUCT("second" SMALLINT, mass_g DECIMAL(9,3))[]'

    built = laboratory.build()
    assert brief(built) == [
        ("XS-1", 7, 1, Decimal("12.500")),
        ("XS-1", 8, 1, Decimal("1234.005")),
    ]
    assert built[0][3] == datetime(2026, 3, 2, 7, 15, tzinfo=UTC)  # a clock in Berlin
    assert built[0][5:7] == (2, 10)

    # A greater revision counts wherever it comes; a smaller one that comes late does not.
    laboratory.drop('XS-1,7,3,,"13,0",,\n')
    laboratory.drop('XS-1,7,2,,"99,0",,\nXS-1,8,2,,,,yes\n')
    corrected = laboratory.build()
    assert brief(corrected) == [("XS-1", 7, 3, Decimal("13.000"))]
    assert laboratory.build(full_refresh=True) == corrected

    third = max(laboratory.rows("select distinct submission_id from lake.bronze.weighing"))[0]
    laboratory.withdraw(third)
    assert brief(laboratory.build()) == [
        ("XS-1", 7, 3, Decimal("13.000")),
        ("XS-1", 8, 1, Decimal("1234.005")),
    ]

    # The same drop again with other content takes the place of what it brought.
    laboratory.drop('XS-2,1,1,,"1,0",,\n', drop="1")
    replaced = laboratory.build()
    assert brief(replaced) == [("XS-1", 7, 3, Decimal("13.000")), ("XS-2", 1, 1, Decimal("1.000"))]
    assert laboratory.build(full_refresh=True) == replaced


def test_what_follows_from_the_declaration() -> None:
    from orchestration.defs.landing.assets import SPECS
    from quality.suites import rules

    tables = {(table.schema, table.name): table for table in dictionary.read_tables()}
    assert "greatest revision and latest arrival" in tables["bronze", "weighing"].grain
    [spec] = [spec for spec in SPECS if spec.key.path == ["bronze", "weighing"]]
    assert spec.description.startswith("Weighings of laboratory balances")
    assert {"not_null_submission_id", "not_null_balance_id", "not_null_weighing_number"} == {
        rule.name for rule in rules("bronze") if rule.table == "weighing"
    }


def test_a_file_in_another_encoding_with_lines_before_its_header(laboratory: Laboratory) -> None:
    rows = "".join(f'XS-ß,{number},1,,"1,0",,\r\n' for number in range(1, 9))
    content = f'Balance report of Müller\n{HEADER}"XS\nß",9,1,,"1,0",,\r\n{rows}'
    landed = laboratory.drop(content.encode("windows-1252"))
    assert (landed.arrived, landed.accepted) == (9, 9)
    assert laboratory.rows(
        "select balance_id, count(*) from lake.bronze.weighing group by 1 order by 1"
    ) == [("XS\nß", 1), ("XS-ß", 8)]


def test_a_time_without_an_offset_needs_a_zone(laboratory: Laboratory, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("update submitter set time_zone = null"))
    landed = laboratory.drop("XS-1,7,1,2026-03-02T08:15:00,,,\n")
    assert dict(landed.quarantined) == {"no_time_zone": 1}


@pytest.fixture
def con(settings: Settings) -> Any:
    with lake.connect(settings) as connection:
        yield connection
