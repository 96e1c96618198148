"""The object store on an S3 server, by the MinIO SDK and nothing that only one product has.

See :mod:`lakehouse.store` for the interface and for where keys live.
"""

from __future__ import annotations

import builtins
import io
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, Final, cast
from urllib.parse import quote
from xml.etree import ElementTree as ET

import urllib3
from minio import Minio
from minio.commonconfig import ENABLED, GOVERNANCE, CopySource
from minio.datatypes import Object
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error
from minio.helpers import DictType, md5sum_hash
from minio.retention import Retention
from minio.versioningconfig import VersioningConfig

from lakehouse.errors import (
    AccessDenied,
    ConfigurationError,
    ObjectExists,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
)
from lakehouse.settings import Settings
from lakehouse.store.connection import S3Connection
from lakehouse.store.interface import KeyNames, ObjectInfo, checked_key, checked_prefix
from lakehouse.store.ranged import READ_AHEAD_MIN, RangedReader

log = logging.getLogger(__name__)

#: Objects up to one part are put in one request, larger ones by multipart upload.
PART_BYTES: Final = 16 * 1024 * 1024
#: S3 allows 10,000 parts: after the first thousand they grow, which makes 1 TB possible.
LATE_PART_BYTES: Final = 128 * 1024 * 1024
COPY_PART_BYTES: Final = 1024 * 1024 * 1024
_READ_ATTEMPTS: Final = 3
_BACKOFF_SECONDS: Final = 0.2

_NOT_FOUND = {"NoSuchKey", "NoSuchVersion", "NoSuchUpload"}
_EXISTS = {"PreconditionFailed", "ConditionalRequestConflict"}
_DENIED = {
    "AccessDenied",
    "AllAccessDisabled",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthorizationHeaderMalformed",
    "InvalidToken",
    "ExpiredToken",
    "ObjectLocked",
}
_MISSING_FEATURE = {
    "NotImplemented",
    "MethodNotAllowed",
    "InvalidBucketState",
    "InvalidRequest",
    "ObjectLockConfigurationNotFoundError",
    "NoSuchObjectLockConfiguration",
    "VersioningNotConfigured",
}


class _Client(Minio):
    """The MinIO SDK and the conditional requests that its public methods do not offer.

    ``If-None-Match: *`` on PutObject and CompleteMultipartUpload is S3's "create only"
    (Amazon S3 API reference, "Conditional writes").
    """

    def put_bytes(self, bucket: str, key: str, data: bytes, if_absent: bool) -> None:
        headers: DictType = {"Content-Type": "application/octet-stream", **_condition(if_absent)}
        self._put_object(bucket, key, data, headers)

    def begin_upload(self, bucket: str, key: str) -> str:
        return self._create_multipart_upload(bucket, key, {})

    def put_part(self, bucket: str, key: str, upload: str, number: int, data: bytes) -> str:
        query: DictType = {"partNumber": str(number), "uploadId": upload}
        response = self._execute(
            "PUT", bucket, key, body=data, query_params=query, no_body_trace=True
        )
        return response.headers["etag"].strip('"')

    def copy_part(self, bucket: str, key: str, upload: str, number: int, headers: DictType) -> str:
        etag, _ = self._upload_part_copy(bucket, key, upload, number, headers)
        return etag.strip('"')

    def finish_upload(
        self, bucket: str, key: str, upload: str, etags: list[str], if_absent: bool
    ) -> None:
        root = ET.Element(
            "CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/"
        )
        for number, etag in enumerate(etags, start=1):
            part = ET.SubElement(root, "Part")
            ET.SubElement(part, "PartNumber").text = str(number)
            ET.SubElement(part, "ETag").text = f'"{etag}"'
        body = ET.tostring(root)
        headers: DictType = {
            "Content-Type": "application/xml",
            "Content-MD5": md5sum_hash(body) or "",
            **_condition(if_absent),
        }
        response = self._execute(
            "POST",
            bucket,
            key,
            body=body,
            headers=headers,
            query_params={"uploadId": upload},
        )
        # S3 may answer 200 and still fail: it keeps the connection alive while it assembles.
        if b"<Error" in response.data[:300]:
            raise S3Error.fromxml(response)

    def drop_upload(self, bucket: str, key: str, upload: str) -> None:
        self._abort_multipart_upload(bucket, key, upload)


def _condition(if_absent: bool) -> dict[str, str]:
    return {"If-None-Match": "*"} if if_absent else {}


def listen(settings: Settings, prefix: str) -> Iterator[None]:
    """Yields whenever objects below ``prefix`` of the raw bucket appear or go: MinIO's own notification.

    Ends where the server closes the connection; raises what the SDK raises.
    """
    client = Minio(**S3Connection.of(settings).minio())
    events = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    with client.listen_bucket_notification(settings.raw_bucket, prefix, "", events) as told:
        for _ in told:
            yield


class S3Store:
    """Buckets of an S3 server. Only the S3 API is used, nothing of one product."""

    def __init__(self, settings: Settings) -> None:
        self._buckets = {
            "inbox": settings.raw_bucket,
            "raw": settings.raw_bucket,
            "lake": settings.lake_bucket,
        }
        self._retention = timedelta(days=settings.raw_retention_days)
        self._region = settings.object_store_region
        self._named = KeyNames(settings)
        self._client = _Client(
            **S3Connection.of(settings).minio(),
            http_client=urllib3.PoolManager(
                maxsize=16,
                timeout=urllib3.Timeout(connect=5, read=60),
                retries=urllib3.Retry(
                    total=3,
                    read=1,
                    backoff_factor=_BACKOFF_SECONDS,
                    status_forcelist=[500, 502, 503, 504],
                ),
            ),
        )

    def prepare(self) -> None:
        with self._translated("raw/"):
            for bucket in dict.fromkeys(self._buckets.values()):
                if not self._client.bucket_exists(bucket):
                    self._make_bucket(bucket)
            self._ensure_versioning(self._buckets["raw"])

    def _make_bucket(self, bucket: str) -> None:
        is_raw = bucket == self._buckets["raw"]
        try:
            self._client.make_bucket(bucket, location=self._region, object_lock=is_raw)
        except S3Error as error:
            if error.code in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                return  # another process was faster
            if not (is_raw and error.code in _MISSING_FEATURE):
                raise
            log.warning("This object store has no object lock: raw objects are not held by it.")
            self._client.make_bucket(bucket, location=self._region)

    def _ensure_versioning(self, bucket: str) -> None:
        try:
            if self._client.get_bucket_versioning(bucket).status != ENABLED:
                self._client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
        except S3Error as error:
            if error.code not in _MISSING_FEATURE | _DENIED:
                raise
            log.warning("The raw bucket's versioning cannot be read or set (%s).", error.code)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        bucket = self._bucket_below(prefix)
        with self._translated(prefix):
            for found in self._client.list_objects(bucket, prefix=prefix, recursive=True):
                if found.is_dir or found.object_name.endswith("/"):
                    continue  # an empty folder made in a console
                yield _s3_info(found.object_name, found)

    def stat(self, key: str) -> ObjectInfo:
        with self._translated(key):
            found = self._client.stat_object(self._bucket(key), key)
            return _s3_info(key, found)

    def exists(self, key: str) -> bool:
        try:
            self.stat(key)
        except ObjectNotFound:
            return False
        return True

    def open(self, key: str) -> BinaryIO:
        reader = RangedReader(self.stat(key), self._fetch)
        return cast(BinaryIO, io.BufferedReader(reader, READ_AHEAD_MIN))

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            return b""
        return self._fetch(key, offset, length, None)

    def _fetch(self, key: str, offset: int, length: int | None, etag: str | None) -> bytes:
        """One ranged GET, tried again when the connection breaks in the middle of the body."""
        for attempt in range(1, _READ_ATTEMPTS + 1):
            try:
                with self._translated(key):
                    return self._fetch_once(key, offset, length, etag)
            except StorageUnavailable as error:
                broke_midway = isinstance(error.__cause__, urllib3.exceptions.HTTPError)
                gave_up = isinstance(error.__cause__, urllib3.exceptions.MaxRetryError)
                if attempt == _READ_ATTEMPTS or gave_up or not broke_midway:
                    raise
                time.sleep(_BACKOFF_SECONDS * attempt)
        raise AssertionError("unreachable")

    def _fetch_once(self, key: str, offset: int, length: int | None, etag: str | None) -> bytes:
        try:
            response = self._client.get_object(
                self._bucket(key),
                key,
                offset=offset,
                length=length or 0,
                request_headers={"If-Match": f'"{etag}"'} if etag else None,
            )
        except S3Error as error:
            if error.code == "InvalidRange":
                return b""  # the range starts at or behind the end, as for every other reader
            if error.code == "PreconditionFailed":
                raise StorageUnavailable(
                    f"{self._named(key)} was replaced while it was read.", hint="Run it again."
                ) from error
            raise
        try:
            return response.read()
        finally:
            response.close()
            response.release_conn()

    def put(self, key: str, data: bytes | BinaryIO, if_absent: bool = False) -> ObjectInfo:
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        bucket = self._bucket(key)
        self._refuse_immutable(key)
        first = _read_part(stream, PART_BYTES)
        with self._translated(key):
            if len(first) < PART_BYTES:
                self._client.put_bytes(bucket, key, first, if_absent)
            else:
                self._refuse_existing(key, if_absent)
                with self._upload(bucket, key, if_absent) as (upload, etags):
                    for number, part in enumerate(_parts(first, stream), start=1):
                        etags.append(self._client.put_part(bucket, key, upload, number, part))
        return self.stat(key)

    def copy(self, source: str, target: str, if_absent: bool = False) -> ObjectInfo:
        self._refuse_immutable(target)
        bucket = self._bucket(target)
        if not if_absent:
            with self._translated(source):
                self._client.copy_object(bucket, target, CopySource(self._bucket(source), source))
            return self.stat(target)
        found = self.stat(source)
        if found.size < PART_BYTES:
            return self.put(target, self._fetch(source, 0, None, found.etag), if_absent=True)
        self._refuse_existing(target, if_absent)
        # CopyObject has no portable "create only"; completing a multipart copy has.
        with self._translated(target), self._upload(bucket, target, if_absent) as (upload, etags):
            for number, start in enumerate(range(0, found.size, COPY_PART_BYTES), start=1):
                end = min(start + COPY_PART_BYTES, found.size) - 1
                part: DictType = {
                    "x-amz-copy-source": quote(f"/{self._bucket(source)}/{source}"),
                    "x-amz-copy-source-range": f"bytes={start}-{end}",
                    "x-amz-copy-source-if-match": f'"{found.etag}"',
                }
                etags.append(self._client.copy_part(bucket, target, upload, number, part))
        return self.stat(target)

    def _refuse_existing(self, key: str, if_absent: bool) -> None:
        """Say it before gigabytes are sent; what decides a race is the condition at the end."""
        if if_absent and self.exists(key):
            raise ObjectExists(f"{self._named(key)} exists already.")

    @contextmanager
    def _upload(
        self, bucket: str, key: str, if_absent: bool
    ) -> Iterator[tuple[str, builtins.list[str]]]:
        """One multipart upload: its id, and the list that takes the parts' etags in order.

        It is completed at the end, or dropped on any failure so that nothing is left.
        """
        upload = self._client.begin_upload(bucket, key)
        etags: builtins.list[str] = []
        try:
            yield upload, etags
            self._client.finish_upload(bucket, key, upload, etags, if_absent)
        except BaseException:
            try:
                self._client.drop_upload(bucket, key, upload)
            except (MinioException, urllib3.exceptions.HTTPError) as error:
                log.warning("An unfinished upload could not be dropped (%s).", type(error).__name__)
            raise

    def delete(self, key: str) -> None:
        self._refuse_immutable(key)
        with self._translated(key):
            self._client.remove_object(self._bucket(key), key)

    def delete_prefix(self, prefix: str) -> int:
        count = 0

        def found() -> Iterator[DeleteObject]:
            nonlocal count
            for info in self.list(prefix):
                self._refuse_immutable(info.key)
                count += 1
                yield DeleteObject(info.key)

        with self._translated(prefix):
            errors = list(self._client.remove_objects(self._bucket_below(prefix), found()))
        if errors:
            raise AccessDenied(
                f"{len(errors)} objects could not be deleted ({errors[0].code}).",
                hint="Check the policy of the platform's key and the objects' retention.",
            )
        return count

    def make_immutable(self, key: str) -> bool:
        if not self._retention:
            return False
        until = datetime.now(UTC) + self._retention
        try:
            with self._translated(key):
                self._client.set_object_retention(
                    self._bucket(key), key, Retention(GOVERNANCE, until)
                )
        except StorageError as error:
            if isinstance(error.__cause__, S3Error) and error.__cause__.code in _MISSING_FEATURE:
                return False
            raise
        return True

    def settle(self, key: str) -> None:
        """Nothing to do: a server that has answered has stored."""

    def url(self, key: str) -> str:
        return f"s3://{self._bucket(key)}/{key}"

    def _bucket(self, key: str) -> str:
        return self._buckets[checked_key(key).split("/", 1)[0]]

    def _bucket_below(self, prefix: str) -> str:
        return self._buckets[checked_prefix(prefix).split("/", 1)[0]]

    def _refuse_immutable(self, key: str) -> None:
        """S3 would keep the locked version and put a newer one, or a delete marker, over it."""
        if not self._retention or not key.startswith("raw/"):
            return
        try:
            found = self._client.get_object_retention(self._bucket(key), key)
        except S3Error as error:
            if error.code in _NOT_FOUND | _MISSING_FEATURE:
                return
            with self._translated(key):
                raise
        if found is not None and found.retain_until_date > datetime.now(UTC):
            raise AccessDenied(
                f"{self._named(key)} is immutable.",
                hint="Raw objects stay as they came; withdraw the submission instead.",
            )

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        name = self._named(key)
        try:
            yield
        except S3Error as error:
            if error.code in _NOT_FOUND:
                raise ObjectNotFound(f"{name} does not exist.") from error
            if error.code in _EXISTS:
                raise ObjectExists(f"{name} exists already.") from error
            if error.code in _DENIED:
                raise AccessDenied(
                    f"The object store refused access to {name} ({error.code}).",
                    hint="Check OBJECT_STORE_ACCESS_KEY, OBJECT_STORE_SECRET_KEY and the policy.",
                ) from error
            if error.code == "NoSuchBucket":
                raise ConfigurationError(
                    "The object store has no such bucket.",
                    hint="Check RAW_BUCKET and LAKE_BUCKET; the store's set-up makes them.",
                ) from error
            raise StorageError(f"The object store failed on {name} ({error.code}).") from error
        except (urllib3.exceptions.HTTPError, MinioException) as error:
            raise StorageUnavailable(
                f"The object store did not answer for {name} ({type(error).__name__}).",
                hint="Check OBJECT_STORE_ENDPOINT and that the store is up.",
            ) from error


def _s3_info(key: str, found: Object) -> ObjectInfo:
    if found.size is None or found.last_modified is None:
        raise StorageError("The object store left size or time out of an answer.")
    return ObjectInfo(
        key=key,
        size=found.size,
        etag=(found.etag or "").strip('"'),
        modified=found.last_modified.astimezone(UTC),
    )


def _read_part(stream: BinaryIO, size: int) -> bytes:
    """Exactly ``size`` bytes, fewer only at the end: pipes and sockets give what they have."""
    pieces: list[bytes] = []
    missing = size
    while missing and (piece := stream.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _parts(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    part, number = first, 1
    while part:
        yield part
        number += 1
        part = _read_part(stream, PART_BYTES if number <= 1000 else LATE_PART_BYTES)
