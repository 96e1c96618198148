"""Where Great Expectations runs: in this process where it is loaded, else in one beside it.

Importing it takes some three seconds of processor time. A process from which those that check are forked
has loaded it before (:mod:`orchestration.processes.loaded`). Elsewhere it is imported in a process of its
own, on the first check or by :func:`warm_up`, beside the work that comes before the checks.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any

from lakehouse.errors import QualityError
from lakehouse.settings import Settings
from quality import data_docs

_EXPECTATIONS = "quality.expectations"

_lock = threading.Lock()
_pool: ProcessPoolExecutor | None = None


def warm_up() -> None:
    """Start to load it now, where it is not loaded yet."""
    with _lock, suppress(BrokenProcessPool):  # who asks starts another one
        if _EXPECTATIONS not in sys.modules:
            _process().submit(_load)


def ask(function: str, *arguments: Any) -> Any:
    """What this function of :mod:`quality.expectations` returns. Raises :class:`QualityError`."""
    with _lock:
        if _EXPECTATIONS in sys.modules:
            return _call(function, arguments)
        try:
            return _process().submit(_call, function, arguments).result()
        except BrokenProcessPool:  # it died, perhaps long ago: a new one can answer as well
            _end()
        try:
            return _process().submit(_call, function, arguments).result()
        except BrokenProcessPool:
            _end()
            raise QualityError(
                "The process of Great Expectations ended.",
                hint="Run `python -c 'import quality.expectations'` to see why.",
            ) from None


def build_data_docs(settings: Settings) -> Path:
    """Bring the Data Docs site up to date now; returns its first page.

    Without this it happens when the process that checked ends.
    """
    home = settings.home.resolve()
    ask("build_site", home)
    return home / data_docs.SITE / "index.html"


def close() -> None:
    """End the process beside this one, where there is one, when it has completed the site."""
    with _lock:
        _end()


def _process() -> ProcessPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)
    return _pool


def _end() -> None:
    global _pool
    if _pool is not None:
        _pool.shutdown()
        _pool = None


def _begin() -> None:
    """In the process beside: Ctrl-C is for who started it, and it ends with that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end_with_it() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()


def _load() -> None:
    from lakehouse.privacy import quiet_libraries

    quiet_libraries()
    import quality.expectations  # noqa: F401


def _call(function: str, arguments: tuple[Any, ...]) -> Any:
    _load()
    from quality import expectations

    try:
        return getattr(expectations, function)(*arguments)
    except QualityError:
        raise
    except Exception as error:  # noqa: BLE001  (its text may quote a value or the connection)
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise QualityError(
            "Great Expectations could not check: "
            f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}.",
            hint="Run `lakehouse check` again; report it if it stays.",
        ) from None


atexit.register(close)
