"""Fixtures that need a server: an S3 endpoint for the tests that also run against one.

``TEST_S3_ENDPOINT``, ``TEST_S3_ACCESS_KEY``, ``TEST_S3_SECRET_KEY`` (and ``TEST_S3_REGION``) name
a server to test against. Without them Versity S3 Gateway is started where it is installed
(`go install github.com/versity/versitygw/cmd/versitygw@v1.8.0`), else those tests are skipped.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import botocore.session
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import SecretStr

from lakehouse.settings import Settings
from tests.s3_server import HEALTH, command_line, versitygw

_START_SECONDS = 20.0


@dataclass(frozen=True)
class S3Endpoint:
    """A reachable S3 server and a key that may do anything there."""

    url: str
    access_key: str
    secret_key: str
    region: str

    def settings(self, home: Path, **changes: object) -> Settings:
        """Settings with buckets of their own on this server."""
        unique = uuid.uuid4().hex[:10]
        values: dict[str, object] = {
            "LAKEHOUSE_HOME": home,
            "object_store_url": "s3:",
            "object_store_endpoint": self.url,
            "object_store_region": self.region,
            "object_store_access_key": self.access_key,
            "object_store_secret_key": SecretStr(self.secret_key),
            "raw_bucket": f"t-{unique}-raw",
            "lake_bucket": f"t-{unique}-lake",
            "privacy_key": SecretStr("key-of-the-tests"),
        }
        return Settings.model_validate(values | changes)

    def client(self) -> BaseClient:
        """A client of another make than the platform's, for looking behind its back."""
        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    def remove_buckets(self, settings: Settings) -> None:
        """Everything the test left: every version, held or not."""
        client = self.client()
        for bucket in (settings.raw_bucket, settings.lake_bucket):
            try:
                pages = list(client.get_paginator("list_object_versions").paginate(Bucket=bucket))
                for page in pages:
                    for found in page.get("Versions", []) + page.get("DeleteMarkers", []):
                        _delete_version(client, bucket, found["Key"], found["VersionId"])
                client.delete_bucket(Bucket=bucket)
            except client.exceptions.NoSuchBucket:
                continue


def _delete_version(client: BaseClient, bucket: str, key: str, version: str) -> None:
    try:
        client.delete_object(Bucket=bucket, Key=key, VersionId=version)
    except ClientError:
        client.delete_object(
            Bucket=bucket, Key=key, VersionId=version, BypassGovernanceRetention=True
        )


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Endpoint]:
    """The S3 server named by TEST_S3_*, or one started here."""
    url = os.environ.get("TEST_S3_ENDPOINT")
    if url:
        yield S3Endpoint(
            url=url.rstrip("/"),
            access_key=os.environ["TEST_S3_ACCESS_KEY"],
            secret_key=os.environ["TEST_S3_SECRET_KEY"],
            region=os.environ.get("TEST_S3_REGION", "us-east-1"),
        )
        return
    program = versitygw()
    if program is None:
        pytest.skip("no S3 server: set TEST_S3_ENDPOINT, or install versitygw (see the runbook)")
    yield from _serve(program, tmp_path_factory.mktemp("s3"))


def _serve(program: str, folder: Path) -> Iterator[S3Endpoint]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = S3Endpoint(f"http://127.0.0.1:{port}", "test-root", "test-root-secret", "us-east-1")
    log = folder / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command_line(program, folder, port=port),
            env=os.environ
            | {"ROOT_ACCESS_KEY": endpoint.access_key, "ROOT_SECRET_KEY": endpoint.secret_key},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_healthy(f"{endpoint.url}{HEALTH}", server, log)
            yield endpoint
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    pytest.fail(f"the S3 server did not start: {log.read_text(errors='replace')[-500:]}")


@pytest.fixture
def s3_settings(s3_endpoint: S3Endpoint, tmp_path: Path) -> Iterator[Settings]:
    """Settings for a pair of buckets of this test's own; removed afterwards."""
    settings = s3_endpoint.settings(tmp_path / "s3-home")
    yield settings
    s3_endpoint.remove_buckets(settings)
