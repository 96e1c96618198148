"""Who drops files: one user of the object store for each submitter, held to its own part of the inbox.

A submitter's key writes below ``inbox/<name>/`` and lists there; it reads nothing, sees no other
submitter's names, and can neither close nor overwrite another's drop. Users exist where the server
has MinIO's admin API; for another server :func:`policy` is the document to give it. In a local
folder the machine's own file rights hold instead.
"""

from __future__ import annotations

import json
import re
import secrets as randomness
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zoneinfo import available_timezones

from minio import MinioAdmin
from minio.error import MinioAdminException

from installation import secrets
from lakehouse.errors import ConfigurationError

#: A name is a path segment, part of a policy and of a user name: nothing in it may mean more than itself.
NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_PREFIX: Final = "inbox-"


@dataclass(frozen=True)
class Login:
    """A submitter's key of the object store."""

    submitter: str
    access_key: str
    secret_key: str


def checked_name(name: str) -> str:
    """``name`` itself. Raises :class:`ConfigurationError` where it is no name for a submitter."""
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            "A submitter's name has 1 to 32 lower-case letters, digits and hyphens,"
            " and neither starts nor ends with a hyphen.",
            hint="For example: north-clinic.",
        )
    return name


def checked_zone(zone: str | None) -> str | None:
    """``zone`` itself. Raises :class:`ConfigurationError` where the time zone database has none of that name."""
    if zone is not None and zone not in available_timezones():
        raise ConfigurationError(
            f"There is no time zone {zone}.", hint="For example: Europe/Berlin."
        )
    return zone


def access_key(name: str) -> str:
    return f"{_PREFIX}{checked_name(name)}"


def policy(name: str, raw_bucket: str) -> dict[str, Any]:
    """What a submitter's key may do, in the IAM policy language."""
    own = f"inbox/{checked_name(name)}"
    bucket = f"arn:aws:s3:::{raw_bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": [bucket]},
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [bucket],
                "Condition": {"StringLike": {"s3:prefix": [f"{own}/*"]}},
            },
            {
                "Effect": "Allow",
                "Action": [
                    "s3:PutObject",
                    "s3:AbortMultipartUpload",
                    "s3:ListMultipartUploadParts",
                ],
                "Resource": [f"{bucket}/{own}/*"],
            },
        ],
    }


def make_user(admin: MinioAdmin, name: str, raw_bucket: str) -> Login:
    """Make the submitter's user with a new secret key, or give the one there is a new one.

    Raises :class:`ConfigurationError` where the server refuses.
    """
    login = Login(name, access_key(name), randomness.token_urlsafe(24))
    with _explained("make the submitter's user"):
        admin.policy_add(_policy_name(name), policy=policy(name, raw_bucket))
        admin.user_add(login.access_key, login.secret_key)
        attach(admin, _policy_name(name), login.access_key)
    return login


def remove_user(admin: MinioAdmin, name: str) -> None:
    """Take the submitter's key away; what was dropped stays. Fine where there is none."""
    with _explained("remove the submitter's user"):
        if access_key(name) in json.loads(admin.user_list()):
            admin.user_remove(access_key(name))
            admin.policy_remove(_policy_name(name))


def attach(admin: MinioAdmin, policy_name: str, user: str) -> None:
    """Hold a user to a policy."""
    try:
        admin.policy_set(policy_name, user=user)
    except MinioAdminException as error:
        # A second run: the server says that nothing changed.
        if "already" not in str(error).lower():
            raise


def keep(folder: Path, login: Login) -> None:
    """Write a login where ``lakehouse credentials`` reads it."""
    secrets.write(folder / f"inbox_{login.submitter}_access_key", login.access_key)
    secrets.write(folder / f"inbox_{login.submitter}_secret_key", login.secret_key)


def forget(folder: Path, name: str) -> None:
    for part in ("access", "secret"):
        (folder / f"inbox_{checked_name(name)}_{part}_key").unlink(missing_ok=True)


def kept(folder: Path) -> Iterator[Login]:
    """The logins kept in ``folder``, by name."""
    for path in sorted(folder.glob("inbox_*_access_key")):
        name = path.name.removeprefix("inbox_").removesuffix("_access_key")
        secret = path.with_name(f"inbox_{name}_secret_key")
        if NAME.fullmatch(name) and secret.is_file():
            key = path.read_text(encoding="utf-8").strip()
            yield Login(name, key, secret.read_text(encoding="utf-8").strip())


def _policy_name(name: str) -> str:
    return f"lakehouse-{access_key(name)}"


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turns a refusal of the admin API into this project's error."""
    try:
        yield
    except MinioAdminException as error:
        raise ConfigurationError(
            f"The object store refused to {what}.",
            hint="The administrator's key and MinIO's admin API are needed: docs/runbook/services.md.",
        ) from error
