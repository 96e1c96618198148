"""The object store: one interface over a local folder and any S3 server.

Keys start with their area: ``inbox/…`` (what submitters drop), ``raw/…`` (what was taken,
immutable) and ``lake/…`` (Parquet). Locally a key is a path below the store's folder; on S3
``inbox`` and ``raw`` live in the raw bucket, ``lake`` in the lake bucket, with the key kept whole.
What is *in* the objects is no concern of this module.
"""

from __future__ import annotations

import builtins
import io
import logging
import os
import shutil
import stat as stat_flags
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, Protocol, cast
from urllib.parse import quote, urlsplit
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
from lakehouse.privacy import ref
from lakehouse.settings import Settings

log = logging.getLogger(__name__)

AREAS: Final = ("inbox", "raw", "lake")

#: A ranged read fetches at least this much; a reader that goes straight on doubles it each time.
READ_AHEAD_MIN: Final = 64 * 1024
READ_AHEAD_MAX: Final = 8 * 1024 * 1024
#: Objects up to one part are put in one request, larger ones by multipart upload.
PART_BYTES: Final = 16 * 1024 * 1024
#: S3 allows 10,000 parts: after the first thousand they grow, which makes 1 TB possible.
LATE_PART_BYTES: Final = 128 * 1024 * 1024
COPY_PART_BYTES: Final = 1024 * 1024 * 1024

_CHUNK: Final = 1024 * 1024
_READ_ATTEMPTS: Final = 3
_BACKOFF_SECONDS: Final = 0.2
#: Where local writes happen before they appear under their key: beside the areas, never listed.
_LOCAL_WORK: Final = ".incoming"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing says about one object. ``modified`` is in UTC, ``size`` in bytes.

    ``etag`` changes when the content is replaced; it is not a checksum that stores agree on.
    """

    key: str
    size: int
    etag: str
    modified: datetime


class ObjectStore(Protocol):
    """What the platform needs of a store. Every failure is one of the errors of this project:

    :class:`ObjectNotFound`, :class:`ObjectExists`, :class:`AccessDenied` (credentials, policy,
    immutable object), :class:`StorageUnavailable` (no answer within bounded retries).
    """

    def prepare(self) -> None:
        """Make folders or buckets; versioning and object lock on raw where the store has them."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose key starts with ``prefix``, in the order of their UTF-8 bytes, streamed."""

    def stat(self, key: str) -> ObjectInfo: ...

    def exists(self, key: str) -> bool: ...

    def open(self, key: str) -> BinaryIO:
        """A seekable reader that fetches ranges as they are asked for."""

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes ``offset … offset + length``, fewer where the object ends before."""

    def put(self, key: str, data: bytes | BinaryIO, if_absent: bool = False) -> ObjectInfo:
        """Write an object whole or not at all, streaming; memory stays at one part.

        With ``if_absent`` exactly one of several racing writers wins, the others get
        :class:`ObjectExists`.
        """

    def copy(self, source: str, target: str, if_absent: bool = False) -> ObjectInfo: ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def delete_prefix(self, prefix: str) -> int:
        """Remove every object below ``prefix``; gives their number."""

    def make_immutable(self, key: str) -> bool:
        """Refuse to replace or delete the object from now on.

        False where this store cannot hold that (no object lock, or no retention is set).
        """

    def url(self, key: str) -> str:
        """What DuckDB and dlt read: an absolute path or ``s3://bucket/key``."""


def open_store(settings: Settings) -> ObjectStore:
    """The store that ``OBJECT_STORE_URL`` names."""
    if settings.uses_s3:
        return S3Store(settings)
    return LocalStore(settings.store_folder, settings)


def duckdb_secret_sql(settings: Settings) -> str | None:
    """The statement that gives DuckDB the store's credentials; None for a local folder."""
    if not settings.uses_s3:
        return None
    endpoint, secure = _endpoint(settings)
    parts = {
        "key_id": settings.object_store_access_key or "",
        "secret": _secret_key(settings),
        "endpoint": endpoint,
        "region": settings.object_store_region,
        "url_style": "vhost" if settings.object_store_endpoint is None else "path",
    }
    quoted = [f"{name} '{value.replace(chr(39), chr(39) * 2)}'" for name, value in parts.items()]
    use_ssl = f"use_ssl {str(secure).lower()}"
    return f"create or replace secret object_store (type s3, {', '.join([*quoted, use_ssl])})"


def fsspec_options(settings: Settings) -> dict[str, Any]:
    """Arguments of ``s3fs.S3FileSystem`` for this store; empty for a local folder."""
    if not settings.uses_s3:
        return {}
    return {
        "key": settings.object_store_access_key,
        "secret": _secret_key(settings),
        "endpoint_url": settings.object_store_endpoint,
        "client_kwargs": {"region_name": settings.object_store_region},
        "config_kwargs": {
            "s3": {
                "addressing_style": "auto" if settings.object_store_endpoint is None else "path"
            },
            "retries": {"max_attempts": 3},
            "connect_timeout": 5,
            "read_timeout": 60,
        },
    }


def _endpoint(settings: Settings) -> tuple[str, bool]:
    """``host:port`` and whether to use TLS."""
    if settings.object_store_endpoint is None:
        return "s3.amazonaws.com", True
    parts = urlsplit(settings.object_store_endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise ConfigurationError(
            "OBJECT_STORE_ENDPOINT is not of the form http(s)://host:port.",
            hint="Give scheme, host and port only; buckets are RAW_BUCKET and LAKE_BUCKET.",
        )
    return parts.netloc, parts.scheme == "https"


def _secret_key(settings: Settings) -> str:
    secret = settings.object_store_secret_key
    return secret.get_secret_value() if secret else ""


def _checked(key: str) -> str:
    """``key`` itself, or :class:`StorageError` when it could mean something outside its area."""
    segments = key.split("/")
    if segments[0] not in AREAS or len(segments) < 2:
        raise StorageError(
            "An object key must start with inbox/, raw/ or lake/.",
            hint="This is an error of the program, not of the data.",
        )
    if any(segment in ("", ".", "..") or "\0" in segment for segment in segments):
        raise StorageError("An object key has an empty or relative segment.")
    return key


def _checked_prefix(prefix: str) -> str:
    _checked(f"{prefix}x")  # a prefix may end anywhere in its last segment
    return prefix


class _Named:
    """Names keys in messages without showing file names, which may be patients' names."""

    def __init__(self, settings: Settings | None) -> None:
        key = settings.privacy_key if settings else None
        self._key = key.get_secret_value().encode() if key else None

    def __call__(self, key: str) -> str:
        return f"{key.split('/', 1)[0]}/{ref(key, self._key)}"


# Local folder ---------------------------------------------------------------------------------

# Names that are not UTF-8 reach Python as lone surrogates, which neither Postgres nor S3 can hold.
# In keys they are private-use characters instead, and turn back into their bytes in paths.
_SURROGATES = {0xDC80 + byte: 0xF780 + byte for byte in range(128)}
_FROM_SURROGATES = str.maketrans({code: chr(target) for code, target in _SURROGATES.items()})
_TO_SURROGATES = str.maketrans({target: chr(code) for code, target in _SURROGATES.items()})


class LocalStore:
    """A folder as object store. Writes appear whole, by rename or link.

    Symbolic links are not followed: an inbox must not lend out files from elsewhere on the machine.
    """

    def __init__(self, root: Path, settings: Settings | None = None) -> None:
        self.root = root
        self._named = _Named(settings)

    def prepare(self) -> None:
        for folder in (*AREAS, _LOCAL_WORK):
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder, _, start = _checked_prefix(prefix).rpartition("/")
        with self._translated(prefix):
            yield from self._walk(folder, start)

    def _walk(self, folder: str, start: str) -> Iterator[ObjectInfo]:
        entries: list[tuple[bytes, str, os.DirEntry[str]]] = []
        try:
            with os.scandir(self._path(folder)) as found:
                for entry in found:
                    name = entry.name.translate(_FROM_SURROGATES)
                    if name.startswith(start) and not entry.is_symlink():
                        # S3 compares whole keys: below a folder its name ends with a slash.
                        whole = name + "/" if entry.is_dir() else name
                        entries.append((whole.encode(), name, entry))
        except (FileNotFoundError, NotADirectoryError):
            return
        entries.sort(key=lambda item: item[0])
        for order, name, entry in entries:
            if order.endswith(b"/"):
                yield from self._walk(f"{folder}/{name}", "")
                continue
            try:
                yield _info(f"{folder}/{name}", entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue  # removed while listing, as S3 would not have listed it either

    def stat(self, key: str) -> ObjectInfo:
        with self._translated(key):
            return _info(key, self._file_status(key))

    def exists(self, key: str) -> bool:
        try:
            self.stat(key)
        except ObjectNotFound:
            return False
        return True

    def open(self, key: str) -> BinaryIO:
        with self._translated(key):
            self._file_status(key)
            return self._path(key).open("rb", buffering=READ_AHEAD_MIN)

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        with self._translated(key):
            self._file_status(key)
            with self._path(key).open("rb", buffering=0) as file:
                file.seek(offset)
                # One read() gives at most 2 GiB on Linux; a buffered one asks until it has all.
                return io.BufferedReader(file).read(-1 if length is None else length)

    def put(self, key: str, data: bytes | BinaryIO, if_absent: bool = False) -> ObjectInfo:
        def fill(file: IO[bytes]) -> None:
            if isinstance(data, bytes):
                file.write(data)
            else:
                shutil.copyfileobj(data, file, _CHUNK)

        return self._write(key, fill, if_absent)

    def copy(self, source: str, target: str, if_absent: bool = False) -> ObjectInfo:
        with self.open(source) as file:
            return self.put(target, file, if_absent)

    def _write(self, key: str, fill: Callable[[IO[bytes]], None], if_absent: bool) -> ObjectInfo:
        target = self._path(_checked(key))
        with self._translated(key):
            self._refuse_immutable(key, target)
            target.parent.mkdir(parents=True, exist_ok=True)
            work = self.root / _LOCAL_WORK
            work.mkdir(parents=True, exist_ok=True)
            temporary = work / uuid.uuid4().hex
            try:
                with temporary.open("xb") as file:
                    fill(file)
                if if_absent:
                    os.link(temporary, target)
                    temporary.unlink()
                else:
                    temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            return _info(key, target.stat())

    def delete(self, key: str) -> None:
        with self._translated(key):
            path = self._path(_checked(key))
            self._refuse_immutable(key, path)
            path.unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> int:
        keys = [info.key for info in self.list(prefix)]
        for key in keys:
            self.delete(key)
        folder = self._path(prefix.rstrip("/"))
        if prefix.endswith("/") and folder.is_dir():
            with self._translated(prefix):
                shutil.rmtree(folder)  # the empty folders, and leftovers that listings do not show
        return len(keys)

    def make_immutable(self, key: str) -> bool:
        with self._translated(key):
            self._file_status(key)
            self._path(key).chmod(0o444)
        return True

    def url(self, key: str) -> str:
        return str(self._path(_checked(key)))

    def _path(self, key: str) -> Path:
        return self.root / key.translate(_TO_SURROGATES)

    def _file_status(self, key: str) -> os.stat_result:
        status = self._path(_checked(key)).lstat()
        if not stat_flags.S_ISREG(status.st_mode):
            raise FileNotFoundError
        return status

    def _refuse_immutable(self, key: str, path: Path) -> None:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        # The mode is asked, not the operating system: root may write whatever the mode says.
        if stat_flags.S_ISREG(mode) and not mode & 0o222:
            raise AccessDenied(
                f"{self._named(key)} is immutable.",
                hint="Raw objects stay as they came; withdraw the submission instead.",
            )

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise ObjectNotFound(f"{self._named(key)} does not exist.") from error
        except FileExistsError as error:
            raise ObjectExists(f"{self._named(key)} exists already.") from error
        except PermissionError as error:
            raise AccessDenied(
                f"{self._named(key)} may not be read or written by this user.",
                hint="Check owner and mode of the store's folder.",
            ) from error
        except OSError as error:
            raise StorageUnavailable(
                f"{self._named(key)} could not be read or written ({error.strerror}).",
                hint="Check the disk and its free space.",
            ) from error


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size=status.st_size,
        etag=f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}",
        # Not mtime: `cp -p` and `rsync -t` set it to the past while the file is still arriving.
        modified=datetime.fromtimestamp(status.st_ctime, UTC),
    )


# S3 -------------------------------------------------------------------------------------------

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


class S3Store:
    """Buckets of an S3 server. Only the S3 API is used, nothing of one product."""

    def __init__(self, settings: Settings) -> None:
        endpoint, secure = _endpoint(settings)
        self._buckets = {
            "inbox": settings.raw_bucket,
            "raw": settings.raw_bucket,
            "lake": settings.lake_bucket,
        }
        self._retention = timedelta(days=settings.raw_retention_days)
        self._region = settings.object_store_region
        self._named = _Named(settings)
        self._client = _Client(
            endpoint,
            access_key=settings.object_store_access_key,
            secret_key=_secret_key(settings),
            secure=secure,
            region=settings.object_store_region,
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
        bucket = self._bucket(_checked_prefix(prefix))
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
            errors = list(self._client.remove_objects(self._bucket(prefix), found()))
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

    def url(self, key: str) -> str:
        return f"s3://{self._bucket(_checked(key))}/{key}"

    def _bucket(self, key: str) -> str:
        return self._buckets[_checked_prefix(key).split("/", 1)[0]]

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


class RangedReader(io.RawIOBase):
    """Reads an object by ranges: small ones after a seek, growing ones while going straight on."""

    def __init__(
        self, info: ObjectInfo, fetch: Callable[[str, int, int | None, str | None], bytes]
    ) -> None:
        super().__init__()
        self.name = "<object>"  # readers of formats ask a file for it; never the key
        self._info = info
        self._fetch = fetch
        self._position = 0
        self._window = b""
        self._window_start = 0
        self._ahead = READ_AHEAD_MIN

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._info.size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(self._info.size - self._position, 0))
        if wanted == 0:
            return 0
        start = self._position - self._window_start
        if not 0 <= start < len(self._window):
            self._move_window(wanted, goes_on=start == len(self._window) > 0)
            start = 0
        data = self._window[start : start + wanted]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _move_window(self, wanted: int, *, goes_on: bool) -> None:
        self._ahead = min(self._ahead * 2, READ_AHEAD_MAX) if goes_on else READ_AHEAD_MIN
        length = min(max(wanted, self._ahead), self._info.size - self._position)
        self._window = self._fetch(self._info.key, self._position, length, self._info.etag)
        self._window_start = self._position
        if len(self._window) < length:
            raise StorageUnavailable("The object store sent less than the object has.")

    def readall(self) -> bytes:
        left = self._info.size - self._position
        if left <= 0:
            return b""
        data = self._fetch(self._info.key, self._position, left, self._info.etag)
        self._position += len(data)
        return data
