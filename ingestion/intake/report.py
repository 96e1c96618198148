"""What one pass over the inbox found and did, for whoever asked for it.

Keys of drops are the submitter's words: show them to the person who asked, keep them out of logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Registered:
    """A drop that became a submission. ``file_types`` counts files, ``quarantined`` counts files
    by the reason why they were not taken, ``review`` files whose type a person has to name."""

    submission_id: str
    group_key: str
    state: str
    file_count: int
    byte_count: int
    supersedes: str | None = None
    file_types: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    review: int = 0


@dataclass(frozen=True)
class OpenGroup:
    """A drop that is still arriving. ``waits_for`` says in words what closes it."""

    group_key: str
    file_count: int
    byte_count: int
    waits_for: str
    closes_at: datetime | None


@dataclass(frozen=True)
class Duplicate:
    """A drop whose content is there already, as ``submission_id``."""

    group_key: str
    submission_id: str


@dataclass(frozen=True)
class Refused:
    """A drop, or objects in it, that cannot be taken, and what to do."""

    group_key: str
    reason: str


@dataclass
class IntakeReport:
    """``unchanged`` counts drops that are registered and as they were."""

    registered: list[Registered] = field(default_factory=list)
    open_groups: list[OpenGroup] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    unchanged: int = 0

    @property
    def superseding(self) -> list[Registered]:
        """New submissions that replace an earlier one of the same drop."""
        return [new for new in self.registered if new.supersedes]

    @property
    def needs_review(self) -> list[Registered]:
        return [new for new in self.registered if new.state == "NEEDS_REVIEW"]

    @property
    def quarantined(self) -> list[Registered]:
        """Submissions of which no file can be taken."""
        return [new for new in self.registered if new.state == "QUARANTINED"]
