"""What a place must be able to do to have marts published to it.

Postgres is the one target there is; an Iceberg catalog for Spark and Trino readers would be another
implementation of the same protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import duckdb


@dataclass(frozen=True)
class Publication:
    """One publish: its number, and the build and lake snapshot in which Gold was what it shows."""

    n: int
    build_id: str | None
    snapshot_id: int
    published_at: datetime

    @property
    def place(self) -> str:
        """Where its tables are; unique, never used again."""
        return f"marts_{self.n}"


@dataclass(frozen=True)
class Switch:
    """What re-pointing the readers did.

    ``rebuilt`` were dropped and made again inside the transaction because a column changed type or
    went away; ``recreated`` are other people's views on them; ``dropped`` could not be recreated
    and were given up on request (name → definition).
    """

    rebuilt: Sequence[str] = ()
    recreated: Sequence[str] = ()
    dropped: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 1


class Target(Protocol):
    """A place that holds several publications and shows one of them to readers."""

    def exclusive(self, wait_seconds: float) -> AbstractContextManager[None]:
        """Be the only publisher meanwhile; ``PublishError`` when another one stays that long."""
        ...

    def prepare(self) -> None:
        """Make what readers start from (idempotent)."""
        ...

    def current(self) -> Publication | None:
        """The publication that readers see now: the target's own truth, not a record elsewhere."""
        ...

    def present(self) -> list[int]:
        """Numbers of the publications that are here, complete or not, in order."""
        ...

    def load(
        self,
        lake: duckdb.DuckDBPyConnection,
        publication: Publication,
        tables: Sequence[str],
        snapshot: int,
    ) -> dict[str, int]:
        """Copy ``tables`` of the lake's marts as of ``snapshot``; rows counted at the target."""
        ...

    def relabel(self, publication: Publication) -> None:
        """Say that a publication holds this build and snapshot: the marts are the same in both."""
        ...

    def complete(self, publication: Publication, counts: Mapping[str, int]) -> None:
        """Make what was loaded ready to be read fast, and mark it as whole."""
        ...

    def switch(self, n: int, *, drop_broken_views: bool, wait_seconds: float) -> Switch:
        """Show publication ``n`` to readers, all tables at once; all or nothing."""
        ...

    def discard(self, n: int) -> bool:
        """Remove a publication that readers do not see; false while one still reads it."""
        ...

    def count(self, n: int) -> dict[str, int]:
        """Rows of each table of publication ``n``."""
        ...

    def close(self) -> None: ...
