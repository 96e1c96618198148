"""Backups sealed to a key: what goes in comes out, and for nobody else."""

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import pytest

from installation import sealing
from lakehouse.errors import ConfigurationError, LakehouseError, StorageError

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def key(tmp_path: Path) -> tuple[str, Path]:
    """A public key, and the file with its secret half as `age-keygen` writes it."""
    pair = sealing.new_key()
    path = tmp_path / "backup.key"
    path.write_text(f"# public key: {pair.public}\n{pair.secret}\n")
    return pair.public, path


def seal(*keys: str, content: bytes = CONTENT) -> bytes:
    target = io.BytesIO()
    with sealing.sealed(target, keys) as stream:
        stream.write(content)
    return target.getvalue()


def unseal(data: bytes, key_file: Path) -> bytes:
    with sealing.opened(io.BytesIO(data), key_file) as stream:
        return stream.read()


def test_each_of_the_keys_opens_what_was_sealed_to_them(
    key: tuple[str, Path], tmp_path: Path
) -> None:
    other = sealing.new_key()
    (tmp_path / "other").write_text(other.secret)
    data = seal(key[0], other.public)
    assert CONTENT[:64] not in data
    assert unseal(data, key[1]) == CONTENT
    assert unseal(data, tmp_path / "other") == CONTENT


def test_a_sealed_backup_is_known_by_its_first_bytes(key: tuple[str, Path]) -> None:
    assert sealing.is_sealed(io.BufferedReader(io.BytesIO(seal(key[0]))))  # type: ignore[arg-type]
    assert not sealing.is_sealed(io.BufferedReader(io.BytesIO(b"databases/")))  # type: ignore[arg-type]


def test_another_key_does_not_open_it(key: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "other").write_text(sealing.new_key().secret)
    with pytest.raises(ConfigurationError, match="does not open"):
        unseal(seal(key[0]), tmp_path / "other")


@pytest.mark.parametrize("damage", ["cut off", "changed"])
def test_what_was_cut_off_or_changed_is_refused(key: tuple[str, Path], damage: str) -> None:
    data = seal(key[0])
    middle = len(data) // 2
    bad = data[:middle] if damage == "cut off" else data[:middle] + b"xy" + data[middle + 2 :]
    with pytest.raises(LakehouseError):
        unseal(bad, key[1])


def test_a_reader_that_has_enough_may_stop(key: tuple[str, Path]) -> None:
    with sealing.opened(io.BytesIO(seal(key[0])), key[1]) as stream:
        assert stream.read(10) == CONTENT[:10]


def test_a_full_disk_is_said(key: tuple[str, Path]) -> None:
    class FullDisk(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with (
        pytest.raises(StorageError, match="No space left"),
        sealing.sealed(FullDisk(), [key[0]]) as stream,
    ):
        stream.write(CONTENT)


def test_a_backup_that_fails_is_not_said_to_be_done(key: tuple[str, Path]) -> None:
    with pytest.raises(ZeroDivisionError), sealing.sealed(io.BytesIO(), [key[0]]) as stream:
        stream.write(CONTENT)
        raise ZeroDivisionError


def test_a_large_backup_costs_no_memory(key: tuple[str, Path]) -> None:
    class Nowhere(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            return len(data)  # type: ignore[arg-type]

    tracemalloc.start()
    with sealing.sealed(Nowhere(), [key[0]]) as stream:
        for _ in range(20):
            stream.write(CONTENT)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < len(CONTENT) * 3


@pytest.mark.parametrize("listed", ["age1nothing", "AGE-SECRET-KEY-1ABC", "age1a,,b"])
def test_what_is_no_public_key_is_refused_before_anything_is_written(listed: str) -> None:
    with pytest.raises(ConfigurationError, match="BACKUP_KEYS"):
        sealing.public_keys(listed)


def test_a_file_without_a_secret_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("# public key: age1\n")
    with pytest.raises(ConfigurationError, match="no secret key"):
        unseal(b"", tmp_path / "empty")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        unseal(b"", tmp_path / "absent")
