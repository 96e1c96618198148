"""DuckLake: connecting, single-writer transactions, the catalog, upkeep.

Whoever changes rows that are there goes through :func:`write` or holds :func:`layer_lock`.
"""

from __future__ import annotations

from lakehouse.lake.catalog import keep_text_out_of_catalog, snapshot_id
from lakehouse.lake.connection import (
    LAKE,
    LAYERS,
    attach,
    attach_options,
    catalog_uri,
    connect,
    data_path,
    engine_settings,
    extension_file,
    kept_open,
    prepare,
    root,
)
from lakehouse.lake.set_up import initialise
from lakehouse.lake.writing import append, layer_lock, one_snapshot, write

__all__ = [
    "LAKE",
    "LAYERS",
    "append",
    "attach",
    "attach_options",
    "catalog_uri",
    "connect",
    "data_path",
    "engine_settings",
    "extension_file",
    "initialise",
    "keep_text_out_of_catalog",
    "kept_open",
    "layer_lock",
    "one_snapshot",
    "prepare",
    "root",
    "snapshot_id",
    "write",
]
