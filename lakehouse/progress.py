"""Progress of long work, told to whoever listens.

Work calls :func:`report`; the command line listens and draws it. Where nobody listens, nothing
happens. Messages carry counts and names of tables and drops, never identifiers or names of
the files in a drop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One thing that happened: in ``stage``, to ``subject``, with a short ``detail``.

    Many small ones make up another that is still under way: worth a word only while it lasts.
    """

    stage: str
    subject: str
    detail: str = ""
    failed: bool = False
    small: bool = False


Listener = Callable[[Step], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def report(
    stage: str, subject: str, detail: str = "", *, failed: bool = False, small: bool = False
) -> None:
    """Tell the listener of this context, if there is one, what has just been done."""
    listener = _listener.get()
    if listener is not None:
        listener(Step(stage, subject, detail, failed, small))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have ``listener`` called for every step reported inside."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
