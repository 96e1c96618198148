"""One server that does not answer hides no other."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from hub.observer import Observer
from lakehouse.settings import Settings


def test_name_lookups_that_hang_leave_threads_for_the_others(tmp_path: Path) -> None:
    settings = Settings(
        LAKEHOUSE_HOME=tmp_path,
        postgres_url="postgresql://nobody@127.0.0.1:1",
        hub_services="dagster=http://127.0.0.1:1",
    )
    released = threading.Event()

    async def look() -> str:
        watching = asyncio.create_task(Observer(settings).watch())
        await asyncio.sleep(0)  # it begins
        hanging = [asyncio.to_thread(released.wait) for _ in range(12)]
        lookups = asyncio.gather(*hanging)
        try:
            return await asyncio.wait_for(asyncio.to_thread(lambda: "an address"), 10)
        finally:
            released.set()
            await lookups
            watching.cancel()

    assert asyncio.run(look()) == "an address"
