"""The code location's server: `dagster api grpc`, whose runs start with everything loaded.

    python -m orchestration.processes.code_server --host 127.0.0.1 --port 4000

Dagster starts each run as a new Python process, which imports Dagster, dbt and dlt for some five seconds
of processor time before it does anything: longer than most runs here work. This server starts runs as
forks of a process that has imported all of it and holds neither threads nor connections (the `forkserver`
method of :mod:`multiprocessing`). A run is still a process of its own, with the same life and death.

It also watches the inbox: of Dagster's processes it alone reaches the object store.
"""

import multiprocessing
import sys
from multiprocessing import forkserver
from typing import Any

from dagster._cli.api import grpc_command
from dagster._grpc import server

from lakehouse import outages
from lakehouse.settings import load_settings
from orchestration.processes import inbox_watch


class CodeServer(server.DagsterApiServer):
    """Dagster's server of a code location, with another way to start the processes of runs."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        runs = multiprocessing.get_context("forkserver")
        runs.set_forkserver_preload(["orchestration.processes.loaded"])
        self._mp_ctx = runs  # type: ignore[assignment]
        forkserver.ensure_running()  # so that the first run finds it ready
        inbox_watch.start(load_settings())


def main(arguments: list[str]) -> None:
    outages.say_once_a_minute()
    server.DagsterApiServer = CodeServer  # type: ignore[misc]
    level = load_settings().log_level.lower()
    grpc_command(["--module-name", "orchestration.definitions", "--log-level", level, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
