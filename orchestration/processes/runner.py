"""Run the pipeline from the command line: the same jobs that sensors start, on the same instance.

Each run is a real Dagster run, recorded with its events, asset materializations and checks, so that
what was done in the terminal is seen in the Dagster UI.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from logging import DEBUG, getLogger

import dagster as dg

import quality
from installation.platform import Platform
from lakehouse import lake
from lakehouse.errors import BuildError, LakehouseError, QualityError
from lakehouse.metadata import submissions, work
from lakehouse.progress import report
from orchestration.definitions import defs
from orchestration.processes import presence
from orchestration.processes.instance import open_instance
from orchestration.vocabulary import SUBMISSIONS
from publishing import reconcile


@dataclass(frozen=True)
class PipelineRun:
    """What one invocation did: ids of Dagster runs, landed submissions, seconds per stage."""

    run_ids: list[str] = field(default_factory=list)
    landed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def run_pending(platform: Platform, *, full_refresh: bool = False) -> PipelineRun:
    """Everything pending, from the inbox through to published marts.

    Raises :class:`QualityError` when a check blocked publishing and :class:`BuildError` when a
    step failed; what was done before is kept.
    """
    done = PipelineRun()
    with lake.kept_open(platform.settings), open_instance(platform.settings) as instance:
        if work.pending(platform.engine).readers_unsure:
            reconcile(platform.settings, platform.engine, actor="lakehouse run")
        _execute(instance, "intake", done)
        if full_refresh or work.pending(platform.engine):
            quality.warm_up()  # Great Expectations gets ready beside landing and dbt
        land_staged(platform, instance, done)
        waiting = work.pending(platform.engine)
        if full_refresh or waiting.build:
            _execute(instance, "build", done, tags=_build_tags(full_refresh))
        elif waiting.publish:
            _execute(instance, "publish", done)
        if done.failed:
            raise BuildError(
                f"{len(done.failed)} submission(s) could not be landed; the others are done.",
                hint="`lakehouse status` names them; `lakehouse run` tries again.",
            )
    return done


def land_staged(
    platform: Platform,
    instance: dg.DagsterInstance,
    done: PipelineRun,
    only: Sequence[str] | None = None,
) -> None:
    """Land every staged submission (or those named), one partition each; one failure stops no other."""
    for submission_id in only or submissions.staged(platform.engine):
        instance.add_dynamic_partitions(str(SUBMISSIONS.name), [submission_id])
        try:
            _execute(instance, "landing", done, partition_key=submission_id)
        except LakehouseError as error:
            report("landing", submission_id, error.message, failed=True)
            done.failed.append(submission_id)
        else:
            done.landed.append(submission_id)


def run_job(platform: Platform, job: str, *, full_refresh: bool = False) -> PipelineRun:
    """One job by itself."""
    done = PipelineRun()
    with lake.kept_open(platform.settings), open_instance(platform.settings) as instance:
        _execute(instance, job, done, tags=_build_tags(full_refresh))
    return done


def _build_tags(full_refresh: bool) -> dict[str, str]:
    return {"lakehouse/full_refresh": "true"} if full_refresh else {}


def _execute(
    instance: dg.DagsterInstance,
    job_name: str,
    done: PipelineRun,
    *,
    partition_key: str | None = None,
    tags: dict[str, str] | None = None,
) -> None:
    started = time.monotonic()
    result = defs.resolve_job_def(job_name).execute_in_process(
        instance=instance,
        partition_key=partition_key,
        run_config={"loggers": {"console": {"config": {"log_level": _console_level()}}}},
        raise_on_error=False,
        tags={**presence.COMMAND_LINE_TAGS, **(tags or {})},
    )
    done.run_ids.append(result.run_id)
    for stage, seconds in _stage_seconds(result).items():
        done.seconds[stage] = done.seconds.get(stage, 0.0) + seconds
    done.seconds["total"] = done.seconds.get("total", 0.0) + time.monotonic() - started
    if not result.success:
        _raise_failure(job_name, result)


def _console_level() -> str:
    """Dagster's own lines are for its UI; the terminal shows lakehouse.progress, at DEBUG both."""
    return "DEBUG" if getLogger(__name__).isEnabledFor(DEBUG) else "CRITICAL"


def _stage_seconds(result: dg.ExecuteInProcessResult) -> dict[str, float]:
    """Wall seconds of each step, from its own events."""
    seconds: dict[str, float] = {}
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.STEP_SUCCESS and event.step_key:
            data = event.step_success_data
            seconds[event.step_key] = round(data.duration_ms / 1000, 3)
    return seconds


def _raise_failure(job_name: str, result: dg.ExecuteInProcessResult) -> None:
    """The error of the first failed step, as this project's own error."""
    for event in result.all_events:
        if event.event_type != dg.DagsterEventType.STEP_FAILURE:
            continue
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        name = error.cls_name if error else "unknown error"
        # The message begins with the error's class, with its module where that is not Python's own.
        message = re.sub(rf"^[\w.]*{name}: ", "", error.message if error else "").strip()
        by_rule = name is not None and any(word in name for word in ("Check", "Quality", "Publish"))
        told, _, hint = message.partition("\n  → ")
        if by_rule:
            raise QualityError(told or str(name), hint=hint or None)
        raise BuildError(
            f"{job_name}: step {event.step_key} failed: {told or name}",
            hint=(f"{hint}\n    " if hint else "")
            + f"The run is {result.run_id}: `make up` shows it in the Dagster UI.",
        )
    blocked = [
        check
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    ]
    if blocked:
        names = ", ".join(
            f"{check.asset_key.to_user_string()}: {check.check_name}" for check in blocked[:5]
        )
        raise QualityError(
            f"{len(blocked)} check(s) failed, so nothing was published: {names}.",
            hint="`lakehouse check` shows the numbers; mend or withdraw the drop, then run again.",
        )
    raise BuildError(f"{job_name} failed.", hint=f"The run is {result.run_id}.")
