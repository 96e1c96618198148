"""The persistent Dagster instance of the no-Docker mode.

Its home is ``<home>/dagster``; runs, events and schedules are kept in the Postgres database
``dagster``. In the compose stack DAGSTER_HOME is set and its own dagster.yaml is used instead.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from lakehouse import whole_file
from lakehouse.settings import Settings
from orchestration.processes import presence
from orchestration.vocabulary import LAKE_WRITER_POOL, LANDING_POOL, PUBLISH_POOL

#: Says the same as the compose stack's docker/dagster/dagster.yaml, but for where things are kept:
#: a test holds the two together.
DAGSTER_YAML = """\
# Written by `lakehouse`; the compose stack has its own in docker/dagster/.
telemetry:
  enabled: false
nux:
  enabled: false

storage:
  custom:
    module: orchestration.processes.storage
    class: PooledPostgresStorage
    config:
      postgres_url:
        env: DAGSTER_POSTGRES_URL

compute_logs:
  module: dagster._core.storage.local_compute_log_manager
  class: LocalComputeLogManager
  config:
    base_dir:
      env: DAGSTER_COMPUTE_LOGS

# Containers' and services' logs say what steps say and what failed; every event is in the UI.
python_logs:
  python_log_level: INFO

local_artifact_storage:
  module: dagster._core.storage.root
  class: LocalArtifactStorage
  config:
    base_dir:
      env: DAGSTER_ARTIFACTS

# Runs are processes of the code location; the launcher notices when one died with it.
run_launcher:
  module: orchestration.processes.launcher
  class: CodeLocationRunLauncher

run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1

run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  max_resume_run_attempts: 0
  poll_interval_seconds: 20
  # What a killed run held of a pool is free again soon after; else its retry would wait for ever.
  free_slots_after_run_end_seconds: 5

# A run that died with its process starts again from where it stopped; a failed check does not.
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false

concurrency:
  pools:
    granularity: op
    default_limit: 1
  runs:
    max_concurrent_runs: 4

retention:
  sensor:
    purge_after_days: {skipped: 1, failure: 30, success: 30}
  schedule:
    purge_after_days: 30
"""


def environment(settings: Settings) -> dict[str, str]:
    """Environment variables with which any Dagster process finds this instance."""
    if (
        os.environ.get("DAGSTER_HOME")
        and settings.postgres_url
        and "DAGSTER_POSTGRES_URL" in os.environ
    ):
        return {"DAGSTER_HOME": os.environ["DAGSTER_HOME"]}
    home = settings.home.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    configuration = home / "dagster.yaml"
    wanted = DAGSTER_YAML.replace(
        "python_log_level: INFO", f"python_log_level: {settings.log_level}"
    )
    if not configuration.exists() or configuration.read_text(encoding="utf-8") != wanted:
        whole_file.write(configuration, wanted)
    return {
        "DAGSTER_HOME": str(home),
        "DAGSTER_POSTGRES_URL": settings.libpq_url("dagster"),
        "DAGSTER_COMPUTE_LOGS": str(home / "compute_logs"),
        "DAGSTER_ARTIFACTS": str(home / "artifacts"),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        # Store a run's planned events together instead of one by one.
        "DAGSTER_EVENT_BATCH_SIZE": "500",
    }


#: The instance that is open in this process, by its process and its database.
_opened: dict[tuple[int, str], dg.DagsterInstance] = {}


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance, with the pools' limits set and this process known to be there.

    Runs of command lines that were killed are marked failed first: they hold places in pools. May be
    nested: the outermost block closes.
    """
    os.environ.update(environment(settings))
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    if settings.log_level != "DEBUG":
        logging.getLogger("dagster").setLevel(logging.ERROR)
    url = os.environ["DAGSTER_POSTGRES_URL"]
    identity = (os.getpid(), url)
    if identity in _opened:
        presence.fail_abandoned(_opened[identity], url)
        yield _opened[identity]
        return
    with dg.DagsterInstance.get() as instance, presence.present(url):
        presence.fail_abandoned(instance, url)
        set_pool_limits(instance, settings)
        _opened[identity] = instance
        try:
            yield instance
        finally:
            del _opened[identity]


def set_pool_limits(instance: dg.DagsterInstance, settings: Settings) -> None:
    """One writer per lake layer and one publisher at a time; as many landings as is set."""
    limits = {
        LAKE_WRITER_POOL: 1,
        PUBLISH_POOL: 1,
        LANDING_POOL: settings.landing_processes,
    }
    known = instance.event_log_storage.get_pool_limits()
    current = {limit.name: limit.limit for limit in known}
    for pool, limit in limits.items():
        if current.get(pool) != limit:
            instance.event_log_storage.set_concurrency_slots(pool, limit)
