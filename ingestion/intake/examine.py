"""Looking at files: sha256, size, type and layout, and whether the file can be taken."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO, Final, TypeVar

from ingestion.intake import classify
from ingestion.intake.classify import HEAD_BYTES, Classification, Classifier
from ingestion.reasons import Reason
from lakehouse.errors import ConfigurationError, ObjectNotFound
from lakehouse.store import ObjectStore

#: Objects wait for the store most of the time, so there are more workers than cores.
WORKERS: Final = 16
#: Tasks handed to the workers at once: bounds memory for a drop of 100,000 files.
_WINDOW: Final = 2048
#: A file up to this size is read once, in one request; a larger one as a stream.
_ONE_READ: Final = 8 * 1024 * 1024
_CHUNK: Final = 4 * 1024 * 1024

T = TypeVar("T")
R = TypeVar("R")


class ChangedWhileRead(Exception):
    """A file of the drop was replaced, cut or removed while it was taken in."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file to look at. ``sha256`` is given where it is known already; ``settled_as`` where a
    person has said what this very content is."""

    path: str
    key: str
    size: int
    etag: str | None
    sha256: str | None = None
    settled_as: str | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that was looked at. ``reason`` is the quarantine code, ``note`` says it in words."""

    path: str
    key: str
    size: int
    etag: str | None
    sha256: str
    file_type: str
    layout: str | None
    layout_version: str | None
    outcome: str
    reason: str | None
    note: str


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``work`` on every item, in order, several at a time; the first failure ends it."""
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="intake") as pool:
        waiting = iter(items)
        while window := list(islice(waiting, _WINDOW)):
            yield from pool.map(work, window)


def examine(
    store: ObjectStore,
    candidates: Sequence[Candidate],
    classifier: Classifier,
    readable: Collection[str],
) -> list[Examined]:
    """Look at every candidate. ``readable`` are the file types that some source reads.

    Raises :class:`ChangedWhileRead` when a file is no longer what the listing said, and the store's
    errors (:class:`lakehouse.errors.ObjectNotFound` among them).
    """

    def look(candidate: Candidate) -> Examined:
        try:
            sha256, head, open = _read(store, candidate)
        except ObjectNotFound:
            if candidate.etag is not None:
                raise  # the inbox had it a moment ago
            return _vanished(candidate)
        found = _settled(candidate, head, classifier, open)
        return judge(candidate, sha256, found, readable)

    return list(in_threads(look, candidates))


def judge(
    candidate: Candidate, sha256: str, found: Classification, readable: Collection[str]
) -> Examined:
    """Whether the file can be taken, waits for a person, or goes to quarantine."""
    reason: str | None = found.reason
    note = found.note
    if found.ambiguous:
        outcome = "review"
    elif reason is None and found.file_type == "unknown":
        outcome, reason = "quarantined", Reason.UNKNOWN_TYPE
    elif reason is None and found.file_type not in readable:
        outcome, reason = "quarantined", Reason.NO_SOURCE_YET
        note = f"{note}. No source reads {found.file_type} yet; the file is kept in raw."
    else:
        outcome = "staged" if reason is None else "quarantined"
    return Examined(
        path=candidate.path,
        key=candidate.key,
        size=candidate.size,
        etag=candidate.etag,
        sha256=sha256,
        file_type=found.file_type,
        layout=found.layout.name if found.layout else None,
        layout_version=found.layout.version if found.layout else None,
        outcome=outcome,
        reason=str(reason) if reason else None,  # psycopg writes plain text
        note=note,
    )


def classified_as(file_type: str, head: bytes, note: str) -> Classification:
    """What follows from a person's word that the file is ``file_type``."""
    return _with_layout(Classification(file_type, 1.0, note), head)


def read_by_sources() -> frozenset[str]:
    """The file types that some source of this version reads."""
    from ingestion.sources import registry

    return frozenset(registry())


def sha256_of(store: ObjectStore, key: str) -> str:
    """The sha256 of an object, streamed."""
    digest = hashlib.sha256()
    with store.open(key) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _vanished(candidate: Candidate) -> Examined:
    """A file of an unfinished submission that is neither in the inbox nor in raw."""
    note = "The file was removed from the inbox before it was copied."
    lost = Classification("unknown", 1.0, note, reason=Reason.VANISHED)
    return judge(candidate, candidate.sha256 or "", lost, ())


def _read(store: ObjectStore, candidate: Candidate) -> tuple[str, bytes, Callable[[], BinaryIO]]:
    """sha256 and head of the file, and a way to read the rest."""
    key, size = candidate.key, candidate.size
    if candidate.sha256 is not None:
        return candidate.sha256, store.read(key, 0, HEAD_BYTES), lambda: store.open(key)
    if size <= _ONE_READ:
        data = store.read(key)
        if len(data) != size:
            raise ChangedWhileRead
        return hashlib.sha256(data).hexdigest(), data[:HEAD_BYTES], lambda: io.BytesIO(data)
    digest, head, total = hashlib.sha256(), b"", 0
    with store.open(key) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            head = head or chunk[:HEAD_BYTES]
            total += len(chunk)
    if total != size:
        raise ChangedWhileRead
    return digest.hexdigest(), head, lambda: store.open(key)


def _settled(
    candidate: Candidate, head: bytes, classifier: Classifier, open: Callable[[], BinaryIO]
) -> Classification:
    found = classifier.classify(candidate.path, head, open)
    if found.file_type not in classify.file_types():
        raise ConfigurationError(
            f"The classifier answered {found.file_type!r}, which is no file type.",
            hint="File types are " + ", ".join(classify.file_types()) + ".",
        )
    if found.ambiguous and candidate.settled_as is not None:
        return classified_as(candidate.settled_as, head, "Named by a person before")
    return _with_layout(found, head)


def _with_layout(found: Classification, head: bytes) -> Classification:
    """Look the layout up where the classifier left that to us."""
    if (
        not classify.is_by_layout(found.file_type)
        or found.layout
        or found.reason
        or found.ambiguous
    ):
        return found
    layout, note = classify.layout_of(head, found.file_type)
    if layout is None:
        return replace(found, reason=Reason.NO_LAYOUT, note=note)
    return replace(found, layout=layout)
