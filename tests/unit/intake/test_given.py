"""What may be handed in: folders, files and archives, honest ones and others."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from ingestion.intake.archives import UnreadableArchive
from ingestion.intake.given import Given, look_at, put
from lakehouse.errors import IntakeError

GB = 10**9
GOOD = b'{"resourceType": "Patient", "id": "p1"}'


def look(path: Path, bound: int = GB) -> Given:
    return look_at(path, archive_max_bytes=bound)


def content(given: Given) -> dict[str, bytes]:
    """What is put of it."""
    found: dict[str, bytes] = {}
    put(
        given,
        {file.path for file in given.files},
        lambda path, file: found.update({path: file.read()}),
        archive_max_bytes=GB,
    )
    return found


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            archive.addfile(entry(name, size=len(data)), io.BytesIO(data))
    return path


def entry(
    name: str, *, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


@pytest.mark.parametrize("name", ["d.zip", "D.ZIP"])
def test_a_zip_gives_its_files(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / name, {"a.json": GOOD, "deep/er/b.json": b"2", "./c.json": b"3"})
    assert content(look(path)) == {"a.json": GOOD, "deep/er/b.json": b"2", "c.json": b"3"}


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("d.tar", "w"),
        ("d.tar.gz", "w:gz"),
        ("d.tgz", "w:gz"),
        ("d.tar.bz2", "w:bz2"),
        ("d.tar.xz", "w:xz"),
    ],
)
def test_a_tar_gives_its_files_however_it_is_compressed(
    tmp_path: Path, name: str, mode: str
) -> None:
    path = tarred(tmp_path / name, {"./a.json": GOOD, "deep/b.json": b"2" * 3_000_000}, mode)
    given = look(path)
    assert content(given) == {"a.json": GOOD, "deep/b.json": b"2" * 3_000_000}
    assert [file.size for file in given.files] == [len(GOOD), 3_000_000]


def test_a_tar_of_several_zstd_frames_is_read_and_a_cut_one_is_not(tmp_path: Path) -> None:
    plain = tarred(tmp_path / "d.tar", {"a.json": GOOD, "b.json": os.urandom(200_000)}).read_bytes()
    half = len(plain) // 2
    packed = b"".join(zstandard.compress(part) for part in (plain[:half], plain[half:]))
    path = tmp_path / "d.tar.zst"
    path.write_bytes(packed)
    assert content(look(path))["a.json"] == GOOD
    path.write_bytes(packed[:-500])
    with pytest.raises(UnreadableArchive, match="ends in the middle"):
        look(path)


@pytest.mark.parametrize(
    "name", ["../out.json", "a/../../out.json", "/etc/out.json", "C:/out.json", "..\\out.json"]
)
def test_a_path_that_leads_outside_refuses_the_archive(tmp_path: Path, name: str) -> None:
    with pytest.raises(IntakeError, match="Entry 2 of the archive has a path that leads outside"):
        look(zipped(tmp_path / "d.zip", {"a.json": GOOD, name: b"x"}))
    if "\\" not in name:  # in a tar a backslash is a letter like others
        with pytest.raises(IntakeError, match="leads outside"):
            look(tarred(tmp_path / "d.tar", {"a.json": GOOD, name: b"x"}))


def test_links_and_devices_of_archives_are_counted_and_passed_by(tmp_path: Path) -> None:
    path = tmp_path / "d.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(entry("a.json", size=len(GOOD)), io.BytesIO(GOOD))
        archive.addfile(entry("soft.json", kind=tarfile.SYMTYPE, link="/etc/passwd"))
        archive.addfile(entry("hard.json", kind=tarfile.LNKTYPE, link="a.json"))
        archive.addfile(entry("pipe", kind=tarfile.FIFOTYPE))
        archive.addfile(entry("soft.json/b.json", size=1), io.BytesIO(b"b"))
    given = look(path)
    assert content(given) == {"a.json": GOOD, "soft.json/b.json": b"b"}
    assert given.passed_by == {"link(s)": 2, "device(s) or pipe(s)": 1}

    path = tmp_path / "d.zip"
    with zipfile.ZipFile(path, "w") as zip_archive:
        zip_archive.writestr("a.json", GOOD)
        link = zipfile.ZipInfo("l.json")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        zip_archive.writestr(link, "/etc/passwd")
    given = look(path)
    assert content(given) == {"a.json": GOOD}
    assert given.passed_by == {"link(s)": 1}


def test_links_of_folders_are_counted_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.json").write_bytes(b"secret")
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "a.json").write_bytes(GOOD)
    (folder / "b.json").symlink_to(outside / "secret.json")
    (folder / "c").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    given = look(folder)
    assert content(given) == {"a.json": GOOD}
    assert given.passed_by == {"link(s)": 2, "device(s) or pipe(s)": 1}
    # The link that a person names is what the person means.
    (tmp_path / "latest").symlink_to(folder)
    assert content(look(tmp_path / "latest")) == {"a.json": GOOD}


def test_more_than_allowed_is_refused_before_anything_is_put(tmp_path: Path) -> None:
    path = zipped(tmp_path / "d.zip", {f"{n}.json": os.urandom(40_000) for n in range(4)})
    with pytest.raises(IntakeError, match="unpacks to more than is allowed"):
        look(path, bound=150_000)
    # Zeros shrink a thousandfold: nothing that somebody exported does.
    bomb = zipped(tmp_path / "bomb.zip", {"a.json": bytes(300_000_000)})
    with pytest.raises(IntakeError, match="unpacks to more than is allowed"):
        look(bomb)
    nested = tarred(tmp_path / "n.tar.gz", {"bomb.zip": bomb.read_bytes()}, "w:gz")
    with pytest.raises(IntakeError, match="unpacks to more than is allowed"):
        look(nested)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingestion.intake import archives

    monkeypatch.setattr(archives.Budget, "__init__", _of_three_files)
    with pytest.raises(IntakeError, match="more than"):
        look(zipped(tmp_path / "d.zip", {f"{n}.json": b"x" for n in range(4)}))


def _of_three_files(self: object, bytes: int, files: int = 3) -> None:
    self.bytes, self.files = bytes, files  # type: ignore[attr-defined]


def test_a_long_header_of_a_tar_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "d.tar"
    header = entry("././@LongLink", size=50_000_000, kind=tarfile.GNUTYPE_LONGNAME)
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(50_000_000))
    with pytest.raises(UnreadableArchive):
        look(path)


def test_an_encrypted_zip_is_told_as_such(tmp_path: Path) -> None:
    path = zipped(tmp_path / "d.zip", {"a.json": GOOD})
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    data[6] |= 1
    data[central + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UnreadableArchive, match="is encrypted") as raised:
        look(path)
    assert "password" in str(raised.value.hint)


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def flipped(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[len(data) // 2] ^= 0xFF
    return bytes(changed)


@pytest.mark.parametrize("harm", [cut, flipped])
@pytest.mark.parametrize("name", ["d.zip", "d.tar.gz", "d.tar.xz", "d.tar.bz2"])
def test_a_damaged_archive_is_refused_whole(
    tmp_path: Path, name: str, harm: Callable[[bytes], bytes]
) -> None:
    files = {"a.json": GOOD, "b.json": os.urandom(100_000)}
    if name == "d.zip":
        path = zipped(tmp_path / name, files, zipfile.ZIP_STORED)
    else:
        path = tarred(tmp_path / name, files, f"w:{name.rpartition('.')[2]}")
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(UnreadableArchive):
        look(path)


@pytest.mark.parametrize("kept", [512 + 1024, 2 * (512 + 1024), 2 * (512 + 1024) + 100])
def test_a_tar_that_is_cut_between_its_files_is_not_taken_for_a_whole_one(
    tmp_path: Path, kept: int
) -> None:
    files = {f"{n}.json": bytes(1000) for n in range(3)}
    path = tarred(tmp_path / "d.tar", files)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UnreadableArchive, match="ends in the middle"):
        look(path)


def test_a_file_that_is_no_archive_but_is_called_one_is_told(tmp_path: Path) -> None:
    for name in ("d.zip", "d.tar", "d.tar.gz", "d.tar.zst", "empty.zip", "empty.tar"):
        path = tmp_path / name
        path.write_bytes(b"" if name.startswith("empty") else GOOD * 20)
        with pytest.raises(IntakeError):
            look(path)


def test_a_method_that_is_not_read_is_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "d.zip", {"a.json": GOOD})
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, 8, 9)
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 10, 9)
    path.write_bytes(data)
    with pytest.raises(UnreadableArchive, match="Deflate64"):
        look(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_one_file_or_a_contradiction(tmp_path: Path) -> None:
    for name, second in (("same.zip", GOOD), ("other.zip", b"other")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a.json", GOOD)
            archive.writestr("a.json", second)
    assert content(look(tmp_path / "same.zip")) == {"a.json": GOOD}
    with pytest.raises(IntakeError, match="File 2 of the archive has the name of an earlier one"):
        look(tmp_path / "other.zip")
    with pytest.raises(IntakeError, match="lies in a folder that is a file"):
        look(zipped(tmp_path / "folder.zip", {"a": b"1", "a/b": b"2"}))


def test_names_are_read_in_the_encoding_that_their_maker_used(tmp_path: Path) -> None:
    path = zipped(tmp_path / "d.zip", {"\u00fcber.json": b"1", "b.json": b"2", "win\\c.json": b"3"})
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + place
        struct.pack_into(
            "<H", data, at, 0
        )  # UTF-8, as many write it, without the flag that says so
    path.write_bytes(data)
    given = look(path)
    assert sorted(content(given)) == ["b.json", "win/c.json", "\u00fcber.json"]
    assert given.odd_names == 0

    path = tmp_path / "latin.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(entry("M\u00fcller.json", size=1), io.BytesIO(b"1"))
    given = look(path)
    (name,) = content(given)
    assert name.startswith("M") and name.endswith("ller.json")
    name.encode()  # a key that every store can hold
    assert given.odd_names == 1


def test_an_archive_in_an_archive_is_unpacked_and_a_broken_one_is_one_bad_file(
    tmp_path: Path,
) -> None:
    inner = zipped(tmp_path / "inner.zip", {"x.json": GOOD}).read_bytes()
    outer = zipped(
        tmp_path / "d.zip", {"a.json": b"1", "in/inner.zip": inner, "broken.tar.gz": inner[:40]}
    )
    assert content(look(outer)) == {
        "a.json": b"1",
        "in/inner.zip/x.json": GOOD,
        "broken.tar.gz": inner[:40],
    }
    deep = inner
    for level in range(4):
        deep = zipped(tmp_path / f"{level}.zip", {"n.zip": deep}).read_bytes()
    (path,) = content(look(tmp_path / "3.zip"))
    assert path == "n.zip/n.zip/n.zip"  # what lies deeper stays an archive, which intake tells


def test_what_operating_systems_leave_is_no_data(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "d.zip",
        {
            "a.json": GOOD,
            "__MACOSX/._a.json": b"x",
            "._a.json": b"x",
            ".DS_Store": b"x",
            "_SUCCESS": b"",
        },
    )
    given = look(path)
    assert content(given) == {"a.json": GOOD}
    assert given.passed_by == {"file(s) that macOS added": 2}
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "Thumbs.db").write_bytes(b"x")
    with pytest.raises(IntakeError, match="no files to drop, 1 file"):
        look(folder)


def test_a_compressed_file_and_a_spreadsheet_stay_what_they_are(tmp_path: Path) -> None:
    packed = tmp_path / "a.ndjson.gz"
    packed.write_bytes(gzip.compress(GOOD))
    assert content(look(packed)) == {"a.ndjson.gz": packed.read_bytes()}
    sheet = zipped(tmp_path / "b.xlsx", {"xl/workbook.xml": b"<x/>"})
    assert list(content(look(sheet))) == ["b.xlsx"]


def test_what_may_not_be_read_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(GOOD)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(IntakeError, match=r"The file cannot be read \(Permission denied\)"):
        look(file)
