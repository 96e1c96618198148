"""What only an S3 server has to care about: versions, locks, credentials, a failing endpoint."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import s3fs
from botocore.exceptions import ClientError
from pydantic import SecretStr

from lakehouse.errors import AccessDenied, ConfigurationError, StorageUnavailable
from lakehouse.settings import Settings
from lakehouse.store import AREAS, ObjectStore, S3Connection, open_store
from lakehouse.store.s3 import PART_BYTES

if TYPE_CHECKING:
    from tests.integration.conftest import S3Endpoint


class Wire:
    """A TCP relay in front of the server that can be cut, and can cut itself after some bytes."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._cut_after: int | None = None
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut_once_after(self, answered: int) -> None:
        """Break the connection that carries the byte ``answered``; later ones hold."""
        self._cut_after = answered

    def cut(self) -> None:
        """Close everything: open connections break, new ones are refused."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._shut(*self._open)

    @staticmethod
    def _shut(*ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(OSError):  # it may be closed already
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self._target)
            self._open += [client, server]
            threading.Thread(target=self._relay, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._relay, args=(server, client, True), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):  # the other direction may have closed it
            while data := source.recv(65_536):
                target.sendall(data)
                if is_answer and self._cut_after is not None:
                    self._cut_after -= len(data)
                    if self._cut_after <= 0:
                        self._cut_after = None
                        break
        self._shut(source, target)


@pytest.fixture
def store(s3_settings: Settings) -> ObjectStore:
    store = open_store(s3_settings)
    store.prepare()
    return store


@pytest.fixture
def wire(s3_endpoint: S3Endpoint) -> Iterator[Wire]:
    parts = urlsplit(s3_endpoint.url)
    if parts.scheme != "http" or parts.hostname is None:
        pytest.skip("the relay cannot stand in front of TLS")
    wire = Wire((parts.hostname, parts.port or 80))
    yield wire
    wire.cut()


def through(wire: Wire, settings: Settings) -> ObjectStore:
    url = f"http://127.0.0.1:{wire.port}"
    return open_store(settings.model_copy(update={"object_store_endpoint": url}))


def test_raw_keeps_every_version(
    store: ObjectStore, s3_settings: Settings, s3_endpoint: S3Endpoint
) -> None:
    store.put("raw/k", b"first")
    store.put("raw/k", b"second")
    store.delete("raw/k")
    assert not store.exists("raw/k")
    client, bucket = s3_endpoint.client(), s3_settings.raw_bucket
    assert client.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    versions = client.list_object_versions(Bucket=bucket, Prefix="raw/k")["Versions"]
    kept = {
        client.get_object(Bucket=bucket, Key="raw/k", VersionId=version["VersionId"])["Body"].read()
        for version in versions
    }
    assert kept == {b"first", b"second"}


def test_the_server_itself_refuses_to_delete_a_held_version(
    s3_endpoint: S3Endpoint, tmp_path: Path
) -> None:
    settings = s3_endpoint.settings(tmp_path, raw_retention_days=1)
    store = open_store(settings)
    store.prepare()
    store.put("raw/k", b"held")
    assert store.make_immutable("raw/k")
    client, bucket = s3_endpoint.client(), settings.raw_bucket
    version = client.head_object(Bucket=bucket, Key="raw/k")["VersionId"]
    with pytest.raises(ClientError) as refused:
        client.delete_object(Bucket=bucket, Key="raw/k", VersionId=version)
    # Amazon says 403 AccessDenied, a MinIO server 400 InvalidRequest; both keep the object.
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    assert store.read("raw/k") == b"held"
    s3_endpoint.remove_buckets(settings)


def test_without_a_retention_nothing_is_held_and_the_answer_says_so(store: ObjectStore) -> None:
    store.put("raw/k", b"x")
    assert store.make_immutable("raw/k") is False
    store.delete("raw/k")


def test_areas_live_in_their_buckets(
    store: ObjectStore, s3_settings: Settings, s3_endpoint: S3Endpoint
) -> None:
    for area in AREAS:
        store.put(f"{area}/x", b"")
    client = s3_endpoint.client()
    names = {
        bucket: [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]]
        for bucket in (s3_settings.raw_bucket, s3_settings.lake_bucket)
    }
    assert names == {
        s3_settings.raw_bucket: ["inbox/x", "raw/x"],
        s3_settings.lake_bucket: ["lake/x"],
    }
    assert store.url("lake/x") == f"s3://{s3_settings.lake_bucket}/lake/x"


@pytest.mark.parametrize("wrong", ["secret", "key"])
def test_wrong_credentials_are_named_at_once(
    store: ObjectStore, s3_settings: Settings, wrong: str
) -> None:
    store.put("raw/k", b"x")
    change = (
        {"object_store_secret_key": SecretStr("not-the-secret-key")}
        if wrong == "secret"
        else {"object_store_access_key": "nobody"}
    )
    stranger = open_store(s3_settings.model_copy(update=change))
    started = time.monotonic()
    for ask in (
        lambda: stranger.read("raw/k"),
        lambda: stranger.put("raw/k", b"y"),
        lambda: list(stranger.list("raw/")),
        lambda: stranger.stat("raw/k"),
        stranger.prepare,
    ):
        with pytest.raises(AccessDenied):
            ask()
    assert time.monotonic() - started < 5
    assert store.read("raw/k") == b"x"


def test_a_bucket_that_is_not_there_is_a_matter_of_configuration(s3_settings: Settings) -> None:
    store = open_store(s3_settings.model_copy(update={"raw_bucket": "no-such-bucket-here"}))
    with pytest.raises(ConfigurationError):
        store.put("raw/k", b"x")
    with pytest.raises(ConfigurationError):
        list(store.list("raw/"))


def test_an_endpoint_that_is_not_there_is_named_within_seconds(s3_settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        store = open_store(s3_settings.model_copy(update={"object_store_endpoint": url}))
        started = time.monotonic()
        with pytest.raises(StorageUnavailable):
            store.put("raw/k", b"x")
        with pytest.raises(StorageUnavailable):
            store.read("raw/k")
        assert time.monotonic() - started < 15


def test_a_read_survives_a_connection_that_breaks_in_the_middle(
    store: ObjectStore, s3_settings: Settings, wire: Wire
) -> None:
    data = bytes(range(256)) * 8_000
    store.put("raw/k", data)
    reader = through(wire, s3_settings)
    wire.cut_once_after(500_000)
    assert reader.read("raw/k") == data
    assert wire.connections > 1


def test_an_endpoint_that_goes_away_in_the_middle_is_named(
    store: ObjectStore, s3_settings: Settings, wire: Wire
) -> None:
    store.put("raw/k", b"x" * 20_000_000)
    reader = through(wire, s3_settings)
    with reader.open("raw/k") as file:
        assert file.read(10) == b"x" * 10
        wire.cut()
        with pytest.raises(StorageUnavailable):
            file.read()
    with pytest.raises(StorageUnavailable):
        list(reader.list("raw/"))


def test_an_endpoint_that_goes_away_during_a_large_put_leaves_no_object(
    store: ObjectStore, s3_settings: Settings, wire: Wire
) -> None:
    class CutsWhileRead:
        given = 0

        def read(self, size: int) -> bytes:
            if self.given > 2 * PART_BYTES:
                wire.cut()
            self.given += size
            return b"x" * size if self.given < 6 * PART_BYTES else b""

    with pytest.raises(StorageUnavailable):
        through(wire, s3_settings).put("raw/k", CutsWhileRead())  # type: ignore[arg-type]
    assert not store.exists("raw/k")


def test_s3fs_works_with_the_same_settings(store: ObjectStore, s3_settings: Settings) -> None:
    files = s3fs.S3FileSystem(**S3Connection.of(s3_settings).s3fs())
    with files.open(f"{s3_settings.lake_bucket}/lake/by/s3fs", "wb") as file:
        file.write(b"x" * 6_000_000)
    assert store.stat("lake/by/s3fs").size == 6_000_000
