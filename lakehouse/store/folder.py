"""A local folder as object store. A key is a path below it."""

from __future__ import annotations

import io
import os
import shutil
import stat as stat_flags
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO, Final

from lakehouse.errors import AccessDenied, ObjectExists, ObjectNotFound, StorageUnavailable
from lakehouse.settings import Settings
from lakehouse.store.interface import AREAS, KeyNames, ObjectInfo, checked_key, checked_prefix

#: A reader asks the file system for at least this much.
_BUFFER_BYTES: Final = 64 * 1024
_CHUNK: Final = 1024 * 1024
#: Where local writes happen before they appear under their key: beside the areas, never listed.
_LOCAL_WORK: Final = ".incoming"

# Names that are not UTF-8 reach Python as lone surrogates, which neither Postgres nor S3 can hold.
# In keys they are private-use characters instead, and turn back into their bytes in paths.
_SURROGATES = {0xDC80 + byte: 0xF780 + byte for byte in range(128)}
_FROM_SURROGATES = str.maketrans({code: chr(target) for code, target in _SURROGATES.items()})
_TO_SURROGATES = str.maketrans({target: chr(code) for code, target in _SURROGATES.items()})


def key_name(name: str) -> str:
    """A file's name as it stands in a key: bytes that are no UTF-8 become private-use characters."""
    return name.translate(_FROM_SURROGATES)


class LocalStore:
    """A folder as object store. Writes appear whole, by rename or link, and survive a power cut.

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
            return self._path(key).open("rb", buffering=_BUFFER_BYTES)

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
                    file.flush()
                    os.fsync(file.fileno())
                if if_absent:
                    os.link(temporary, target)
                    temporary.unlink()
                else:
                    temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _make_durable(target.parent)
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

    def settle(self, key: str) -> None:
        with self._translated(key):
            path = self._path(checked_key(key))
            _make_durable(path)
            _make_durable(path.parent)

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


def _make_durable(path: Path) -> None:
    """Have the disk hold a file's content, or a folder's names (POSIX: each is synced by itself)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size=status.st_size,
        etag=f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}",
        # Not mtime: `cp -p` and `rsync -t` set it to the past while the file is still arriving.
        modified=datetime.fromtimestamp(status.st_ctime, UTC),
    )
