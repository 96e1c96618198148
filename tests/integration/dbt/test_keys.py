"""dbt's test of Silver's keys: what it finds."""

from __future__ import annotations

import pytest

from tests.integration.dbt.bronze import Arrival, Silver
from transformation import dbt_runner


def found(silver: Silver) -> int | None:
    """Rows that the test finds in Silver as it is."""
    done = dbt_runner.build(silver.settings, select="silver_keys_are_unique")
    (test,) = (node for node in done.nodes if node.resource_type == "test")
    assert test.status == ("fail" if test.failures else "pass")
    return test.failures


@pytest.fixture
def built(silver: Silver) -> Silver:
    note = {"presentedForm": [{"contentType": "text/plain", "data": "UGxhbg=="}]}
    report = {"resourceType": "DiagnosticReport", "id": "r1", **note}
    silver.land(
        [
            Arrival({"resourceType": "Patient", "id": "p1", "gender": "female"}),
            Arrival({**report, "subject": {"reference": "Patient/p1"}}),
        ]
    )
    silver.build()
    return silver


def test_whole_keys_are_found_good_and_repeated_or_partly_missing_ones_are_not(
    built: Silver,
) -> None:
    assert found(built) == 0
    copies = ("patient", "*"), ("resource_link", "* replace (null as target_id)")
    for number, (table, columns) in enumerate(copies, start=1):
        built.connection.execute(
            f"insert into lake.silver.{table} by name select {columns} from lake.silver.{table} limit 1"
        )
        assert found(built) == number
