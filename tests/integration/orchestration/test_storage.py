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


def test_the_log_has_every_event_in_its_order(instance: dg.DagsterInstance) -> None:
    run_id = dg.materialize([checked_table], instance=instance).run_id
    log = instance.all_logs(run_id)
    kinds = [entry.dagster_event_type for entry in log if entry.is_dagster_event]
    results = [
        kind
        for kind in kinds
        if kind in (dg.DagsterEventType.STEP_OUTPUT, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    ]
    assert results.count(dg.DagsterEventType.ASSET_CHECK_EVALUATION) == len(CHECKS)
    assert results.count(dg.DagsterEventType.STEP_OUTPUT) == len(CHECKS) + 1
    assert kinds.index(dg.DagsterEventType.STEP_SUCCESS) > max(
        place for place, kind in enumerate(kinds) if kind in results
    )
    stamps = [entry.timestamp for entry in log if entry.dagster_event_type in results]
    assert stamps == sorted(stamps)


def test_results_are_there_when_a_step_fails_after_them(instance: dg.DagsterInstance) -> None:
    @dg.asset(name="broken", check_specs=[dg.AssetCheckSpec("told", asset="broken")])
    def broken() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        yield dg.MaterializeResult()
        yield dg.AssetCheckResult(check_name="told", passed=True)
        raise dg.Failure

    result = dg.materialize([broken], instance=instance, raise_on_error=False)
    assert not result.success
    [record] = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("broken"), "told"), limit=5
    )
    assert record.status.value == "SUCCEEDED"
