"""What there is to do after intake: submissions to land, changes for Silver, a publish to make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from lakehouse.metadata import builds, publishes, submissions


@dataclass(frozen=True)
class Work:
    """``staged`` waits for landing, ``pending`` (id to added or removed) for Silver."""

    staged: list[str]
    pending: Mapping[str, str]
    publish_behind: bool

    def __bool__(self) -> bool:
        return bool(self.staged or self.pending or self.publish_behind)


def pending(engine: Engine) -> Work:
    """Everything that waits; false where nothing does."""
    return Work(submissions.staged(engine), builds.pending(engine), publishes.behind(engine))
