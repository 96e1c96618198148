"""The one resource every asset uses: the opened platform."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import PrivateAttr

from installation.platform import Platform, open_platform
from lakehouse import lake
from lakehouse.privacy import log_at
from orchestration.processes import presence


class PlatformResource(dg.ConfigurableResource["PlatformResource"]):
    """Settings, metadata engine and object store; opened once for each run or sensor tick."""

    _opened: Platform | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["PlatformResource"]:
        if context.dagster_run is not None and presence.is_of_command_line(context.dagster_run):
            self._opened = open_platform()  # the command has chosen what its terminal hears
        platform = self.open()
        try:
            with lake.kept_open(platform.settings):
                yield self
        finally:
            platform.engine.dispose()
            self._opened = None

    def open(self) -> Platform:
        """The platform; opened on first use, so that sensors work without a run."""
        if self._opened is None:
            self._opened = open_platform()
            log_at(self._opened.settings.log_level)
        return self._opened
