"""What only the local folder has to care about: links, odd names, half-written files, time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakehouse.errors import ObjectNotFound
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore, open_store


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = open_store(Settings(LAKEHOUSE_HOME=tmp_path))
    store.prepare()
    return store


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "store" / "inbox"


def test_symbolic_links_lend_out_nothing(store: ObjectStore, inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("elsewhere")
    (inbox / "link").symlink_to(tmp_path / "secret")
    (inbox / "loop").symlink_to(inbox)
    assert list(store.list("inbox/")) == []
    with pytest.raises(ObjectNotFound):
        store.read("inbox/link")


def test_a_file_that_keeps_an_old_time_still_counts_as_just_arrived(
    store: ObjectStore, inbox: Path
) -> None:
    arrived = store.put("inbox/a", b"x").modified
    os.utime(inbox / "a", (0, 0))  # as `cp -p` and `rsync -t` do
    assert store.stat("inbox/a").modified >= arrived


def test_a_name_that_is_not_utf8_has_a_key_that_is(store: ObjectStore, inbox: Path) -> None:
    with open(os.fsencode(inbox) + b"/caf\xe9.json", "wb") as file:  # noqa: PTH123
        file.write(b"{}")
    [found] = store.list("inbox/")
    found.key.encode()  # as Postgres and S3 need it
    assert store.read(found.key) == b"{}"
    store.copy(found.key, "raw/" + found.key.removeprefix("inbox/"), if_absent=True)
    assert [info.size for info in store.list("raw/")] == [2]
    [copied] = (inbox.parent / "raw").iterdir()
    assert os.fsencode(copied.name) == b"caf\xe9.json"


def test_an_unfinished_write_is_in_no_listing(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "store" / ".incoming" / "half").write_bytes(b"x")
    assert [info for area in ("inbox", "raw", "lake") for info in store.list(f"{area}/")] == []
