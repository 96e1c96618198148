"""The one resource every asset uses: the opened platform."""

import dagster as dg
from pydantic import PrivateAttr

from lakehouse.platform import Platform, open_platform
from lakehouse.privacy import quiet_libraries


class PlatformResource(dg.ConfigurableResource["PlatformResource"]):
    """Settings, metadata engine and object store; opened once for each run or sensor tick."""

    _opened: Platform | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        quiet_libraries()
        self._opened = open_platform()

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        if self._opened is not None:
            self._opened.engine.dispose()
            self._opened = None

    def open(self) -> Platform:
        """The platform; opened on first use, so that sensors work without a run."""
        if self._opened is None:
            quiet_libraries()
            self._opened = open_platform()
        return self._opened
