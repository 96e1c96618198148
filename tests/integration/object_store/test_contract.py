"""The contract of the object store, held by the local folder and by a real S3 server alike."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import duckdb
import pytest

from lakehouse import lake
from lakehouse.errors import (
    AccessDenied,
    ObjectExists,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
)
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore, S3Connection, open_store
from lakehouse.store.s3 import PART_BYTES


@pytest.fixture(params=["local", "s3"])
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "s3":
        settings: Settings = request.getfixturevalue("s3_settings")
        return settings
    return Settings(LAKEHOUSE_HOME=tmp_path)


@pytest.fixture
def store(store_settings: Settings) -> ObjectStore:
    store = open_store(store_settings)
    store.prepare()
    return store


class Endless(io.RawIOBase):
    """A stream that is made while it is read and notes how much of it was asked for at once."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.largest_read = 0
        self.digest = hashlib.sha256()
        self._block = os.urandom(1 << 20)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "the store must not read a stream whole"
        self.largest_read = max(self.largest_read, size)
        data = self._block[: min(size, self.left, 300_007)]  # as a socket: less than asked for
        self.left -= len(data)
        self.digest.update(data)
        return data


def test_what_is_put_is_read_back_with_its_size_time_and_etag(store: ObjectStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    key = "inbox/clinic/fhir/1/a b+é%20'.json"
    written = store.put(key, b"hello")
    assert store.read(key) == b"hello"
    found = store.stat(key)
    assert found == written
    assert (found.key, found.size) == (key, 5)
    assert before <= found.modified <= datetime.now(UTC) + timedelta(seconds=5)
    assert store.exists(key)
    assert [info.key for info in store.list("inbox/clinic/")] == [key]


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    store.put("inbox/a/b/c/_SUCCESS", b"")
    assert store.read("inbox/a/b/c/_SUCCESS") == b""
    assert store.stat("inbox/a/b/c/_SUCCESS").size == 0
    with store.open("inbox/a/b/c/_SUCCESS") as file:
        assert file.read() == b""


def test_replacing_an_object_changes_its_etag_and_nothing_else_remains(store: ObjectStore) -> None:
    first = store.put("lake/x", b"one")
    second = store.put("lake/x", b"two")
    assert first.etag != second.etag
    assert store.read("lake/x") == b"two"


def test_a_large_stream_is_put_in_parts_without_being_held_in_memory(store: ObjectStore) -> None:
    size = 3 * PART_BYTES + 12_345
    stream = Endless(size)
    info = store.put("raw/big", stream)  # type: ignore[arg-type]
    assert info.size == size
    assert stream.largest_read <= PART_BYTES
    digest = hashlib.sha256()
    with store.open("raw/big") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    assert digest.hexdigest() == stream.digest.hexdigest()


def test_a_stream_of_exactly_one_part_is_put_whole(store: ObjectStore) -> None:
    store.put("raw/part", io.BytesIO(b"x" * PART_BYTES))
    assert store.stat("raw/part").size == PART_BYTES


def test_a_stream_that_breaks_leaves_no_object(store: ObjectStore) -> None:
    class Broken(Endless):
        def read(self, size: int = -1) -> bytes:
            if self.left < PART_BYTES:
                raise ConnectionResetError("the sender went away")
            return super().read(size)

    with pytest.raises((ConnectionResetError, StorageUnavailable)):
        store.put("raw/broken", Broken(3 * PART_BYTES))  # type: ignore[arg-type]
    assert not store.exists("raw/broken")
    assert list(store.list("raw/")) == []


@pytest.mark.parametrize("size", [3, PART_BYTES + 5], ids=["small", "multipart"])
def test_a_conditional_put_never_replaces(store: ObjectStore, size: int) -> None:
    first = b"1" * size
    store.put("raw/once", first, if_absent=True)
    with pytest.raises(ObjectExists):
        store.put("raw/once", b"2" * size, if_absent=True)
    assert store.read("raw/once") == first


def test_of_racing_conditional_puts_exactly_one_wins(store: ObjectStore) -> None:
    barrier = threading.Barrier(8)

    def put(number: int) -> int | None:
        barrier.wait()
        try:
            store.put("raw/race", str(number).encode(), if_absent=True)
        except ObjectExists:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(put, range(8)) if number is not None]
    assert len(winners) == 1
    assert store.read("raw/race") == str(winners[0]).encode()


def test_a_listing_goes_past_a_thousand_keys_in_key_order(store: ObjectStore) -> None:
    keys = [f"inbox/many/{number // 100}/{number:04d}" for number in range(1_203)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b"."), keys))
    assert [info.key for info in store.list("inbox/many/")] == sorted(keys)
    assert len(list(store.list("inbox/many/1"))) == 303
    assert store.delete_prefix("inbox/many/") == 1_203
    assert list(store.list("inbox/many/")) == []


def test_a_listing_sorts_whole_keys_by_their_bytes(store: ObjectStore) -> None:
    keys = ["lake/a/x", "lake/a-b", "lake/a.b", "lake/a0", "lake/ab", "lake/é", "lake/z", "lake/😀"]
    for key in reversed(keys):
        store.put(key, b".")
    assert [info.key for info in store.list("lake/")] == sorted(keys, key=str.encode)


def test_a_prefix_may_end_inside_a_name(store: ObjectStore) -> None:
    for key in ("inbox/abc/1", "inbox/abd/1", "inbox/b/1"):
        store.put(key, b".")
    assert [info.key for info in store.list("inbox/ab")] == ["inbox/abc/1", "inbox/abd/1"]
    assert list(store.list("inbox/nothing/")) == []


def test_ranges_are_read_as_asked(store: ObjectStore) -> None:
    data = bytes(range(256)) * 4
    store.put("raw/r", data)
    assert store.read("raw/r", offset=10, length=5) == data[10:15]
    assert store.read("raw/r", offset=1000) == data[1000:]
    assert store.read("raw/r", offset=1020, length=100) == data[1020:]
    assert store.read("raw/r", offset=5000, length=10) == b""
    assert store.read("raw/r", offset=3, length=0) == b""


def test_a_reader_seeks_and_reads_like_a_file(store: ObjectStore) -> None:
    data = os.urandom(3_000_000)
    store.put("raw/seek", data)
    expected: BinaryIO = io.BytesIO(data)
    with store.open("raw/seek") as file:
        assert file.seekable()
        for step in (
            lambda f: f.read(100),
            lambda f: (f.seek(1_000_000), f.read(70_000)),
            lambda f: (f.seek(-50, io.SEEK_END), f.read(500)),
            lambda f: (f.seek(10), f.seek(5, io.SEEK_CUR), f.tell(), f.read(1)),
            lambda f: (f.seek(0), f.readline()),
            lambda f: (f.seek(2_999_999), f.read(), f.read()),
            lambda f: (f.seek(500), f.read()),
        ):
            assert step(file) == step(expected)


def test_copies_keep_the_content_and_the_conditional_copy_never_replaces(
    store: ObjectStore,
) -> None:
    large = os.urandom(PART_BYTES + 77)
    for name, data in (("small é", b"abc"), ("large", large), ("empty", b"")):
        store.put(f"inbox/{name}", data)
        store.copy(f"inbox/{name}", f"raw/{name}", if_absent=True)
        assert store.read(f"raw/{name}") == data
        store.put(f"inbox/{name}", data + b"changed")
        with pytest.raises(ObjectExists):
            store.copy(f"inbox/{name}", f"raw/{name}", if_absent=True)
        assert store.read(f"raw/{name}") == data
        store.copy(f"inbox/{name}", f"raw/{name}")
        assert store.read(f"raw/{name}") == data + b"changed"


def test_what_is_not_there_has_its_own_error_and_deleting_it_is_none(store: ObjectStore) -> None:
    for ask in (store.stat, store.read, store.open):
        with pytest.raises(ObjectNotFound):
            ask("raw/nothing")
    with pytest.raises(ObjectNotFound):
        store.copy("raw/nothing", "raw/else")
    with pytest.raises(ObjectNotFound):
        store.copy("raw/nothing", "raw/else", if_absent=True)
    assert not store.exists("raw/nothing")
    store.delete("raw/nothing")


@pytest.mark.parametrize(
    "key", ["", "x", "other/x", "inbox", "inbox/", "raw/../lake/x", "raw//x", "/raw/x", "raw/./x"]
)
def test_a_key_outside_the_areas_is_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(StorageError):
        store.put(key, b"x")
    with pytest.raises(StorageError):
        store.read(key)


def test_messages_do_not_show_file_names(store: ObjectStore) -> None:
    with pytest.raises(ObjectNotFound) as error:
        store.read("raw/clinic/fhir/1/Jane_Doe.json")
    assert "Jane" not in str(error.value)
    assert "ref:" in str(error.value)


def test_prepare_again_changes_nothing(store: ObjectStore, store_settings: Settings) -> None:
    store.put("raw/kept", b"x")
    open_store(store_settings).prepare()
    assert store.read("raw/kept") == b"x"


def test_duckdb_writes_and_reads_what_url_names(
    store: ObjectStore, store_settings: Settings
) -> None:
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    connection.execute(f"load '{lake.extension_file('httpfs')}'")
    if store_settings.uses_s3:
        connection.execute(S3Connection.of(store_settings).duckdb_secret())
    store.put("lake/q/marker", b"")
    url = store.url("lake/q/t.parquet")
    connection.execute(f"copy (select range as i from range(1000)) to '{url}'")
    assert connection.execute(f"select sum(i) from '{url}'").fetchone() == (499_500,)
    assert store.stat("lake/q/t.parquet").size > 0


@pytest.mark.parametrize("action", ["put", "delete", "delete_prefix", "copy"])
def test_an_immutable_object_stays(
    request: pytest.FixtureRequest, tmp_path: Path, action: str, held_store: ObjectStore
) -> None:
    held_store.put("raw/s/kept", b"as it came")
    held_store.put("raw/other", b"else")
    assert held_store.make_immutable("raw/s/kept")
    with pytest.raises(AccessDenied):
        match action:
            case "put":
                held_store.put("raw/s/kept", b"changed")
            case "delete":
                held_store.delete("raw/s/kept")
            case "delete_prefix":
                held_store.delete_prefix("raw/s/")
            case "copy":
                held_store.copy("raw/other", "raw/s/kept")
    assert held_store.read("raw/s/kept") == b"as it came"


@pytest.fixture(params=["local", "s3"])
def held_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store that can hold raw objects: a local folder, or S3 with retention."""
    if request.param == "local":
        store = open_store(Settings(LAKEHOUSE_HOME=tmp_path))
        store.prepare()
        yield store
        return
    endpoint = request.getfixturevalue("s3_endpoint")
    settings = endpoint.settings(tmp_path, raw_retention_days=1)
    store = open_store(settings)
    store.prepare()
    yield store
    endpoint.remove_buckets(settings)
