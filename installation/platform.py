"""Opening the platform: settings, metadata engine and object store in one value.

Command line, Dagster and hub all start here, so that each sees the same stores.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from installation import databases, embedded
from lakehouse import lake, metadata
from lakehouse.errors import NoLakehouse
from lakehouse.settings import Settings, load_settings
from lakehouse.store import ObjectStore, open_store

if TYPE_CHECKING:
    from sqlalchemy import Engine

PROJECT_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Platform:
    """What work needs: every function that does work takes one of these parts as an argument."""

    settings: Settings
    engine: Engine
    store: ObjectStore


def open_platform(settings: Settings | None = None, *, create: bool = False) -> Platform:
    """The platform of ``settings`` (default: the environment's).

    Without POSTGRES_URL the embedded server is started, and with ``create`` made and set up on
    first use; with POSTGRES_URL the server must have been set up by ``lakehouse init``. Raises
    :class:`NoLakehouse` where there is none and ``create`` is false.
    """
    if settings is None:
        settings = load_settings() if create else existing_settings()
    elif not create:
        _require(settings)
    uses_embedded = settings.postgres_url is None
    settings = embedded.ensure_running(settings)
    if uses_embedded:
        _set_up_once(settings)
    return Platform(settings, metadata.engine(settings), open_store(settings))


def existing_settings() -> Settings:
    """The environment's settings. Raises :class:`NoLakehouse` where they name no lakehouse, and makes
    nothing then."""
    return load_settings(before=_require)


def _require(settings: Settings) -> None:
    if settings.postgres_url is None and not embedded.is_made(settings):
        raise NoLakehouse(
            f"There is no lakehouse here ({settings.home.resolve()}).",
            hint="Go to the project's folder, or set LAKEHOUSE_HOME to the folder of yours; "
            "`lakehouse init` makes a new one.",
        )


def set_up(settings: Settings) -> None:
    """Databases, migrations, lake schemas and the store's areas; idempotent."""
    databases.ensure(settings)
    metadata.migrate(settings)
    open_store(settings).prepare()
    lake.initialise(settings)


def _set_up_once(settings: Settings) -> None:
    """Set up where this version has not done so yet; a marker beside the data saves the check."""
    marker = embedded.data_folder(settings) / f"lakehouse-{_version(settings)}.ready"
    if marker.exists() and (settings.uses_s3 or settings.store_folder.exists()):
        return
    set_up(settings)
    marker.touch()


def _version(settings: Settings) -> str:
    """Changes with the migrations, and with the S3 store that has to hold the areas."""
    migrations = sorted((PROJECT_ROOT / "alembic" / "versions").glob("*.py"))
    digest = hashlib.sha256()
    if settings.uses_s3:
        place = (settings.object_store_endpoint, settings.raw_bucket, settings.lake_bucket)
        digest.update(repr(place).encode())
    for migration in migrations:
        digest.update(migration.read_bytes())
    return digest.hexdigest()[:12]
