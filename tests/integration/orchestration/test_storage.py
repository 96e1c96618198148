"""Dagster's storage keeps its connections, and what it stores is all there."""

from collections.abc import Iterator

import dagster as dg
import psycopg

from lakehouse.settings import Settings

CHECKS = [dg.AssetCheckSpec(f"rule_{number}", asset="table") for number in range(200)]


@dg.asset(name="table", check_specs=CHECKS)
def checked_table() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """A table with two hundred rules, every fourth of which is broken."""
    yield dg.MaterializeResult()
    for number, check in enumerate(CHECKS):
        yield dg.AssetCheckResult(
            check_name=check.name,
            passed=number % 4 != 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"failing_rows": number},
        )


def sessions(settings: Settings) -> int:
    """Connections that Dagster's database has had since it was made."""
    with psycopg.connect(settings.libpq_url("lakehouse"), autocommit=True) as connection:
        connection.execute("select pg_stat_force_next_flush()")
        row = connection.execute(
            "select sessions from pg_stat_database where datname = %s",
            [f"{settings.database_prefix}dagster"],
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_run_with_hundreds_of_checks_needs_a_few_connections(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    before = sessions(settings)
    result = dg.materialize([checked_table], instance=instance)
    assert result.success
    assert sessions(settings) - before < 20


def test_every_planned_check_has_its_result(instance: dg.DagsterInstance) -> None:
    run_id = dg.materialize([checked_table], instance=instance).run_id
    log = instance.event_log_storage
    for event_type in ("ASSET_CHECK_EVALUATION_PLANNED", "ASSET_CHECK_EVALUATION"):
        found = log.get_logs_for_run(run_id, of_type=dg.DagsterEventType(event_type), limit=1000)
        assert len(found) == len(CHECKS)
    for number, check in enumerate(CHECKS):
        [record] = log.get_asset_check_execution_history(check.key, limit=5)
        assert record.run_id == run_id
        assert record.status.value == ("FAILED" if number % 4 == 0 else "SUCCEEDED")
        assert record.event is not None
