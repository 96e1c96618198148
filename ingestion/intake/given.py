"""What a person hands in: a folder, one file or an archive, seen as the files of a drop.

It is read twice: once to see that all of it can be read and what it holds, and once to put it. So
nothing is put of an archive that turns out to be damaged at its end.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from ingestion.intake import archives
from ingestion.intake.archives import is_archive
from ingestion.intake.discover import MARKER, NOT_DATA
from ingestion.intake.examine import in_threads
from lakehouse.errors import IntakeError
from lakehouse.store import key_name

_CHUNK: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file by its path in the drop."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Given:
    """One path that was handed in. ``below`` is the folder of the drop that its files go to.

    ``passed_by`` counts what was not taken by what it is; ``odd_names`` names that are not UTF-8.
    """

    source: Path
    files: tuple[GivenFile, ...]
    passed_by: Mapping[str, int]
    odd_names: int = 0
    below: str = ""

    @property
    def byte_count(self) -> int:
        return sum(file.size for file in self.files)


def look_at(source: Path, *, below: str = "", archive_max_bytes: int) -> Given:
    """Read all of ``source`` (folder, file, archive) and say what it holds.

    Raises :class:`IntakeError` when there is nothing to take, something cannot be read, or an
    archive must not be unpacked.
    """
    source = source.resolve()
    try:
        if source.is_dir():
            given = _look_at_folder(source, below)
        elif is_archive(source.name):
            given = _look_at_archive(source, below, archive_max_bytes)
        else:
            given = Given(source, (_hashed(below + key_name(source.name), source),), {}, 0, below)
    except OSError as error:
        raise IntakeError(
            f"{_words(source)} cannot be read ({error.strerror or type(error).__name__}).",
            hint="Nothing was put. Check that this user may read all of it, and the disk.",
        ) from error
    if not given.files:
        passed = "".join(f", {count} {what} passed by" for what, count in given.passed_by.items())
        raise IntakeError(f"{_words(source)} has no files to drop{passed}.", hint="Check the path.")
    return given


def put(
    given: Given,
    wanted: Collection[str],
    write: Callable[[str, BinaryIO], None],
    *,
    archive_max_bytes: int,
) -> None:
    """``write`` every file of ``given`` whose path in the drop is ``wanted``."""
    if given.source.is_dir() or not is_archive(given.source.name):
        found = (
            [(given.files[0].path, given.source)]
            if given.source.is_file()
            else [(given.below + path, file) for path, file in _walk(given.source, Counter())]
        )

        def put_one(item: tuple[str, Path]) -> None:
            with item[1].open("rb") as file:
                write(item[0], file)

        for _ in in_threads(put_one, (item for item in found if item[0] in wanted)):
            pass
        return
    left = set(wanted)
    with archives.reading(given.source, archive_max_bytes) as (_, members):
        for member in members:
            path = given.below + member.path
            if path in left:  # a name that comes twice has the same content both times
                left.discard(path)
                write(path, member.content)


def _look_at_folder(folder: Path, below: str) -> Given:
    passed_by: Counter[str] = Counter()
    found = list(_walk(folder, passed_by))
    files = tuple(in_threads(lambda item: _hashed(below + item[0], item[1]), found))
    odd = sum(any("\uf780" <= letter <= "\uf7ff" for letter in path) for path, _ in found)
    return Given(folder, files, passed_by, odd, below)


def _walk(folder: Path, passed_by: Counter[str]) -> Iterator[tuple[str, Path]]:
    """The regular files below ``folder``, by their paths in the drop. Links are not followed: what
    they name inside the folder is taken there, and what is elsewhere was not handed in."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        passed_by["link(s)"] += sum(Path(place, name).is_symlink() for name in folders)
        for name in sorted(names):
            path = Path(place, name)
            kind = path.lstat().st_mode
            if stat.S_ISLNK(kind):
                passed_by["link(s)"] += 1
            elif not stat.S_ISREG(kind):
                passed_by["device(s) or pipe(s)"] += 1
            elif name in NOT_DATA:
                passed_by["file(s) of the operating system"] += 1
            elif name != MARKER:
                yield key_name(path.relative_to(folder).as_posix()), path
    passed_by += Counter()  # only what was counted


def _look_at_archive(source: Path, below: str, max_bytes: int) -> Given:
    files: dict[str, GivenFile] = {}
    with archives.reading(source, max_bytes) as (books, members):
        for number, member in enumerate(members, start=1):
            name = PurePosixPath(member.path).name
            if name in NOT_DATA or name == MARKER:
                continue
            path = below + key_name(member.path)
            file = _hash(path, member.content)
            if files.setdefault(path, file) != file:
                raise IntakeError(
                    f"File {number} of the archive has the name of an earlier one and other content.",
                    hint="Nothing of it was taken. Unpack it, keep the right one, drop the folder.",
                )
        _refuse_files_as_folders(files)
        passed_by = Counter(books.passed_by)
        return Given(source, tuple(files.values()), passed_by, books.odd_names, below)


def _refuse_files_as_folders(paths: Collection[str]) -> None:
    for number, path in enumerate(paths, start=1):
        if any(parent.as_posix() in paths for parent in PurePosixPath(path).parents):
            raise IntakeError(
                f"File {number} of the archive lies in a folder that is a file of the archive too.",
                hint="Nothing of it was taken. Unpack it as it should be, and drop the folder.",
            )


def _hashed(path: str, file: Path) -> GivenFile:
    with file.open("rb") as content:
        return _hash(path, content)


def _hash(path: str, content: BinaryIO) -> GivenFile:
    digest, size = hashlib.sha256(), 0
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return GivenFile(path, size, digest.hexdigest())


def _words(source: Path) -> str:
    """What it is, without its name: a file's may be a patient's."""
    if source.is_dir():
        return "The folder"
    return "The archive" if is_archive(source.name) else "The file"
