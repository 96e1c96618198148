"""One-shot set-up of the object store: buckets, what protects and ages them, users and their rights.

Buckets go through the S3 API alone, so any S3 server will do. Users exist only where the server has
MinIO's admin API; elsewhere one given key serves all (OBJECT_STORE_ADMIN=none). Whoever uses a key
gets it from here: this job writes it into the secret folders of the platform, Dagster and people.
Everything may run again at any time.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from minio import Minio, MinioAdmin
from minio.commonconfig import ENABLED, Filter
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, S3Error
from minio.lifecycleconfig import (
    AbortIncompleteMultipartUpload,
    Expiration,
    LifecycleConfig,
    NoncurrentVersionExpiration,
    Rule,
)
from minio.versioningconfig import VersioningConfig

from lakehouse import secrets
from lakehouse.errors import ConfigurationError, LakehouseError, StorageUnavailable

log = logging.getLogger(__name__)

#: S3 error codes of a server that lacks a feature, as far as servers agree on them.
_MISSING_FEATURE = {"NotImplemented", "MethodNotAllowed", "InvalidRequest", "InvalidBucketState"}
_EXISTS = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
#: The administrator's key was just proven on the S3 API, so a refusal here means: no such API.
_NO_SUCH_API = (400, 403, 404, 405, 501)
UNFINISHED_UPLOAD_DAYS = 7
LOGS_KEPT_DAYS = 30


@dataclass(frozen=True)
class Key:
    """An access key and its secret."""

    access: str
    secret: str


@dataclass(frozen=True)
class Buckets:
    """Names of the three buckets, and for how long what was dropped stays in the inbox."""

    raw: str
    lake: str
    logs: str
    inbox_kept_days: int


@dataclass(frozen=True)
class Users:
    """Who uses the store: the platform, people who drop files, Dagster's compute logs."""

    platform: Key
    inbox: Key
    dagster: Key


def make_buckets(client: Minio, buckets: Buckets) -> list[str]:
    """Make the buckets with versioning, object lock and ageing; returns what the server lacks.

    Raises :class:`StorageUnavailable` when the server does not answer.
    """
    lacking: list[str] = []
    try:
        if not client.bucket_exists(buckets.raw):
            _make_bucket(client, buckets.raw, lock=True, lacking=lacking)
        for bucket in (buckets.lake, buckets.logs):
            if not client.bucket_exists(bucket):
                _make_bucket(client, bucket, lock=False, lacking=lacking)
        _set(
            lacking,
            "versioning",
            client.set_bucket_versioning,
            buckets.raw,
            VersioningConfig(ENABLED),
        )
        for bucket, rules in _ageing(buckets).items():
            _set(lacking, "lifecycle", client.set_bucket_lifecycle, bucket, LifecycleConfig(rules))
    except urllib3.exceptions.HTTPError as error:
        raise StorageUnavailable(
            f"The object store does not answer ({type(error).__name__}).",
            hint="Check OBJECT_STORE_ENDPOINT and that the server is up.",
        ) from error
    except S3Error as error:
        raise ConfigurationError(
            f"The object store refused the set-up of buckets ({error.code}).",
            hint="Check the administrator's key, or the key given with OBJECT_STORE_ADMIN=none.",
        ) from error
    return sorted(set(lacking))


def _make_bucket(client: Minio, bucket: str, *, lock: bool, lacking: list[str]) -> None:
    try:
        client.make_bucket(bucket, object_lock=lock)
    except S3Error as error:
        if error.code in _EXISTS:
            return
        if not (lock and error.code in _MISSING_FEATURE):
            raise
        lacking.append("object lock")
        client.make_bucket(bucket)


def _set(lacking: list[str], feature: str, apply: Any, *arguments: Any) -> None:
    try:
        apply(*arguments)
    except S3Error as error:
        if error.code not in _MISSING_FEATURE:
            raise
        lacking.append(feature)


def _ageing(buckets: Buckets) -> dict[str, list[Rule]]:
    """What is dropped is copied to raw/ at once; its inbox copy and old versions may go later."""

    def rule(name: str, prefix: str, **actions: Any) -> Rule:
        return Rule(ENABLED, rule_filter=Filter(prefix=prefix), rule_id=name, **actions)

    def unfinished(prefix: str) -> Rule:
        return rule(
            "unfinished-uploads",
            prefix,
            abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(
                days_after_initiation=UNFINISHED_UPLOAD_DAYS
            ),
        )

    return {
        buckets.raw: [
            rule("inbox", "inbox/", expiration=Expiration(days=buckets.inbox_kept_days)),
            rule(
                "inbox-old-versions",
                "inbox/",
                noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=7),
            ),
            unfinished(""),
        ],
        buckets.lake: [unfinished("")],
        buckets.logs: [rule("logs", "", expiration=Expiration(days=LOGS_KEPT_DAYS))],
    }


def policies(buckets: Buckets) -> dict[str, dict[str, Any]]:
    """Policy document of each user by policy name (the IAM policy language, as S3 servers take it)."""

    def statement(actions: list[str], resources: list[str], **more: Any) -> dict[str, Any]:
        return {
            "Effect": "Allow",
            "Action": [f"s3:{action}" for action in actions],
            "Resource": [f"arn:aws:s3:::{resource}" for resource in resources],
            **more,
        }

    look = ["GetBucketLocation", "ListBucket", "ListBucketMultipartUploads"]
    write = ["PutObject", "AbortMultipartUpload", "ListMultipartUploadParts"]
    raw_settings = ["GetBucketVersioning", "GetBucketObjectLockConfiguration"]
    documents = {
        "lakehouse-platform": [
            statement([*look, *raw_settings, "ListBucketVersions"], [buckets.raw]),
            statement(
                [
                    "GetObject",
                    "GetObjectVersion",
                    "GetObjectRetention",
                    "PutObjectRetention",
                    *write,
                ],
                [f"{buckets.raw}/*"],
            ),
            # What was dropped may be cleared away; what was staged may not.
            statement(["DeleteObject"], [f"{buckets.raw}/inbox/*"]),
            statement([*look], [buckets.lake]),
            statement(["GetObject", "DeleteObject", *write], [f"{buckets.lake}/*"]),
        ],
        "lakehouse-inbox": [
            statement(["GetBucketLocation"], [buckets.raw]),
            statement(
                ["ListBucket"],
                [buckets.raw],
                Condition={"StringLike": {"s3:prefix": ["", "inbox", "inbox/*"]}},
            ),
            statement(write, [f"{buckets.raw}/inbox/*"]),
        ],
        "lakehouse-dagster": [
            statement(look, [buckets.logs]),
            statement(["GetObject", "DeleteObject", *write], [f"{buckets.logs}/*"]),
        ],
    }
    return {
        name: {"Version": "2012-10-17", "Statement": statements}
        for name, statements in documents.items()
    }


def has_users(admin: MinioAdmin) -> bool:
    """Whether the server has MinIO's admin API. Its own errors (5xx) are not taken for a no."""
    try:
        admin.policy_list()
    except MinioAdminException as error:
        if any(f"Status: {status}" in str(error) for status in _NO_SUCH_API):
            return False
        raise ConfigurationError(
            "The object store's admin API fails.", hint="Read the server's log, then start again."
        ) from error
    except ValueError:  # an answer that is not one of this API
        return False
    return True


def make_users(admin: MinioAdmin, buckets: Buckets, users: Users) -> None:
    """Make the three users and hold each to its policy.

    Raises :class:`MinioAdminException` where the server refuses.
    """
    documents = policies(buckets)
    for name, key in (
        ("lakehouse-platform", users.platform),
        ("lakehouse-inbox", users.inbox),
        ("lakehouse-dagster", users.dagster),
    ):
        admin.policy_add(name, policy=documents[name])
        admin.user_add(key.access, key.secret)
        try:
            admin.policy_set(name, user=key.access)
        except MinioAdminException as error:
            # A second run: the server says that nothing changed.
            if "already" not in str(error).lower():
                raise


def hand_out(folder: Path, users: Users) -> None:
    """Write each key where its user reads it."""
    for audience, names, key in (
        ("platform", "OBJECT_STORE", users.platform),
        ("platform", "DAGSTER_STORE", users.dagster),
        ("dagster", "DAGSTER_STORE", users.dagster),
        ("logins", "INBOX", users.inbox),
    ):
        secrets.write(folder / audience / f"{names.lower()}_access_key", key.access)
        secrets.write(folder / audience / f"{names.lower()}_secret_key", key.secret)


def set_up(environ: Mapping[str, str]) -> list[str]:
    """The whole job, from the environment; returns what a person should know.

    Raises :class:`ConfigurationError` when the server refuses, or has no users although
    OBJECT_STORE_ADMIN=minio insists on them.
    """
    mode = environ.get("OBJECT_STORE_ADMIN", "auto")
    endpoint = urlsplit(environ["OBJECT_STORE_ENDPOINT"])
    folder = Path(environ.get("KEYS_FOLDER", "/secrets"))
    own = {**_files(folder / "buckets"), **environ}

    def key(prefix: str, access: str, secret: str) -> Key:
        return Key(secrets.read(f"{prefix}_{access}", own), secrets.read(f"{prefix}_{secret}", own))

    users = Users(
        platform=key("OBJECT_STORE", "ACCESS_KEY", "SECRET_KEY"),
        inbox=key("INBOX", "ACCESS_KEY", "SECRET_KEY"),
        dagster=key("DAGSTER_STORE", "ACCESS_KEY", "SECRET_KEY"),
    )
    administrator = users.platform if mode == "none" else key("MINIO_ROOT", "USER", "PASSWORD")
    buckets = Buckets(
        raw=environ.get("RAW_BUCKET", "health-raw"),
        lake=environ.get("LAKE_BUCKET", "health-lake"),
        logs=environ.get("COMPUTE_LOG_BUCKET", "health-logs"),
        inbox_kept_days=int(environ.get("INBOX_KEPT_DAYS", "30")),
    )
    secure, region = endpoint.scheme == "https", environ.get("OBJECT_STORE_REGION", "us-east-1")
    client = Minio(
        endpoint.netloc,
        access_key=administrator.access,
        secret_key=administrator.secret,
        secure=secure,
        region=region,
    )
    messages = [f"The server has no {feature}." for feature in make_buckets(client, buckets)]
    if mode == "none":
        hand_out(folder, Users(administrator, administrator, administrator))
        return [*messages, "One key serves all (OBJECT_STORE_ADMIN=none)."]
    admin = MinioAdmin(
        endpoint=endpoint.netloc,
        credentials=StaticProvider(administrator.access, administrator.secret),
        secure=secure,
        region=region,
    )
    if not has_users(admin):
        if mode == "minio":
            raise ConfigurationError(
                "The object store has no MinIO admin API.",
                hint="Set OBJECT_STORE_ADMIN=none and give OBJECT_STORE_ACCESS_KEY and its secret.",
            )
        hand_out(folder, Users(administrator, administrator, administrator))
        return [
            *messages,
            "WARNING: this server cannot make users, so the administrator's key serves all."
            " Set OBJECT_STORE_ADMIN=none with a key of your own, or use a server with users.",
        ]
    try:
        make_users(admin, buckets, users)
    except MinioAdminException as error:
        raise ConfigurationError(
            "The object store refused to make the users.",
            hint="Secret keys need eight characters or more; see the server's log.",
        ) from error
    hand_out(folder, users)
    return [*messages, "Three users, each held to its policy."]


def _files(folder: Path) -> dict[str, str]:
    return {f"{path.name.upper()}_FILE": str(path) for path in folder.glob("[a-z]*")}


if __name__ == "__main__":
    try:
        for message in set_up(os.environ):
            sys.stdout.write(f"buckets: {message}\n")
    except LakehouseError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
