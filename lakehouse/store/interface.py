"""What the platform needs of an object store, and the keys by which it names objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final, Protocol

from lakehouse.errors import StorageError
from lakehouse.privacy import ref
from lakehouse.settings import Settings

AREAS: Final = ("inbox", "raw", "lake")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing says about one object. ``modified`` is in UTC, ``size`` in bytes.

    ``etag`` changes when the content is replaced; it is not a checksum that stores agree on.
    """

    key: str
    size: int
    etag: str
    modified: datetime


class ObjectStore(Protocol):
    """What the platform needs of a store. Every failure is one of the errors of this project:

    :class:`ObjectNotFound`, :class:`ObjectExists`, :class:`AccessDenied` (credentials, policy,
    immutable object), :class:`StorageUnavailable` (no answer within bounded retries).
    """

    def prepare(self) -> None:
        """Make folders or buckets; versioning and object lock on raw where the store has them."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose key starts with ``prefix``, in the order of their UTF-8 bytes, streamed."""

    def stat(self, key: str) -> ObjectInfo: ...

    def exists(self, key: str) -> bool: ...

    def open(self, key: str) -> BinaryIO:
        """A seekable reader that fetches ranges as they are asked for."""

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes ``offset … offset + length``, fewer where the object ends before."""

    def put(self, key: str, data: bytes | BinaryIO, if_absent: bool = False) -> ObjectInfo:
        """Write an object whole or not at all, streaming; memory stays at one part.

        With ``if_absent`` exactly one of several racing writers wins, the others get
        :class:`ObjectExists`.
        """

    def copy(self, source: str, target: str, if_absent: bool = False) -> ObjectInfo: ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def delete_prefix(self, prefix: str) -> int:
        """Remove every object below ``prefix``; gives their number."""

    def make_immutable(self, key: str) -> bool:
        """Refuse to replace or delete the object from now on.

        False where this store cannot hold that (no object lock, or no retention is set).
        """

    def settle(self, key: str) -> None:
        """Have what a library wrote under ``url(key)`` survive a power cut, before it is registered."""

    def url(self, key: str) -> str:
        """What DuckDB and dlt read: an absolute path or ``s3://bucket/key``."""


def checked_key(key: str) -> str:
    """``key`` itself, or :class:`StorageError` when it could mean something outside its area."""
    segments = key.split("/")
    if segments[0] not in AREAS or len(segments) < 2:
        raise StorageError(
            "An object key must start with inbox/, raw/ or lake/.",
            hint="This is an error of the program, not of the data.",
        )
    if any(segment in ("", ".", "..") or "\0" in segment for segment in segments):
        raise StorageError("An object key has an empty or relative segment.")
    return key


def checked_prefix(prefix: str) -> str:
    checked_key(f"{prefix}x")  # a prefix may end anywhere in its last segment
    return prefix


class KeyNames:
    """Names keys in messages without showing file names, which may be patients' names."""

    def __init__(self, settings: Settings | None) -> None:
        key = settings.privacy_key if settings else None
        self._key = key.get_secret_value().encode() if key else None

    def __call__(self, key: str) -> str:
        return f"{key.split('/', 1)[0]}/{ref(key, self._key)}"
