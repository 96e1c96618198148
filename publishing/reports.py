"""What publishing tells: what it did, and what readers see against what they should see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lakehouse.metadata import publishes
from publishing.target import Switch


@dataclass(frozen=True)
class PublishReport:
    """What a publish or rollback did.

    ``changed`` is false when readers saw the newest marts already; ``seconds`` are per stage;
    ``busy`` are older publications that a reader still holds, to be dropped next time.
    ``submissions`` became PUBLISHED, ``no_longer`` stopped being it. ``gone`` left the lake and are
    seen by readers still: an earlier publish has them.
    """

    n: int
    schema: str
    build_id: str | None
    snapshot_id: int | None
    row_counts: Mapping[str, int]
    changed: bool
    message: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    switch: Switch = field(default_factory=Switch)
    discarded: Sequence[str] = ()
    busy: Sequence[str] = ()
    submissions: Sequence[str] = ()
    no_longer: Sequence[str] = ()
    gone: Sequence[str] = ()

    @property
    def rows(self) -> int:
        return sum(self.row_counts.values())


@dataclass(frozen=True)
class TableCount:
    """Rows of one mart in the lake and where readers see it; null where it is not there."""

    table: str
    lake: int | None
    published: int | None

    @property
    def agrees(self) -> bool:
        return self.lake == self.published


@dataclass(frozen=True)
class VerifyReport:
    """What readers see against what they should see.

    Counts of the current publication (``source`` says what they were compared with), the build of
    Silver that it holds, and the submissions that it should hold.
    """

    n: int
    build_id: str | None
    snapshot_id: int | None
    source: str
    tables: Sequence[TableCount]
    submissions: publishes.Comparison
    rolled_back: bool

    @property
    def agrees(self) -> bool:
        return all(table.agrees for table in self.tables) and self.submissions.agrees
