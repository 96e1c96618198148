"""Set-up of buckets and users on a real S3 server, and on one that answers as MinIO does."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from installation import bucket_setup, secrets, submitters
from lakehouse.errors import ConfigurationError
from tests.integration.conftest import S3Endpoint
from tests.minio_stand_in import minio_stand_in


@pytest.fixture(scope="module")
def minio(s3_endpoint: S3Endpoint) -> Iterator[S3Endpoint]:
    """A MinIO server: the one that TEST_S3_* names, else a stand-in before the gateway."""
    if _has_users(s3_endpoint):
        yield s3_endpoint
        return
    root = (s3_endpoint.access_key, s3_endpoint.secret_key, s3_endpoint.region)
    with minio_stand_in(s3_endpoint.url, *root) as url:
        yield dataclasses.replace(s3_endpoint, url=url)


def _has_users(endpoint: S3Endpoint) -> bool:
    root = bucket_setup.Key(endpoint.access_key, endpoint.secret_key)
    admin = bucket_setup.administration(endpoint.url, root, endpoint.region)
    return bucket_setup.has_users(admin)


def _environ(endpoint: S3Endpoint, folder: Path) -> Mapping[str, str]:
    root = {"MINIO_ROOT_USER": endpoint.access_key, "MINIO_ROOT_PASSWORD": endpoint.secret_key}
    secrets.generate(folder, root)
    unique = f"t-{uuid.uuid4().hex[:10]}"
    return {
        "OBJECT_STORE_ENDPOINT": endpoint.url,
        "OBJECT_STORE_REGION": endpoint.region,
        "KEYS_FOLDER": str(folder),
        "RAW_BUCKET": f"{unique}-raw",
        "LAKE_BUCKET": f"{unique}-lake",
        "COMPUTE_LOG_BUCKET": f"{unique}-logs",
    }


@pytest.fixture
def environ(minio: S3Endpoint, tmp_path: Path) -> Mapping[str, str]:
    return _environ(minio, tmp_path)


def _user(endpoint: S3Endpoint, access_key: str, secret_key: str) -> S3Endpoint:
    return dataclasses.replace(endpoint, access_key=access_key, secret_key=secret_key)


def _admin(endpoint: S3Endpoint) -> bucket_setup.MinioAdmin:
    root = bucket_setup.Key(endpoint.access_key, endpoint.secret_key)
    return bucket_setup.administration(endpoint.url, root, endpoint.region)


def test_the_raw_bucket_is_versioned_and_can_lock(
    minio: S3Endpoint, environ: Mapping[str, str]
) -> None:
    bucket_setup.set_up(environ)
    client = minio.client()
    assert client.get_bucket_versioning(Bucket=environ["RAW_BUCKET"])["Status"] == "Enabled"
    lock = client.get_object_lock_configuration(Bucket=environ["RAW_BUCKET"])
    assert lock["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"


def test_a_rule_that_the_server_does_not_know_is_said_and_the_others_are_set(
    minio: S3Endpoint, environ: Mapping[str, str]
) -> None:
    messages = bucket_setup.set_up(environ)
    assert "The server has no lifecycle rule unfinished-uploads." in messages
    rules = minio.client().get_bucket_lifecycle_configuration(Bucket=environ["RAW_BUCKET"])
    assert {rule["ID"] for rule in rules["Rules"]} == {"inbox", "inbox-old-versions"}


def test_running_it_again_changes_nothing(environ: Mapping[str, str], tmp_path: Path) -> None:
    first = bucket_setup.set_up(environ)
    keys = {path: path.read_text() for path in (tmp_path / "platform").iterdir()}
    assert bucket_setup.set_up(environ) == first
    assert keys == {path: path.read_text() for path in (tmp_path / "platform").iterdir()}


def test_a_server_that_cannot_make_users_is_refused_and_root_goes_to_nobody(
    s3_endpoint: S3Endpoint, tmp_path: Path
) -> None:
    if _has_users(s3_endpoint):
        pytest.skip("this server has users")
    with pytest.raises(ConfigurationError, match="cannot make users") as refused:
        bucket_setup.set_up(_environ(s3_endpoint, tmp_path))
    assert "OBJECT_STORE_ADMIN=none" in str(refused.value)
    assert not (tmp_path / "platform/object_store_access_key").exists()
    for path in (tmp_path / "logins").iterdir():
        assert s3_endpoint.secret_key not in path.read_text()


def test_a_given_key_is_used_as_it_is_and_is_no_login_of_people(
    minio: S3Endpoint, environ: Mapping[str, str], tmp_path: Path
) -> None:
    given = {
        **environ,
        "OBJECT_STORE_ADMIN": "none",
        "OBJECT_STORE_ACCESS_KEY": minio.access_key,
        "OBJECT_STORE_SECRET_KEY": minio.secret_key,
    }
    bucket_setup.set_up(given)
    for audience, name in (("platform", "object_store"), ("dagster", "dagster_store")):
        secret = (tmp_path / audience / f"{name}_secret_key").read_text()
        assert secret == minio.secret_key
    for path in (tmp_path / "logins").iterdir():
        assert minio.secret_key not in path.read_text()


def test_a_submitter_drops_into_its_own_part_and_does_nothing_else(
    minio: S3Endpoint, environ: Mapping[str, str]
) -> None:
    bucket_setup.set_up(environ)
    raw = environ["RAW_BUCKET"]
    login = submitters.make_user(_admin(minio), f"north-{raw[2:8]}", raw)
    own = f"inbox/{login.submitter}"
    other = minio.client()
    other.put_object(Bucket=raw, Key="inbox/south/fhir/1/f.json", Body=b"theirs")
    other.put_object(Bucket=raw, Key=f"{own}x/fhir/1/f.json", Body=b"a name that begins alike")
    client = _user(minio, login.access_key, login.secret_key).client()
    client.put_object(Bucket=raw, Key=f"{own}/fhir/1/f.json", Body=b"mine")
    found = client.list_objects_v2(Bucket=raw, Prefix=f"{own}/")
    assert [one["Key"] for one in found["Contents"]] == [f"{own}/fhir/1/f.json"]
    for attempt in (
        lambda: client.get_object(Bucket=raw, Key=f"{own}/fhir/1/f.json"),
        lambda: client.delete_object(Bucket=raw, Key=f"{own}/fhir/1/f.json"),
        lambda: client.put_object(Bucket=raw, Key="inbox/south/fhir/1/f.json", Body=b"1"),
        lambda: client.put_object(Bucket=raw, Key="inbox/south/fhir/1/_SUCCESS", Body=b""),
        lambda: client.put_object(Bucket=raw, Key=f"{own}x/fhir/1/f.json", Body=b"1"),
        lambda: client.put_object(Bucket=raw, Key="raw/f", Body=b"1"),
        lambda: client.list_objects_v2(Bucket=raw),
        lambda: client.list_objects_v2(Bucket=raw, Prefix="inbox/", Delimiter="/"),
        lambda: client.list_objects_v2(Bucket=raw, Prefix="inbox/south/"),
        lambda: client.list_objects_v2(Bucket=environ["LAKE_BUCKET"]),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()
    assert other.get_object(Bucket=raw, Key="inbox/south/fhir/1/f.json")["Body"].read() == b"theirs"


def test_a_submitter_gets_a_new_key_and_loses_it_when_removed(
    minio: S3Endpoint, environ: Mapping[str, str], tmp_path: Path
) -> None:
    bucket_setup.set_up(environ)
    raw, admin = environ["RAW_BUCKET"], _admin(minio)
    name = f"east-{raw[2:8]}"
    first = submitters.make_user(admin, name, raw)
    second = submitters.make_user(admin, name, raw)
    assert first.access_key == second.access_key
    assert first.secret_key != second.secret_key
    submitters.keep(tmp_path / "logins", second)
    assert list(submitters.kept(tmp_path / "logins")) == [second]
    submitters.remove_user(admin, name)
    submitters.remove_user(admin, name)
    submitters.forget(tmp_path / "logins", name)
    assert list(submitters.kept(tmp_path / "logins")) == []
    gone = _user(minio, second.access_key, second.secret_key).client()
    with pytest.raises(ClientError):
        gone.put_object(Bucket=raw, Key=f"inbox/{name}/fhir/1/f", Body=b"1")


def test_a_rotated_key_is_the_users_and_its_readers_and_the_former_one_ends(
    minio: S3Endpoint, environ: Mapping[str, str], tmp_path: Path
) -> None:
    def opens(bucket: str, name: str, secret: str) -> bool:
        access = (tmp_path / f"platform/{name}_access_key").read_text()
        try:
            _user(minio, access, secret).client().list_objects_v2(Bucket=environ[bucket])
        except ClientError:
            return False
        return True

    bucket_setup.set_up(environ)
    for bucket, name in (
        ("RAW_BUCKET", "object_store"),
        ("COMPUTE_LOG_BUCKET", "dagster_store"),
    ):
        before = (tmp_path / f"platform/{name}_secret_key").read_text()
        assert opens(bucket, name, before)
        secrets.rotate(f"{name.upper()}_SECRET_KEY", tmp_path, {})
        assert (tmp_path / f"platform/{name}_secret_key").read_text() == before  # still works
        bucket_setup.set_up(environ)
        after = (tmp_path / f"platform/{name}_secret_key").read_text()
        assert before != after
        assert opens(bucket, name, after)
        assert not opens(bucket, name, before)


def test_an_administrators_new_password_is_taken_up_with_the_former_one(
    s3_endpoint: S3Endpoint, tmp_path: Path
) -> None:
    if _has_users(s3_endpoint):
        pytest.skip("the password of a server in use is not changed here")
    root = (s3_endpoint.access_key, s3_endpoint.secret_key, s3_endpoint.region)
    environ = dict(_environ(s3_endpoint, tmp_path))
    file = tmp_path / "minio/minio_root_password"
    with minio_stand_in(s3_endpoint.url, *root, password_file=file) as url:
        environ["OBJECT_STORE_ENDPOINT"] = url
        bucket_setup.set_up(environ)
        secrets.rotate("MINIO_ROOT_PASSWORD", tmp_path, {})
        bucket_setup.set_up(environ)
        moved = dataclasses.replace(s3_endpoint, url=url)
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            moved.client().list_buckets()
        new = dataclasses.replace(moved, secret_key=file.read_text())
        assert new.client().list_buckets()["Buckets"]


def test_the_one_key_for_all_submitters_of_earlier_versions_ends(
    minio: S3Endpoint, environ: Mapping[str, str], tmp_path: Path
) -> None:
    bucket_setup.set_up(environ)
    admin, shared = _admin(minio), f"inbox{environ['RAW_BUCKET'][2:8]}"
    admin.user_add(shared, "shared-secret")
    admin.policy_add("lakehouse-inbox", policy=submitters.policy("any", environ["RAW_BUCKET"]))
    secrets.write(tmp_path / "logins/inbox_access_key", shared)
    secrets.write(tmp_path / "logins/inbox_secret_key", "shared-secret")
    bucket_setup.set_up(environ)
    assert shared not in admin.user_list()
    assert not list((tmp_path / "logins").glob("inbox*"))


@pytest.mark.parametrize(
    "name", ["", "*", "a/b", "North", "a_b", "-a", "a-", "${aws:username}", "a" * 33]
)
def test_a_name_that_could_mean_more_than_itself_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="submitter's name"):
        submitters.policy(name, "raw")


def test_policies_give_the_platform_no_right_to_delete_what_was_staged() -> None:
    buckets = bucket_setup.Buckets("raw", "lake", "logs", 30)
    for name, document in bucket_setup.policies(buckets).items():
        for statement in document["Statement"]:
            assert "s3:*" not in statement["Action"], name
            for resource in statement["Resource"]:
                if "s3:DeleteObject" in statement["Action"]:
                    assert resource != "arn:aws:s3:::raw/*", name
