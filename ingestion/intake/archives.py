"""Reading zip and tar archives that somebody hands in, as a stream of files, safely.

Nothing is unpacked to disk except an archive inside the archive, and nothing is held in memory. An
archive is refused as a whole where it means a path outside, is larger than allowed, or cannot be
read to its end; links, devices and what an operating system left are counted and passed by.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Final, Self, cast

import zstandard

from lakehouse.errors import IntakeError
from lakehouse.store import key_name

#: Names that end so are unpacked; a spreadsheet is a zip file too and stays what it is.
_ZIP: Final = ".zip"
_TAR: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")

MAX_FILES: Final = 1_000_000
#: Archives inside archives: the outermost is the first.
MAX_DEPTH: Final = 3
#: Deflate reaches 1,032:1 at most, clinical text some 60:1 with the best compressors.
MAX_RATIO: Final = 500
#: What may come out of any archive, however small it is.
_RATIO_FREE: Final = 256 * 1024 * 1024
#: The longest header of a tar member (names, attributes): tarfile holds it in memory.
_LONGEST_HEADER: Final = 1024 * 1024
_HEADERS: Final = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
#: Larger archives inside archives are kept on disk while they are read.
_SPOOL: Final = 16 * 1024 * 1024
_CHUNK: Final = 1024 * 1024

_ENCRYPTED: Final = 0x1
_UTF8_NAME: Final = 0x800
_METHODS: Final = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd"}

_DAMAGE: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    EOFError,
    gzip.BadGzipFile,
    # What zipfile says of names, offsets and fields that cannot be.
    struct.error,
    ValueError,
    OverflowError,
)


def is_archive(name: str) -> bool:
    """Whether a file of this name is unpacked."""
    return name.lower().endswith((_ZIP, *_TAR))


class UnreadableArchive(IntakeError):
    """An archive is encrypted, damaged or of a kind that is not read here: its content is unknown."""


@dataclass(frozen=True)
class Member:
    """One file of an archive. ``content`` can be read until the next member is asked for."""

    path: str
    content: BinaryIO


@dataclass
class Budget:
    """What may still come out of one archive, all archives inside it taken together."""

    bytes: int
    files: int = MAX_FILES

    def take_file(self) -> None:
        self.files -= 1
        if self.files < 0:
            raise IntakeError(
                f"The archive holds more than {MAX_FILES:,} files.",
                hint="Split it, or unpack it and drop the folder.",
            )

    def take(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise IntakeError(
                "The archive unpacks to more than is allowed for its size.",
                hint=f"Allowed are {MAX_RATIO} times its size and ARCHIVE_MAX_GB in all. "
                "Where it is what it should be, unpack it and drop the folder.",
            )


def budget_of(size: int, max_bytes: int) -> Budget:
    """The bounds for an archive of ``size`` bytes."""
    return Budget(min(max_bytes, max(_RATIO_FREE, size * MAX_RATIO)))


@dataclass
class Reading:
    """One pass over an archive. ``passed_by`` counts what is no file to take, by what it is,
    ``odd_names`` the names whose encoding is not known."""

    budget: Budget
    passed_by: Counter[str] = field(default_factory=Counter)
    odd_names: int = 0

    def members(self, file: IO[bytes], name: str, depth: int = 1) -> Iterator[Member]:
        """The files of the archive ``file``, in its order; archives inside it are unpacked too,
        into folders of their names.

        Raises :class:`UnreadableArchive`, or :class:`IntakeError` where it must not be unpacked.
        """
        entries = self._zip(file) if name.lower().endswith(_ZIP) else self._tar(file, name)
        for number, entry in enumerate(_damage_told(entries), start=1):
            path = _inside(entry.path, number)
            if _is_left_over(path):
                self.passed_by["file(s) that macOS added"] += 1
                continue
            if not is_archive(path):
                self.budget.take_file()
                yield Member(path, entry.content)
                continue
            with tempfile.SpooledTemporaryFile(_SPOOL) as inner:
                _copy(entry.content, inner)
                if depth < MAX_DEPTH and self._is_readable(inner, path, depth):
                    inner.seek(0)
                    for member in self.members(inner, path, depth + 1):
                        yield Member(f"{path}/{member.path}", member.content)
                else:  # intake says of it what it says of every archive
                    self.budget.take_file()
                    inner.seek(0)
                    yield Member(path, cast(BinaryIO, inner))

    def _is_readable(self, inner: IO[bytes], name: str, depth: int) -> bool:
        """Whether the inner archive can be read to its end: a broken one is one bad file, no more."""
        trial = Reading(Budget(self.budget.bytes, self.budget.files))
        inner.seek(0)
        try:
            for member in trial.members(inner, name, depth + 1):
                _drain(member.content)
        except UnreadableArchive:
            return False
        return True

    # zip ------------------------------------------------------------------------------------

    def _zip(self, file: IO[bytes]) -> Iterator[Member]:
        with zipfile.ZipFile(file) as archive:
            for number, info in enumerate(archive.infolist(), start=1):
                kind = stat.S_IFMT(info.external_attr >> 16)
                if info.is_dir():
                    continue
                if kind == stat.S_IFLNK:
                    self.passed_by["link(s)"] += 1
                    continue
                if info.flag_bits & _ENCRYPTED:
                    raise UnreadableArchive(
                        f"The archive is encrypted (entry {number}).",
                        hint="Unpack it with its password and drop the folder.",
                    )
                try:
                    opened = archive.open(info)
                except NotImplementedError:
                    method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
                    raise UnreadableArchive(
                        f"Entry {number} of the archive is compressed by {method}, "
                        "or encrypted, in a way that is not read here.",
                        hint="Unpack it and drop the folder.",
                    ) from None
                with opened as content:
                    yield Member(self._zip_name(info), self._bounded(content))

    def _zip_name(self, info: zipfile.ZipInfo) -> str:
        """The name as its maker meant it: many write UTF-8 without the flag that says so, and
        some write backslashes (APPNOTE.TXT 4.4.17.1 wants slashes, appendix D code page 437)."""
        name = info.filename
        if not info.flag_bits & _UTF8_NAME:
            try:
                name = name.encode("cp437").decode("utf-8")
            except UnicodeError:
                self.odd_names += 1
        return name.replace("\\", "/")

    # tar ------------------------------------------------------------------------------------

    def _tar(self, file: IO[bytes], name: str) -> Iterator[Member]:
        with (
            _decompressed(file, name) as stream,
            tarfile.open(fileobj=stream, mode="r|", tarinfo=_TarMember) as archive,
        ):
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # a million would be kept
                if info.isdir():
                    continue
                if not info.isreg():
                    self.passed_by[_kind_of(info)] += 1
                    continue
                content = archive.extractfile(info)
                if content is None:
                    raise tarfile.ReadError("a file without content")
                yield Member(self._tar_name(info), self._bounded(content))
            if not getattr(archive, "ended", False):
                raise tarfile.ReadError("no end mark")
            _drain(self._bounded(cast(BinaryIO, stream)))  # checksums come last

    def _tar_name(self, info: tarfile.TarInfo) -> str:
        name = key_name(info.name)
        self.odd_names += name != info.name
        return name

    def _bounded(self, content: IO[bytes]) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(_Bounded(content, self.budget), _CHUNK))


class _Bounded(io.RawIOBase):
    """Reads ``source`` and takes what comes out from the budget."""

    def __init__(self, source: IO[bytes], budget: Budget) -> None:
        super().__init__()
        self._source = source
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._source.read(len(buffer))
        except _DAMAGE as error:
            raise _damaged(error) from error
        self._budget.take(len(data))
        buffer[: len(data)] = data
        return len(data)


class _TarMember(tarfile.TarInfo):
    """A tar header. ``tarfile`` ends without a word at a header that is broken or missing: here
    the archive learns whether its end mark was seen (POSIX.1-2017, pax: two blocks of zeros)."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            tarfile_.ended = True  # type: ignore[attr-defined]
            raise

    def _proc_member(self, tarfile_: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > _LONGEST_HEADER:
            raise tarfile.ReadError("a header is too long")
        return super()._proc_member(tarfile_)  # type: ignore[misc,no-any-return]


def _kind_of(info: tarfile.TarInfo) -> str:
    # The content of a hard link is in the archive under its other name.
    return "link(s)" if info.issym() or info.islnk() else "device(s) or pipe(s)"


@contextmanager
def _decompressed(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """The tar stream; what its name says of compression is what counts."""
    lower = name.lower()
    if lower.endswith(("gz",)):
        with gzip.GzipFile(fileobj=file, mode="rb") as stream:
            yield cast(IO[bytes], stream)
    elif lower.endswith("bz2"):
        with bz2.BZ2File(file) as stream:
            yield cast(IO[bytes], stream)
    elif lower.endswith("xz"):
        with lzma.LZMAFile(file) as stream:
            yield cast(IO[bytes], stream)
    elif lower.endswith("zst"):
        yield cast(IO[bytes], io.BufferedReader(_Zstandard(file), _CHUNK))
    else:
        yield file


class _Zstandard(io.RawIOBase):
    """All frames of a zstd file as one stream; one that is cut is an error, as for the others."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._packed = b""
        self._unpacked = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._unpacked:
            # Small steps bound what one of them expands to: a block of 128 KiB in four bytes.
            self._packed = self._packed or self._file.read(8 * 1024)
            if not self._packed:
                if self._begun:
                    raise EOFError("the last frame is cut")
                return 0
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._unpacked = memoryview(self._frame.decompress(self._packed))
            self._begun = not self._frame.eof
            self._packed = self._frame.unused_data if self._frame.eof else b""
        size = min(len(buffer), len(self._unpacked))
        buffer[:size] = self._unpacked[:size]
        self._unpacked = self._unpacked[size:]
        return size


def _damage_told(entries: Iterator[Member]) -> Iterator[Member]:
    try:
        yield from entries
    except _DAMAGE as error:
        raise _damaged(error) from error
    except OSError as error:
        if error.errno is None:  # bz2's word for invalid data
            raise _damaged(error) from error
        raise


def _damaged(error: Exception) -> UnreadableArchive:
    cut = isinstance(error, EOFError) or "end" in str(error)
    return UnreadableArchive(
        "The archive ends in the middle." if cut else "The archive is damaged, or is none.",
        hint="Nothing of it was taken. Make it again, or have it sent again, and drop that.",
    )


def _inside(name: str, number: int) -> str:
    """The path of an entry below the drop. Raises :class:`IntakeError` where it leads outside."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    drive = len(name) > 1 and name[1] == ":" and name[0].isalpha()
    if name.startswith("/") or drive or ".." in parts or "\0" in name or not parts:
        raise IntakeError(
            f"Entry {number} of the archive has a path that leads outside of it.",
            hint="Nothing of it was taken. Unpack it where that does no harm, and drop the folder.",
        )
    return "/".join(parts)


def _is_left_over(path: str) -> bool:
    """Whether macOS put it there: its attributes of a file, beside the file."""
    first, last = PurePosixPath(path).parts[0], PurePosixPath(path).name
    return first == "__MACOSX" or last.startswith("._")


def _copy(source: BinaryIO, target: IO[bytes]) -> None:
    while chunk := source.read(_CHUNK):
        target.write(chunk)


def _drain(source: BinaryIO) -> None:
    while source.read(_CHUNK):
        pass


@contextmanager
def reading(path: Path, max_bytes: int) -> Iterator[tuple[Reading, Iterator[Member]]]:
    """A pass over the archive at ``path``: its books and its files."""
    with path.open("rb") as file:
        books = Reading(budget_of(path.stat().st_size, max_bytes))
        yield books, books.members(file, path.name)
