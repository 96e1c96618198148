"""Every setting of the platform, read in one place from the environment and ``.env``.

The environment wins over ``.env``; a variable that is empty counts as unset. Each secret ``X`` is
also read from the file named by ``X_FILE``, so that containers can hand secrets over as files.
Placeholders are refused by name.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lakehouse.errors import ConfigurationError

DatabaseName = Literal["lakehouse", "ducklake", "dagster", "marts", "superset"]
DATABASES: tuple[DatabaseName, ...] = ("lakehouse", "ducklake", "dagster", "marts", "superset")

_SECRETS = ("postgres_password", "object_store_secret_key", "privacy_key")
#: Values that people leave in place by mistake; refused wherever a secret is read.
PLACEHOLDERS = frozenset({"changeme", "change-me", "replace-me", "<secret>", "password", "todo"})
#: Read from ``X_FILE`` where ``X`` is unset; an empty file counts as unset.
_FROM_FILES = (*_SECRETS, "object_store_access_key", "webhook_url", "nightscout_token")


class Settings(BaseSettings):
    """The settings tree. Field ``x_y`` is environment variable ``X_Y``."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(
        default=Path(".lakehouse"),
        validation_alias="LAKEHOUSE_HOME",
        description="Folder for everything that is not in Postgres or the object store.",
    )

    postgres_url: str | None = Field(
        default=None,
        description="postgresql://role@host:port without a database; unset starts the embedded server.",
    )
    postgres_password: SecretStr | None = Field(
        default=None, description="Password of the role in POSTGRES_URL."
    )
    database_prefix: str = Field(
        default="", pattern=r"^[a-z0-9_]*$", description="Put before every database name."
    )

    object_store_url: str | None = Field(
        default=None,
        description="file:<folder> or s3: ; unset means a folder below LAKEHOUSE_HOME.",
    )
    object_store_endpoint: str | None = Field(
        default=None, description="http(s)://host:port of the S3 server; unset means AWS."
    )
    object_store_region: str = "us-east-1"
    object_store_access_key: str | None = None
    object_store_secret_key: SecretStr | None = None
    object_store_admin: Literal["none", "minio"] = Field(
        default="none",
        description="Whether users and policies are made through MinIO's admin API.",
    )
    raw_bucket: str = Field(default="health-raw", description="Holds inbox/ and raw/.")
    lake_bucket: str = Field(default="health-lake", description="Holds lake/.")
    raw_retention_days: int = Field(
        default=0, ge=0, description="Object-lock retention of raw objects; 0 sets none."
    )

    group_by_depth: int = Field(
        default=3, ge=1, le=10, description="Path segments below inbox/ that make one drop."
    )
    quiescence_minutes: float = Field(
        default=1.0, ge=0, description="A drop without _SUCCESS closes after this long unchanged."
    )
    archive_max_gb: float = Field(
        default=100.0, gt=0, description="What an archive that is dropped may unpack to, in GB."
    )
    rejected_share_limit: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Of a table of which a larger share of rows cannot be read nothing is taken; 1: what can be.",
    )
    classifier_impl: str = Field(
        default="ingestion.intake.classify:ContentClassifier",
        description="module:Class that names the type of each file.",
    )

    privacy_key: SecretStr | None = Field(
        default=None, description="Key of the hashes that stand for identifiers."
    )
    quality_rules: Path | None = Field(
        default=None,
        description="YAML file with rules and limits per submitter and file type; unset: none.",
    )
    nightscout_sites: Path | None = Field(
        default=None,
        description="YAML file with the Nightscout sites that are pulled; unset: none.",
    )
    nightscout_token: SecretStr | None = Field(
        default=None,
        description="Access token (or API_SECRET) of Nightscout sites without a token_file of their own.",
    )
    nightscout_minutes: int = Field(
        default=15, ge=1, description="How often Nightscout sites are pulled."
    )
    small_cell_minimum: int = Field(
        default=0, ge=0, description="Mart counts of patients below this are suppressed; 0 is off."
    )

    duckdb_memory_limit: str = "1GB"
    duckdb_threads: int = Field(default=2, ge=1)
    landing_processes: int = Field(default=2, ge=1, description="Landings at the same time.")
    publishes_kept: int = Field(default=3, ge=2, description="Published schemas kept for rollback.")
    snapshots_kept_days: int = Field(default=30, ge=1, description="Age at which snapshots expire.")
    runs_kept_days: int = Field(
        default=90, ge=1, description="Age at which Dagster runs are purged."
    )
    freshness_hours: float = Field(
        default=48.0,
        gt=0,
        description="A warning is raised when nothing was published for so long.",
    )
    inbox_poll_seconds: int = Field(
        default=1, ge=1, description="The least time between two looks of the sensor at the inbox."
    )
    worker_idle_minutes: float = Field(
        default=15.0,
        ge=0,
        description="How long the worker of the command line stays loaded unasked; 0: none is started.",
    )
    webhook_url: SecretStr | None = Field(
        default=None, description="Receives failures and blocked publishes as JSON."
    )
    backup_keys: str = Field(
        default="", description="Public keys of age, comma separated, to which backups are sealed."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    dagster_port: int = 3000
    superset_port: int = 8088
    hub_port: int = 54321
    hub_host: str = Field(default="127.0.0.1", description="Address the hub listens on.")
    allowed_hosts: str = Field(
        default="",
        description="Names, comma separated, under which Dagster's page and the hub are opened, besides localhost.",
    )
    hub_services: str | None = Field(
        default=None, description="Where the hub finds services: name=url, comma separated."
    )
    hub_reports: Path | None = Field(
        default=None, description="Folder in which the containers' health checks leave word."
    )
    hub_links: str | None = Field(
        default=None, description="Links the hub shows where a proxy is in front: name=url, …"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in _FROM_FILES:
            path = os.environ.get(f"{name.upper()}_FILE")
            if path and not values.get(name):
                try:
                    values[name] = Path(path).read_text(encoding="utf-8").strip() or None
                except OSError as error:
                    raise ConfigurationError(
                        f"{name.upper()}_FILE names a file that cannot be read ({error.strerror}).",
                        hint="Check the path and that this user may read it.",
                    ) from error
        return values

    @model_validator(mode="after")
    def _refuse_what_cannot_work(self) -> Settings:
        for name in _SECRETS:
            secret: SecretStr | None = getattr(self, name)
            if secret is not None and secret.get_secret_value().strip().lower() in PLACEHOLDERS:
                raise ConfigurationError(
                    f"{name.upper()} is still a placeholder.",
                    hint=f"Set {name.upper()} to a random value; `make secrets` writes one.",
                )
        if self.uses_s3 and not (self.object_store_access_key and self.object_store_secret_key):
            missing = (
                "OBJECT_STORE_SECRET_KEY"
                if self.object_store_access_key
                else "OBJECT_STORE_ACCESS_KEY"
            )
            raise ConfigurationError(
                f"{missing} is missing, but OBJECT_STORE_URL names an S3 store.",
                hint=f"Set {missing} (or {missing}_FILE for a secret).",
            )
        return self

    @property
    def uses_s3(self) -> bool:
        return bool(self.object_store_url and self.object_store_url.startswith("s3:"))

    @property
    def host_names(self) -> tuple[str, ...]:
        """The names of ALLOWED_HOSTS."""
        return tuple(name.strip() for name in self.allowed_hosts.split(",") if name.strip())

    @property
    def store_folder(self) -> Path:
        """Folder of the local object store (only where :attr:`uses_s3` is false)."""
        if self.object_store_url is None:
            return self.home.resolve() / "store"
        return Path(self.object_store_url.removeprefix("file:").removeprefix("//")).resolve()

    def database_url(self, name: DatabaseName | Literal["postgres"]) -> str:
        """SQLAlchemy URL (psycopg 3) of one of the platform's databases."""
        return self._url(name, "postgresql+psycopg")

    def libpq_url(self, name: DatabaseName | Literal["postgres"]) -> str:
        """libpq URL of one of the platform's databases."""
        return self._url(name, "postgresql")

    def libpq_dsn(self, name: DatabaseName | Literal["postgres"]) -> str:
        """The same as ``key=value`` pairs, as DuckDB's postgres extension wants it."""
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        parts = conninfo_to_dict(self.libpq_url(name))
        return make_conninfo(**{key: str(value) for key, value in parts.items()})

    def _url(self, name: str, scheme: str) -> str:
        if self.postgres_url is None:
            raise ConfigurationError(
                "No Postgres: POSTGRES_URL is unset and the embedded server was not started.",
                hint="Call installation.embedded.ensure_running(settings) first.",
            )
        database = name if name == "postgres" else self.database_prefix + name
        parts = urlsplit(self.postgres_url)
        user_info, _, host = parts.netloc.rpartition("@")
        user, _, password = user_info.partition(":")
        if not password and self.postgres_password is not None:
            password = quote(self.postgres_password.get_secret_value(), safe="")
        credentials = f"{user}:{password}@" if password else (f"{user}@" if user else "")
        return urlunsplit((scheme, credentials + host, f"/{database}", parts.query, ""))

    def with_home(self) -> Settings:
        """The same settings with ``home`` made absolute, created, and a privacy key in place."""
        home = self.home.resolve()
        update: dict[str, Any] = {"home": home}
        try:
            (home / "secrets").mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.privacy_key is None:
                update["privacy_key"] = SecretStr(secret_file(home / "secrets" / "privacy_key"))
        except OSError as error:
            raise ConfigurationError(
                f"The folder {home} cannot be made or written ({error.strerror}).",
                hint="Set LAKEHOUSE_HOME to a folder that this user may write to.",
            ) from error
        return self.model_copy(update=update)


def secret_file(path: Path) -> str:
    """The secret in ``path``, made once at random with mode 600; whoever comes first, all get the same.

    The file appears with its content or not at all. Raises :class:`ConfigurationError` where it is empty.
    """
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent) as made:
            made.write(secrets.token_urlsafe(32))
            made.flush()
            with suppress(FileExistsError):  # somebody else was first: theirs is the secret
                os.link(made.name, path)
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise ConfigurationError(
            f"The secret file {path.name} is empty.", hint="Delete it and start again."
        )
    return secret


def load_settings(before: Callable[[Settings], None] | None = None) -> Settings:
    """Settings of this process; ``before`` looks at them before the home folder is made.

    Raises :class:`ConfigurationError` that names the variable when one is missing, a placeholder
    or out of range.
    """
    settings = read_settings()
    if before is not None:
        before(settings)
    return settings.with_home()


def read_settings() -> Settings:
    """What is set, and nothing made. Raises :class:`ConfigurationError` as :func:`load_settings`."""
    from pydantic import ValidationError

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper() or "settings"
        raise ConfigurationError(
            f"{name} is not usable: {first['msg']}.", hint="See .env.example for what is allowed."
        ) from None
