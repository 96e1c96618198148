"""The object store: one interface over a local folder and any S3 server.

Keys start with their area: ``inbox/…`` (what submitters drop), ``raw/…`` (what was taken,
immutable) and ``lake/…`` (Parquet). Locally a key is a path below the store's folder; on S3
``inbox`` and ``raw`` live in the raw bucket, ``lake`` in the lake bucket, with the key kept whole.
What is *in* the objects is no concern of this module. The S3 store is in
:mod:`lakehouse.store.s3`.
"""

from __future__ import annotations

import io
import os
import shutil
import stat as stat_flags
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, Protocol
from urllib.parse import urlsplit

from lakehouse.errors import (
    AccessDenied,
    ConfigurationError,
    ObjectExists,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
)
from lakehouse.privacy import ref
from lakehouse.settings import Settings

AREAS: Final = ("inbox", "raw", "lake")

#: A ranged read fetches at least this much; a reader that goes straight on doubles it each time.
READ_AHEAD_MIN: Final = 64 * 1024
READ_AHEAD_MAX: Final = 8 * 1024 * 1024
#: Objects up to one part are put in one request, larger ones by multipart upload.
PART_BYTES: Final = 16 * 1024 * 1024

_CHUNK: Final = 1024 * 1024
#: Where local writes happen before they appear under their key: beside the areas, never listed.
_LOCAL_WORK: Final = ".incoming"


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

    def url(self, key: str) -> str:
        """What DuckDB and dlt read: an absolute path or ``s3://bucket/key``."""


def open_store(settings: Settings) -> ObjectStore:
    """The store that ``OBJECT_STORE_URL`` names."""
    if settings.uses_s3:
        from lakehouse.store.s3 import S3Store  # its SDK takes long to import

        return S3Store(settings)
    return LocalStore(settings.store_folder, settings)


def duckdb_secret_sql(settings: Settings) -> str | None:
    """The statement that gives DuckDB the store's credentials; None for a local folder."""
    if not settings.uses_s3:
        return None
    endpoint, secure = s3_endpoint(settings)
    parts = {
        "key_id": settings.object_store_access_key or "",
        "secret": s3_secret_key(settings),
        "endpoint": endpoint,
        "region": settings.object_store_region,
        "url_style": "vhost" if settings.object_store_endpoint is None else "path",
    }
    quoted = [f"{name} '{value.replace(chr(39), chr(39) * 2)}'" for name, value in parts.items()]
    use_ssl = f"use_ssl {str(secure).lower()}"
    return f"create or replace secret object_store (type s3, {', '.join([*quoted, use_ssl])})"


def fsspec_options(settings: Settings) -> dict[str, Any]:
    """Arguments of ``s3fs.S3FileSystem`` for this store; empty for a local folder."""
    if not settings.uses_s3:
        return {}
    return {
        "key": settings.object_store_access_key,
        "secret": s3_secret_key(settings),
        "endpoint_url": settings.object_store_endpoint,
        "client_kwargs": {"region_name": settings.object_store_region},
        "config_kwargs": {
            "s3": {
                "addressing_style": "auto" if settings.object_store_endpoint is None else "path"
            },
            "retries": {"max_attempts": 3},
            "connect_timeout": 5,
            "read_timeout": 60,
        },
    }


def s3_endpoint(settings: Settings) -> tuple[str, bool]:
    """``host:port`` and whether to use TLS."""
    if settings.object_store_endpoint is None:
        return "s3.amazonaws.com", True
    parts = urlsplit(settings.object_store_endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise ConfigurationError(
            "OBJECT_STORE_ENDPOINT is not of the form http(s)://host:port.",
            hint="Give scheme, host and port only; buckets are RAW_BUCKET and LAKE_BUCKET.",
        )
    return parts.netloc, parts.scheme == "https"


def s3_secret_key(settings: Settings) -> str:
    secret = settings.object_store_secret_key
    return secret.get_secret_value() if secret else ""


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


# Local folder ---------------------------------------------------------------------------------

# Names that are not UTF-8 reach Python as lone surrogates, which neither Postgres nor S3 can hold.
# In keys they are private-use characters instead, and turn back into their bytes in paths.
_SURROGATES = {0xDC80 + byte: 0xF780 + byte for byte in range(128)}
_FROM_SURROGATES = str.maketrans({code: chr(target) for code, target in _SURROGATES.items()})
_TO_SURROGATES = str.maketrans({target: chr(code) for code, target in _SURROGATES.items()})


def key_name(name: str) -> str:
    """A file's name as it stands in a key: bytes that are no UTF-8 become private-use characters."""
    return name.translate(_FROM_SURROGATES)


class LocalStore:
    """A folder as object store. Writes appear whole, by rename or link.

    Symbolic links are not followed: an inbox must not lend out files from elsewhere on the machine.
    """

    def __init__(self, root: Path, settings: Settings | None = None) -> None:
        self.root = root
        self._named = KeyNames(settings)

    def prepare(self) -> None:
        for folder in (*AREAS, _LOCAL_WORK):
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder, _, start = checked_prefix(prefix).rpartition("/")
        with self._translated(prefix):
            yield from self._walk(folder, start)

    def _walk(self, folder: str, start: str) -> Iterator[ObjectInfo]:
        entries: list[tuple[bytes, str, os.DirEntry[str]]] = []
        try:
            with os.scandir(self._path(folder)) as found:
                for entry in found:
                    name = entry.name.translate(_FROM_SURROGATES)
                    if name.startswith(start) and not entry.is_symlink():
                        # S3 compares whole keys: below a folder its name ends with a slash.
                        whole = name + "/" if entry.is_dir() else name
                        entries.append((whole.encode(), name, entry))
        except (FileNotFoundError, NotADirectoryError):
            return
        entries.sort(key=lambda item: item[0])
        for order, name, entry in entries:
            if order.endswith(b"/"):
                yield from self._walk(f"{folder}/{name}", "")
                continue
            try:
                yield _info(f"{folder}/{name}", entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue  # removed while listing, as S3 would not have listed it either

    def stat(self, key: str) -> ObjectInfo:
        with self._translated(key):
            return _info(key, self._file_status(key))

    def exists(self, key: str) -> bool:
        try:
            self.stat(key)
        except ObjectNotFound:
            return False
        return True

    def open(self, key: str) -> BinaryIO:
        with self._translated(key):
            self._file_status(key)
            return self._path(key).open("rb", buffering=READ_AHEAD_MIN)

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        with self._translated(key):
            self._file_status(key)
            with self._path(key).open("rb", buffering=0) as file:
                file.seek(offset)
                # One read() gives at most 2 GiB on Linux; a buffered one asks until it has all.
                return io.BufferedReader(file).read(-1 if length is None else length)

    def put(self, key: str, data: bytes | BinaryIO, if_absent: bool = False) -> ObjectInfo:
        def fill(file: IO[bytes]) -> None:
            if isinstance(data, bytes):
                file.write(data)
            else:
                shutil.copyfileobj(data, file, _CHUNK)

        return self._write(key, fill, if_absent)

    def copy(self, source: str, target: str, if_absent: bool = False) -> ObjectInfo:
        with self.open(source) as file:
            return self.put(target, file, if_absent)

    def _write(self, key: str, fill: Callable[[IO[bytes]], None], if_absent: bool) -> ObjectInfo:
        target = self._path(checked_key(key))
        with self._translated(key):
            self._refuse_immutable(key, target)
            target.parent.mkdir(parents=True, exist_ok=True)
            work = self.root / _LOCAL_WORK
            work.mkdir(parents=True, exist_ok=True)
            temporary = work / uuid.uuid4().hex
            try:
                with temporary.open("xb") as file:
                    fill(file)
                if if_absent:
                    os.link(temporary, target)
                    temporary.unlink()
                else:
                    temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            return _info(key, target.stat())

    def delete(self, key: str) -> None:
        with self._translated(key):
            path = self._path(checked_key(key))
            self._refuse_immutable(key, path)
            path.unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> int:
        keys = [info.key for info in self.list(prefix)]
        for key in keys:
            self.delete(key)
        folder = self._path(prefix.rstrip("/"))
        if prefix.endswith("/") and folder.is_dir():
            with self._translated(prefix):
                shutil.rmtree(folder)  # the empty folders, and leftovers that listings do not show
        return len(keys)

    def make_immutable(self, key: str) -> bool:
        with self._translated(key):
            self._file_status(key)
            self._path(key).chmod(0o444)
        return True

    def url(self, key: str) -> str:
        return str(self._path(checked_key(key)))

    def _path(self, key: str) -> Path:
        return self.root / key.translate(_TO_SURROGATES)

    def _file_status(self, key: str) -> os.stat_result:
        status = self._path(checked_key(key)).lstat()
        if not stat_flags.S_ISREG(status.st_mode):
            raise FileNotFoundError
        return status

    def _refuse_immutable(self, key: str, path: Path) -> None:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        # The mode is asked, not the operating system: root may write whatever the mode says.
        if stat_flags.S_ISREG(mode) and not mode & 0o222:
            raise AccessDenied(
                f"{self._named(key)} is immutable.",
                hint="Raw objects stay as they came; withdraw the submission instead.",
            )

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise ObjectNotFound(f"{self._named(key)} does not exist.") from error
        except FileExistsError as error:
            raise ObjectExists(f"{self._named(key)} exists already.") from error
        except PermissionError as error:
            raise AccessDenied(
                f"{self._named(key)} may not be read or written by this user.",
                hint="Check owner and mode of the store's folder.",
            ) from error
        except OSError as error:
            raise StorageUnavailable(
                f"{self._named(key)} could not be read or written ({error.strerror}).",
                hint="Check the disk and its free space.",
            ) from error


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size=status.st_size,
        etag=f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}",
        # Not mtime: `cp -p` and `rsync -t` set it to the past while the file is still arriving.
        modified=datetime.fromtimestamp(status.st_ctime, UTC),
    )


class RangedReader(io.RawIOBase):
    """Reads an object by ranges: small ones after a seek, growing ones while going straight on."""

    def __init__(
        self, info: ObjectInfo, fetch: Callable[[str, int, int | None, str | None], bytes]
    ) -> None:
        super().__init__()
        self.name = "<object>"  # readers of formats ask a file for it; never the key
        self._info = info
        self._fetch = fetch
        self._position = 0
        self._window = b""
        self._window_start = 0
        self._ahead = READ_AHEAD_MIN

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._info.size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(self._info.size - self._position, 0))
        if wanted == 0:
            return 0
        start = self._position - self._window_start
        if not 0 <= start < len(self._window):
            self._move_window(wanted, goes_on=start == len(self._window) > 0)
            start = 0
        data = self._window[start : start + wanted]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _move_window(self, wanted: int, *, goes_on: bool) -> None:
        self._ahead = min(self._ahead * 2, READ_AHEAD_MAX) if goes_on else READ_AHEAD_MIN
        length = min(max(wanted, self._ahead), self._info.size - self._position)
        self._window = self._fetch(self._info.key, self._position, length, self._info.etag)
        self._window_start = self._position
        if len(self._window) < length:
            raise StorageUnavailable("The object store sent less than the object has.")

    def readall(self) -> bytes:
        left = self._info.size - self._position
        if left <= 0:
            return b""
        data = self._fetch(self._info.key, self._position, left, self._info.etag)
        self._position += len(data)
        return data
