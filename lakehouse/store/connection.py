"""How each library is given the S3 server of the settings: said once, here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lakehouse.errors import ConfigurationError
from lakehouse.quoting import literal
from lakehouse.settings import Settings


@dataclass(frozen=True)
class S3Connection:
    """An S3 server and one key to it. ``endpoint`` is http(s)://host:port; None means AWS."""

    endpoint: str | None
    access_key: str
    secret_key: str
    region: str

    @classmethod
    def of(cls, settings: Settings) -> S3Connection:
        secret = settings.object_store_secret_key
        return cls(
            settings.object_store_endpoint,
            settings.object_store_access_key or "",
            secret.get_secret_value() if secret else "",
            settings.object_store_region,
        )

    @property
    def host(self) -> str:
        """``host:port``. Raises :class:`ConfigurationError` for anything but http(s)://host:port."""
        if self.endpoint is None:
            return "s3.amazonaws.com"
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
            raise ConfigurationError(
                "OBJECT_STORE_ENDPOINT is not of the form http(s)://host:port.",
                hint="Give scheme, host and port only; buckets are RAW_BUCKET and LAKE_BUCKET.",
            )
        return parts.netloc

    @property
    def secure(self) -> bool:
        return self.endpoint is None or self.endpoint.startswith("https://")

    def minio(self) -> dict[str, Any]:
        """Arguments of the MinIO SDK's client."""
        return {
            "endpoint": self.host,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "secure": self.secure,
            "region": self.region,
        }

    def duckdb_secret(self) -> str:
        """The statement that gives DuckDB the credentials."""
        parts = {
            "key_id": self.access_key,
            "secret": self.secret_key,
            "endpoint": self.host,
            "region": self.region,
            "url_style": "vhost" if self.endpoint is None else "path",
        }
        given = ", ".join(f"{name} {literal(value)}" for name, value in parts.items())
        use_ssl = f"use_ssl {str(self.secure).lower()}"
        return f"create or replace secret object_store (type s3, {given}, {use_ssl})"

    def s3fs(self) -> dict[str, Any]:
        """Arguments of ``s3fs.S3FileSystem``."""
        return {
            "key": self.access_key,
            "secret": self.secret_key,
            "endpoint_url": self.endpoint,
            "client_kwargs": {"region_name": self.region},
            "config_kwargs": {
                "s3": {"addressing_style": "auto" if self.endpoint is None else "path"},
                "retries": {"max_attempts": 3},
                "connect_timeout": 5,
                "read_timeout": 60,
            },
        }

    def dlt(self) -> dict[str, Any]:
        """dlt's ``AwsCredentials``."""
        return {
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "endpoint_url": self.endpoint,
            "region_name": self.region,
            "s3_url_style": "vhost" if self.endpoint is None else "path",
        }
