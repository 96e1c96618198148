"""The file of a backup: whole or not there, for its owner alone, opened with its key."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cli import stack
from installation import sealing
from lakehouse.errors import ConfigurationError


def test_nobody_but_its_owner_reads_a_backup(tmp_path: Path) -> None:
    target = tmp_path / "backup.tar"
    left = tmp_path / "backup.tar.unfinished"
    left.write_text("of a run before")
    left.chmod(0o644)
    with stack._output(str(target)) as stream:
        stream.write(b"all of it")
        assert stat.S_IMODE(left.stat().st_mode) == 0o600
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_bytes() == b"all of it"


def test_a_backup_that_failed_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), stack._output(str(tmp_path / "backup.tar")):
        raise ZeroDivisionError
    assert not (tmp_path / "backup.tar").exists()


def test_a_sealed_backup_needs_its_key_and_another_none(tmp_path: Path) -> None:
    pair = sealing.new_key()
    key, target, plain = tmp_path / "key", tmp_path / "sealed", tmp_path / "plain"
    key.write_text(pair.secret)
    plain.write_bytes(b"content")
    with target.open("wb") as file, sealing.sealed(file, [pair.public]) as stream:
        stream.write(b"content")
    with (
        pytest.raises(ConfigurationError, match="The backup is sealed"),
        stack._input(str(target), None),
    ):
        pass
    with stack._input(str(target), key) as content:
        assert content.read() == b"content"
    with stack._input(str(plain), None) as content:
        assert content.read() == b"content"
