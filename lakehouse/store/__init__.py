"""The object store: one interface over a local folder and any S3 server.

Keys start with their area: ``inbox/…`` (what submitters drop), ``raw/…`` (what was taken,
immutable) and ``lake/…`` (Parquet). Locally a key is a path below the store's folder; on S3
``inbox`` and ``raw`` live in the raw bucket, ``lake`` in the lake bucket, with the key kept whole.
What is *in* the objects is no concern of this package.
"""

from __future__ import annotations

from lakehouse.settings import Settings
from lakehouse.store.connection import S3Connection
from lakehouse.store.folder import LocalStore, key_name
from lakehouse.store.interface import (
    AREAS,
    KeyNames,
    ObjectInfo,
    ObjectStore,
    checked_key,
    checked_prefix,
)
from lakehouse.store.ranged import RangedReader

__all__ = [
    "AREAS",
    "KeyNames",
    "LocalStore",
    "ObjectInfo",
    "ObjectStore",
    "RangedReader",
    "S3Connection",
    "checked_key",
    "checked_prefix",
    "key_name",
    "open_store",
]


def open_store(settings: Settings) -> ObjectStore:
    """The store that ``OBJECT_STORE_URL`` names."""
    if settings.uses_s3:
        from lakehouse.store.s3 import S3Store  # its SDK takes long to import

        return S3Store(settings)
    return LocalStore(settings.store_folder, settings)
