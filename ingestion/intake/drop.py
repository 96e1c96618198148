"""Putting files into the inbox, as a submitter's S3 client would."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingestion.intake.discover import INBOX, MARKER
from ingestion.intake.examine import in_threads, sha256_of
from lakehouse.errors import IntakeError
from lakehouse.storage import ObjectStore

_CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True)
class DropReport:
    """Files put and files that were there already with the same content; bytes put."""

    prefix: str
    written: int
    unchanged: int
    bytes: int


def put_drop(store: ObjectStore, source: Path, *, group: str, close: bool) -> DropReport:
    """Put a folder (or one file) below ``inbox/<group>/``; with ``close`` mark it complete.

    What is there with the same content is left alone, so a drop that was interrupted goes on where
    it stopped, and putting it twice changes nothing. The marker comes last. Raises
    :class:`IntakeError` when there is nothing to put or ``group`` is no path.
    """
    segments = group.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise IntakeError(
            "A drop is named by <submitter>/<file_type>/<drop_id>.",
            hint="None of the parts may be empty, . or ..",
        )
    prefix = f"{INBOX}{group}/"
    files = list(_files(source))
    if not files:
        raise IntakeError("The folder has no files to drop.", hint="Check the path.")

    def put(file: tuple[str, Path]) -> int:
        return _put(store, file[1], prefix + file[0])

    sizes = list(in_threads(put, files))
    written = [size for size in sizes if size >= 0]
    if close and (written or not store.exists(prefix + MARKER)):
        store.put(prefix + MARKER, b"")
    return DropReport(prefix, len(written), len(sizes) - len(written), sum(written))


def _files(source: Path) -> Iterator[tuple[str, Path]]:
    if source.is_file():
        yield source.name, source
        return
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.name != MARKER:
            yield path.relative_to(source).as_posix(), path


def _put(store: ObjectStore, path: Path, key: str) -> int:
    """Bytes written, or -1 where the same content was there."""
    size = path.stat().st_size
    if store.exists(key) and store.stat(key).size == size and sha256_of(store, key) == _hash(path):
        return -1
    with path.open("rb") as file:
        store.put(key, file)
    return size


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
