"""Whoever looks at the inbox is told at once that something changed there, by the store itself.

A folder tells by inotify (`watchfiles`), a MinIO server by its own kind of bucket notification, which no other S3
server has. Only that something changed is told, in Dagster's database (:data:`CHANNEL`): what it was
and whether a drop is complete is for the sensor to see, which also looks from time to time untold.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator

import psycopg

from lakehouse.settings import Settings

#: Postgres' NOTIFY channel in Dagster's database.
CHANNEL = "lakehouse_inbox"
#: Changes that come together are told once.
_TOGETHER_MS = 200
#: After a store or a database that did not answer.
_PAUSE_SECONDS = 30.0

_LOG = logging.getLogger("orchestration.inbox")


def start(settings: Settings) -> None:
    """Tell from now on, as long as this process lives; a store that cannot tell is left to the sensor."""
    if not settings.uses_s3 or settings.object_store_admin == "minio":
        threading.Thread(
            target=tell, args=[settings, threading.Event()], name="inbox-watch", daemon=True
        ).start()


def tell(settings: Settings, stop: threading.Event) -> None:
    """Tell each change until ``stop`` is set."""
    while not stop.is_set():
        try:
            with psycopg.connect(os.environ["DAGSTER_POSTGRES_URL"], autocommit=True) as connection:
                for _ in _changes(settings, stop):
                    connection.execute(f"notify {CHANNEL}")
        except Exception as error:  # noqa: BLE001  (the SDK's errors have no common root; the sensor looks meanwhile)
            _LOG.warning("The inbox cannot be watched (%s).", type(error).__name__)
            stop.wait(_PAUSE_SECONDS)


def _changes(settings: Settings, stop: threading.Event) -> Iterator[None]:
    if not settings.uses_s3:
        from watchfiles import watch

        inbox = settings.store_folder / "inbox"
        inbox.mkdir(parents=True, exist_ok=True)
        for _ in watch(inbox, stop_event=stop, debounce=_TOGETHER_MS, step=50, watch_filter=None):
            yield
        return
    from lakehouse.store.s3 import listen

    for _ in listen(settings, "inbox/"):
        yield
        if stop.is_set():
            return
