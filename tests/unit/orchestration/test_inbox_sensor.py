"""What the inbox sensor leaves to others."""

import dagster as dg

from orchestration.defs.intake.sensors import ANNOUNCED_SECONDS, has_just_landed


def ended(instance: dg.DagsterInstance, job_name: str) -> float:
    """Run a job of this name that does nothing; when it ended."""

    @dg.op
    def nothing() -> None: ...

    @dg.job(name=job_name)
    def job() -> None:
        nothing()

    run = job.execute_in_process(instance=instance)
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None and record.end_time is not None
    return record.end_time


def test_a_build_after_a_landing_is_left_to_the_automation_for_a_while() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert not has_just_landed(instance, now=0)
        moment = ended(instance, "landing")
        assert has_just_landed(instance, now=moment + 1)
        assert not has_just_landed(instance, now=moment + ANNOUNCED_SECONDS + 1)


def test_other_runs_are_no_landings() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        moment = ended(instance, "intake")
        assert not has_just_landed(instance, now=moment + 1)
