"""Set-up of buckets on a real S3 server; users where the server has MinIO's admin API."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from lakehouse import bucket_setup, secrets
from lakehouse.errors import ConfigurationError

if TYPE_CHECKING:
    from tests.integration.conftest import S3Endpoint


@pytest.fixture
def environ(s3_endpoint: S3Endpoint, tmp_path: Path) -> Mapping[str, str]:
    secrets.generate(
        tmp_path,
        {
            "MINIO_ROOT_USER": s3_endpoint.access_key,
            "MINIO_ROOT_PASSWORD": s3_endpoint.secret_key,
        },
    )
    unique = tmp_path.name.replace("_", "-")[:30].strip("-")
    return {
        "OBJECT_STORE_ENDPOINT": s3_endpoint.url,
        "OBJECT_STORE_REGION": s3_endpoint.region,
        "KEYS_FOLDER": str(tmp_path),
        "RAW_BUCKET": f"{unique}-raw",
        "LAKE_BUCKET": f"{unique}-lake",
        "COMPUTE_LOG_BUCKET": f"{unique}-logs",
    }


def test_the_raw_bucket_is_versioned_and_can_lock(
    s3_endpoint: S3Endpoint, environ: Mapping[str, str]
) -> None:
    bucket_setup.set_up(environ)
    client = s3_endpoint.client()
    assert client.get_bucket_versioning(Bucket=environ["RAW_BUCKET"])["Status"] == "Enabled"
    lock = client.get_object_lock_configuration(Bucket=environ["RAW_BUCKET"])
    assert lock["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"


def test_running_it_again_changes_nothing(environ: Mapping[str, str], tmp_path: Path) -> None:
    first = bucket_setup.set_up(environ)
    keys = {path: path.read_text() for path in (tmp_path / "platform").iterdir()}
    assert bucket_setup.set_up(environ) == first
    assert keys == {path: path.read_text() for path in (tmp_path / "platform").iterdir()}


def test_a_server_without_users_is_said_and_still_serves(
    s3_endpoint: S3Endpoint, environ: Mapping[str, str], tmp_path: Path
) -> None:
    messages = " ".join(bucket_setup.set_up(environ))
    if "Three users" in messages:
        pytest.skip("this server has users")
    assert "WARNING: this server cannot make users" in messages
    handed = (tmp_path / "platform/object_store_access_key").read_text()
    assert handed == s3_endpoint.access_key
    with pytest.raises(ConfigurationError, match="no MinIO admin API"):
        bucket_setup.set_up({**environ, "OBJECT_STORE_ADMIN": "minio"})


def test_a_given_key_is_used_as_it_is(
    s3_endpoint: S3Endpoint, environ: Mapping[str, str], tmp_path: Path
) -> None:
    given = {
        **environ,
        "OBJECT_STORE_ADMIN": "none",
        "OBJECT_STORE_ACCESS_KEY": s3_endpoint.access_key,
        "OBJECT_STORE_SECRET_KEY": s3_endpoint.secret_key,
    }
    bucket_setup.set_up(given)
    for audience, name in (("platform", "object_store"), ("dagster", "dagster_store")):
        secret = (tmp_path / audience / f"{name}_secret_key").read_text()
        assert secret == s3_endpoint.secret_key


def test_the_inbox_user_may_drop_and_do_nothing_else(
    s3_endpoint: S3Endpoint, environ: Mapping[str, str], tmp_path: Path
) -> None:
    if "Three users" not in " ".join(bucket_setup.set_up(environ)):
        pytest.skip("this server has no users")
    import dataclasses

    inbox = dataclasses.replace(
        s3_endpoint,
        access_key=(tmp_path / "logins/inbox_access_key").read_text(),
        secret_key=(tmp_path / "logins/inbox_secret_key").read_text(),
    ).client()
    inbox.put_object(Bucket=environ["RAW_BUCKET"], Key="inbox/a/b/c/f", Body=b"1")
    for attempt in (
        lambda: inbox.get_object(Bucket=environ["RAW_BUCKET"], Key="inbox/a/b/c/f"),
        lambda: inbox.put_object(Bucket=environ["RAW_BUCKET"], Key="raw/f", Body=b"1"),
        lambda: inbox.list_objects_v2(Bucket=environ["LAKE_BUCKET"]),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()


def test_policies_give_the_platform_no_right_to_delete_what_was_staged() -> None:
    buckets = bucket_setup.Buckets("raw", "lake", "logs", 30)
    for name, document in bucket_setup.policies(buckets).items():
        for statement in document["Statement"]:
            assert "s3:*" not in statement["Action"], name
            for resource in statement["Resource"]:
                if "s3:DeleteObject" in statement["Action"]:
                    assert resource != "arn:aws:s3:::raw/*", name
