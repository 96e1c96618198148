"""Starts runs in the code location, and notices when a run died with it.

Dagster's own launcher cannot tell whether a run's worker is alive, so a run whose code location
was killed would stay "started" for ever. This one asks the code location; the daemon's run
monitoring then fails the run, and the retry policy starts it again from where it stopped.
"""

import os

from dagster import DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

from orchestration.processes import presence

_TIMEOUT_SECONDS = 10


class CodeLocationRunLauncher(DefaultRunLauncher):
    """The default launcher with a health check of its workers."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """RUNNING while the code location holds the run, NOT_FOUND once it does not.

        A code location that does not answer may be busy or starting: it is asked again later. A
        command line's run is there as long as its process is (:mod:`orchestration.processes.presence`).
        """
        if presence.is_of_command_line(run):
            if presence.is_present(os.environ["DAGSTER_POSTGRES_URL"], run):
                return CheckRunHealthResult(WorkerStatus.RUNNING)
            return CheckRunHealthResult(
                WorkerStatus.NOT_FOUND, "the command line that executed the run ended"
            )
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "not started by a code location")
        request = CanCancelExecutionRequest(run_id=run.run_id)
        try:
            reply = client.can_cancel_execution(request, timeout=_TIMEOUT_SECONDS)
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the code location does not answer")
        if deserialize_value(reply, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, "the code location restarted while the run was going on"
        )
