"""``python -m orchestration.processes.web_page``: Dagster's web page, for its own pages and for programs only.

The page that ``dagster-webserver`` serves takes a query from whoever sends it, by any method and under
any name. Here :class:`lakehouse.same_origin.SameOrigin` stands before it. Settings are those of
Dagster's instance (``DAGSTER_HOME``) and ``ALLOWED_HOSTS``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__
from starlette.applications import Starlette
from starlette.datastructures import Headers

from lakehouse import outages
from lakehouse.same_origin import SameOrigin
from lakehouse.settings import load_settings

#: As `dagster-webserver` sets them for a server that stays.
_STATEMENT_TIMEOUT_MS: Final = 15_000
_POOL_RECYCLE_SECONDS: Final = 3_600
_POOL_MAX_OVERFLOW: Final = 20


def acts_on_get(path: str, headers: Headers) -> bool:
    """Dagster answers a GET of /graphql with a page for browsers, and else runs its query."""
    return path.rstrip("/").endswith("/graphql") and "text/html" not in headers.get("accept", "")


@contextlib.asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    with contextlib.suppress(asyncio.CancelledError):  # how uvicorn ends open subscriptions
        yield


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--workspace", required=True, help="workspace.yaml")
    given = parser.parse_args(arguments)
    settings = load_settings()
    outages.say_once_a_minute()
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(
            _STATEMENT_TIMEOUT_MS, _POOL_RECYCLE_SECONDS, _POOL_MAX_OVERFLOW
        )
        with WorkspaceProcessContext(
            instance, WorkspaceFileTarget(paths=[given.workspace]), version=__version__
        ) as workspace:
            page = create_app_from_workspace_process_context(workspace, lifespan=_lifespan)
            uvicorn.run(
                SameOrigin(page, settings.host_names, acts_on_get),
                host=given.host,
                port=given.port,
                log_level="warning",
            )


if __name__ == "__main__":
    main()
