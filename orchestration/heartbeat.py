"""The heartbeat: one row in Postgres and one object in the store, written and read back."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Engine, text

from lakehouse.errors import StorageError
from lakehouse.store import ObjectStore

_KEY = "lake/heartbeat"


@dataclass(frozen=True)
class Pulse:
    """Number of the beat and how long each store took, in seconds."""

    number: int
    postgres_seconds: float
    store_seconds: float


def beat(engine: Engine, store: ObjectStore) -> Pulse:
    """Beat once. Raises the store's or the database's own error where the plumbing leaks."""
    started = time.monotonic()
    with engine.begin() as connection:
        number = connection.execute(
            text("insert into heartbeat default values returning id")
        ).scalar_one()
    postgres_seconds = time.monotonic() - started

    started = time.monotonic()
    content = str(number).encode()
    store.put(_KEY, content)
    if store.read(_KEY) != content:
        raise StorageError(
            "The object store did not give back what was written.",
            hint="Another process may beat at the same time; if it stays so, check the store.",
        )
    return Pulse(int(number), postgres_seconds, time.monotonic() - started)
