"""One-shot set-up of the object store: buckets, what protects and ages them, users and their rights.

Buckets go through the S3 API alone, so any S3 server will do. Users exist only where the server has
MinIO's admin API; elsewhere a key of the operator's own serves the platform and Dagster
(OBJECT_STORE_ADMIN=none). Each service's key is handed to it from here: this job writes it into the
secret folders of the platform and Dagster. People who drop files have keys of their own
(:mod:`installation.submitters`). Everything may run again at any time.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from minio import Minio, MinioAdmin
from minio.commonconfig import ENABLED, Filter
from minio.credentials.providers import StaticProvider
from minio.error import InvalidResponseError, MinioAdminException, S3Error
from minio.lifecycleconfig import (
    AbortIncompleteMultipartUpload,
    Expiration,
    LifecycleConfig,
    NoncurrentVersionExpiration,
    Rule,
)
from minio.versioningconfig import VersioningConfig

from installation import secrets, submitters
from lakehouse.errors import ConfigurationError, LakehouseError, StorageUnavailable
from lakehouse.store import S3Connection

log = logging.getLogger(__name__)

#: S3 error codes of a server that lacks a feature, as far as servers agree on them. MinIO answers
#: InvalidArgument and MalformedXML to a lifecycle rule whose action it does not know.
_MISSING_FEATURE = {"NotImplemented", "MethodNotAllowed", "InvalidRequest", "InvalidBucketState"}
_UNKNOWN_RULE = _MISSING_FEATURE | {"InvalidArgument", "MalformedXML"}
_EXISTS = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
#: The administrator's key was just proven on the S3 API, so a refusal here means: no such API.
_NO_SUCH_API = (400, 403, 404, 405, 501)
_WRONG_KEY = "Check the administrator's key, or the key given with OBJECT_STORE_ADMIN=none."
_WHAT_TO_DO = {
    "AccessDenied": _WRONG_KEY,
    "InvalidAccessKeyId": _WRONG_KEY,
    "SignatureDoesNotMatch": _WRONG_KEY,
    "InvalidBucketName": "Bucket names have 3 to 63 lower-case letters, digits and hyphens.",
}
_RESTART_SECONDS = 60.0
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
    """Which services use the store: the platform, Dagster's compute logs."""

    platform: Key
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
            lacking += _set_ageing(client, bucket, rules)
    except urllib3.exceptions.HTTPError as error:
        raise StorageUnavailable(
            f"The object store does not answer ({type(error).__name__}).",
            hint="Check OBJECT_STORE_ENDPOINT and that the server is up.",
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            "RAW_BUCKET, LAKE_BUCKET or COMPUTE_LOG_BUCKET is no name for a bucket.",
            hint=_WHAT_TO_DO["InvalidBucketName"],
        ) from error
    except S3Error as error:
        raise ConfigurationError(
            f"The object store refused the set-up of bucket {error.bucket_name} ({error.code}).",
            hint=_WHAT_TO_DO.get(
                error.code or "", "Read the server's log for this time, then start again."
            ),
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


def _set_ageing(client: Minio, bucket: str, rules: list[Rule]) -> list[str]:
    """Give a bucket the rules that its server knows; returns what it lacks.

    One unknown rule makes a server refuse all of them, so each is tried by itself where the whole
    is refused.
    """
    if _takes(client, bucket, rules):
        return []
    known = [rule for rule in rules if _takes(client, bucket, [rule])]
    if known and not _takes(client, bucket, known):
        known = known[:1]  # a server with room for one rule: the first matters most
        _takes(client, bucket, known)
    return [f"lifecycle rule {rule.rule_id}" for rule in rules if rule not in known]


def _takes(client: Minio, bucket: str, rules: list[Rule]) -> bool:
    try:
        client.set_bucket_lifecycle(bucket, LifecycleConfig(rules))
    except S3Error as error:
        if error.code not in _UNKNOWN_RULE:
            raise
        return False
    return True


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
    raw_settings = [
        "GetBucketVersioning",
        "GetBucketObjectLockConfiguration",
        "ListenBucketNotification",  # MinIO's own: the inbox is watched
    ]
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
        "lakehouse-dagster": [
            statement(look, [buckets.logs]),
            statement(["GetObject", "DeleteObject", *write], [f"{buckets.logs}/*"]),
        ],
    }
    return {
        name: {"Version": "2012-10-17", "Statement": statements}
        for name, statements in documents.items()
    }


def administration(endpoint: str, administrator: Key, region: str) -> MinioAdmin:
    """MinIO's admin API at ``endpoint``."""
    there = S3Connection(endpoint, administrator.access, administrator.secret, region)
    return MinioAdmin(
        endpoint=there.host,
        credentials=StaticProvider(there.access_key, there.secret_key),
        secure=there.secure,
        region=there.region,
    )


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
    """Make the services' users and hold each to its policy.

    Raises :class:`MinioAdminException` where the server refuses.
    """
    documents = policies(buckets)
    for name, key in (
        ("lakehouse-platform", users.platform),
        ("lakehouse-dagster", users.dagster),
    ):
        admin.policy_add(name, policy=documents[name])
        admin.user_add(key.access, key.secret)
        submitters.attach(admin, name, key.access)


def retire_shared_inbox(admin: MinioAdmin, logins: Path) -> None:
    """Take away the one key for all submitters that earlier versions made."""
    key = logins / "inbox_access_key"
    if not key.exists():
        return
    name = key.read_text(encoding="utf-8").strip()
    if name in json.loads(admin.user_list()):
        admin.user_remove(name)
        admin.policy_remove("lakehouse-inbox")
    for path in (key, logins / "inbox_secret_key"):
        path.unlink(missing_ok=True)


def renew_administrator(
    client: Minio, endpoint: str, administrator: Key, former: str | None, region: str
) -> None:
    """Have the server read its administrator's new password: it does so at a start only.

    Nothing is done where the present one opens it, or no former one is known.
    Raises :class:`ConfigurationError` when it has not taken the new one within a minute.
    """
    if former is None or _opens(client):
        return
    log.warning("The administrator's password is new: the server starts again to read it.")
    administration(endpoint, Key(administrator.access, former), region).service_restart()
    deadline = time.monotonic() + _RESTART_SECONDS
    while time.monotonic() < deadline:
        if _opens(client):
            return
        time.sleep(0.5)
    raise ConfigurationError(
        "The object store has not taken its administrator's new password.",
        hint="Start it again: `docker compose up -d --force-recreate --wait minio`.",
    )


def _opens(client: Minio) -> bool:
    """Whether the server answers this key; not while it starts again."""
    try:
        client.list_buckets()
    except (S3Error, InvalidResponseError, urllib3.exceptions.HTTPError):
        return False
    return True


def hand_out(folder: Path, users: Users) -> None:
    """Write each key where its user reads it."""
    secrets.hand_out(
        folder,
        {
            "OBJECT_STORE_ACCESS_KEY": users.platform.access,
            "OBJECT_STORE_SECRET_KEY": users.platform.secret,
            "DAGSTER_STORE_ACCESS_KEY": users.dagster.access,
            "DAGSTER_STORE_SECRET_KEY": users.dagster.secret,
        },
    )


def set_up(environ: Mapping[str, str]) -> list[str]:
    """The whole job, from the environment; returns what a person should know.

    Raises :class:`ConfigurationError` when the server refuses, or cannot make users and no key was
    given instead: the administrator's key is never handed to a service or a person.
    """
    mode = environ.get("OBJECT_STORE_ADMIN", "minio")
    endpoint, region = (
        environ["OBJECT_STORE_ENDPOINT"],
        environ.get("OBJECT_STORE_REGION", "us-east-1"),
    )
    folder = Path(environ.get("KEYS_FOLDER", "/secrets"))
    own = {**_files(folder / "buckets"), **environ}

    def key(prefix: str, access: str, secret: str) -> Key:
        return Key(secrets.read(f"{prefix}_{access}", own), secrets.read(f"{prefix}_{secret}", own))

    users = Users(
        platform=key("OBJECT_STORE", "ACCESS_KEY", "SECRET_KEY"),
        dagster=key("DAGSTER_STORE", "ACCESS_KEY", "SECRET_KEY"),
    )
    administrator = users.platform if mode == "none" else key("MINIO_ROOT", "USER", "PASSWORD")
    buckets = Buckets(
        raw=environ.get("RAW_BUCKET", "health-raw"),
        lake=environ.get("LAKE_BUCKET", "health-lake"),
        logs=environ.get("COMPUTE_LOG_BUCKET", "health-logs"),
        inbox_kept_days=int(environ.get("INBOX_KEPT_DAYS", "30")),
    )
    client = Minio(
        **S3Connection(endpoint, administrator.access, administrator.secret, region).minio()
    )
    if mode == "minio":
        before = secrets.former("MINIO_ROOT_PASSWORD", own)
        renew_administrator(client, endpoint, administrator, before, region)
    messages = [f"The server has no {feature}." for feature in make_buckets(client, buckets)]
    if mode == "none":
        hand_out(folder, Users(administrator, administrator))
        return [*messages, "The key given serves all services (OBJECT_STORE_ADMIN=none)."]
    admin = administration(endpoint, administrator, region)
    if not has_users(admin):
        raise ConfigurationError(
            "The object store has no MinIO admin API, so it cannot make users.",
            hint="Set OBJECT_STORE_ADMIN=none and give OBJECT_STORE_ACCESS_KEY and"
            " OBJECT_STORE_SECRET_KEY: a key of that server which may use the three buckets.",
        )
    try:
        make_users(admin, buckets, users)
        retire_shared_inbox(admin, folder / "logins")
    except MinioAdminException as error:
        raise ConfigurationError(
            "The object store refused to make the users.",
            hint="Secret keys need eight characters or more; see the server's log.",
        ) from error
    hand_out(folder, users)
    return [*messages, "Two users for services, each held to its policy."]


def _files(folder: Path) -> dict[str, str]:
    return {f"{path.name.upper()}_FILE": str(path) for path in folder.glob("[a-z]*")}


if __name__ == "__main__":
    try:
        for message in set_up(os.environ):
            sys.stdout.write(f"buckets: {message}\n")
    except LakehouseError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
