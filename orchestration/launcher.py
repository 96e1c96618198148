"""Starts runs in the code location, and notices when a run died with it.

Dagster's own launcher cannot tell whether a run's worker is alive, so a run whose code location
was killed would stay "started" for ever. This one asks the code location; the daemon's run
monitoring then fails the run, and the retry policy starts it again from where it stopped.
"""

from dagster import DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

_TIMEOUT_SECONDS = 10


class CodeLocationRunLauncher(DefaultRunLauncher):
    """The default launcher with a health check of its workers."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """RUNNING while the code location holds the run, NOT_FOUND once it does not.

        A code location that does not answer may be busy or starting: it is asked again later. A run
        that no code location started (a command line's) cannot be judged and is left alone.
        """
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
