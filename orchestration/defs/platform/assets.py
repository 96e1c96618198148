"""Assets that watch the platform itself."""

import dagster as dg

from lakehouse.heartbeat import beat
from orchestration.resources import PlatformResource
from orchestration.vocabulary import OWNERS


@dg.asset(
    key=["platform", "heartbeat"],
    group_name="platform",
    owners=OWNERS,
    kinds={"postgres", "s3"},
    description="Proves the plumbing: writes a row in Postgres and an object in the store, reads both back.",
)
def heartbeat(platform: PlatformResource) -> dg.MaterializeResult[None]:
    opened = platform.open()
    pulse = beat(opened.engine, opened.store)
    return dg.MaterializeResult(
        metadata={
            "postgres_milliseconds": round(pulse.postgres_seconds * 1000, 1),
            "store_milliseconds": round(pulse.store_seconds * 1000, 1),
            "beat": pulse.number,
        }
    )
