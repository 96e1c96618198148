"""What lies in the inbox: one streamed listing, grouped into drops, and which of them are closed.

Nothing is read, written or remembered here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from lakehouse.settings import Settings
from lakehouse.store import ObjectInfo, ObjectStore

INBOX: Final = "inbox/"
#: A file of this name says that the drop is complete.
MARKER: Final = "_SUCCESS"

#: Names that operating systems and consoles leave behind; never data.
NOT_DATA: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".keep", ".gitkeep"})
#: Submitter and file type of a drop that lies too high in the inbox to name them.
UNNAMED: Final = "unsorted"


@dataclass(frozen=True, slots=True)
class InboxFile:
    """One file of a drop; ``path`` is relative to the drop."""

    path: str
    key: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class InboxGroup:
    """One drop: the files that share the first segments below ``inbox/``, sorted by path.

    ``unusable`` counts objects whose keys cannot be files (empty or relative segments).
    """

    key: str
    files: tuple[InboxFile, ...]
    marked: bool
    newest: datetime | None
    unusable: int = 0

    @property
    def submitter(self) -> str:
        return self._segment(0)

    @property
    def file_type(self) -> str:
        """What the submitter says the files are; content decides for each file."""
        return self._segment(1)

    @property
    def drop_id(self) -> str:
        return "/".join(self.key.split("/")[2:])

    @property
    def byte_count(self) -> int:
        return sum(file.size for file in self.files)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the listing: path, size and etag of every file."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.path}\0{file.size}\0{file.etag}\n".encode())
        return digest.hexdigest()

    def closes_at(self, settings: Settings) -> datetime | None:
        """When the drop counts as complete if nothing changes; None where the marker says so."""
        if self.marked or self.newest is None:
            return None
        return self.newest + timedelta(minutes=settings.quiescence_minutes)

    def is_closed(self, settings: Settings, now: datetime) -> bool:
        closes_at = self.closes_at(settings)
        return closes_at is None or closes_at <= now

    def _segment(self, index: int) -> str:
        segments = [segment for segment in self.key.split("/") if segment]
        return segments[index] if index < len(segments) else UNNAMED


def discover(store: ObjectStore, settings: Settings) -> Iterator[InboxGroup]:
    """The drops in the inbox, each as soon as the listing has passed it.

    A file that lies higher than GROUP_BY_DEPTH folders belongs to the drop of the folder it lies
    in; those drops come last, because the listing mixes them with others.
    """
    higher: dict[str, _Gathering] = {}
    current: _Gathering | None = None
    for info in store.list(INBOX):
        segments = info.key.removeprefix(INBOX).split("/")
        folders, name = segments[:-1], segments[-1]
        if name in NOT_DATA or not name:
            continue
        key = "/".join(folders[: settings.group_by_depth])
        if len(folders) < settings.group_by_depth:
            higher.setdefault(key, _Gathering(key)).add(info)
            continue
        if current is not None and current.key != key:
            yield current.group()
            current = None
        current = current or _Gathering(key)
        current.add(info)
    if current is not None:
        yield current.group()
    for key in sorted(higher):
        yield higher[key].group()


class _Gathering:
    """A drop while its listing goes by."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._prefix = f"{INBOX}{key}/" if key else INBOX
        self._files: list[InboxFile] = []
        self._marked = False
        self._newest: datetime | None = None
        self._unusable = 0

    def add(self, info: ObjectInfo) -> None:
        self._newest = max(self._newest or info.modified, info.modified)
        path = info.key.removeprefix(self._prefix)
        if path == MARKER:
            self._marked = True
        elif any(segment in ("", ".", "..") for segment in info.key.split("/")):
            self._unusable += 1
        else:
            self._files.append(InboxFile(path, info.key, info.size, info.etag, info.modified))

    def group(self) -> InboxGroup:
        return InboxGroup(
            key=self.key,
            files=tuple(sorted(self._files, key=lambda file: file.path)),
            marked=self._marked,
            newest=self._newest,
            unusable=self._unusable,
        )
