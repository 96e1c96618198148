"""What there is to do after intake: submissions to land, a build to make or finish, a publish to make.

It is asked of what the layers hold, never of events: whatever was killed, lost or done by hand, the next
look finds it. The command line, the sensor and ``anything_pending`` all ask here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from lakehouse.metadata import builds, publishes, submissions


@dataclass(frozen=True)
class Work:
    """``staged`` waits for landing, ``pending`` (id to added or removed) for Silver.

    ``build_unfinished``: the newest build is not in Gold and marts, checked. ``publish_behind``: Gold
    holds something that was never published, and ``publish_blocked`` that checks keep it from that.
    ``readers_unsure``: which publish readers see, and so the states, has to be looked up.
    """

    staged: list[str]
    pending: Mapping[str, str]
    build_unfinished: bool
    publish_behind: bool
    publish_blocked: bool
    readers_unsure: bool

    @property
    def build(self) -> bool:
        """Whether Silver, Gold and marts have to be built and checked (and published then)."""
        return bool(
            self.pending or self.build_unfinished or (self.publish_behind and self.publish_blocked)
        )

    @property
    def publish(self) -> bool:
        """Whether there is something to publish, with or without a build before."""
        return self.build or self.publish_behind

    def __bool__(self) -> bool:
        return bool(self.staged or self.publish or self.readers_unsure)


def pending(engine: Engine) -> Work:
    """Everything that waits; false where nothing does."""
    made = builds.gold(engine)
    behind = publishes.behind(engine)
    return Work(
        staged=submissions.staged(engine),
        pending=builds.pending(engine),
        build_unfinished=builds.unfinished(engine),
        publish_behind=behind,
        publish_blocked=(
            behind
            and made is not None
            and bool(publishes.failed_checks(publishes.checks_of(engine, made.build_id)))
        ),
        readers_unsure=publishes.is_unsure(engine),
    )
