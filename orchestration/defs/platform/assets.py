"""Assets that watch the platform itself."""

import dagster as dg

import quality
from orchestration.defs.publishing.assets import SPECS as PUBLISHED
from orchestration.heartbeat import beat
from orchestration.resources import PlatformResource
from orchestration.vocabulary import OWNERS, WHEN_MISSING_OR_CHANGED
from transformation import dbt_runner
from transformation.documents import write_dbt_docs


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


@dg.asset(
    key=["platform", "site"],
    deps=[spec.key for spec in PUBLISHED],
    group_name="platform",
    owners=OWNERS,
    kinds={"html"},
    # Its pages say what the models are, not what the data is: no need to make them at each publish.
    code_version=dbt_runner.project_fingerprint(),
    automation_condition=WHEN_MISSING_OR_CHANGED,
    description=(
        "The pages that the hub serves: Great Expectations' Data Docs and dbt docs. Made after the "
        "first publish, when the models change, and with the nightly maintenance."
    ),
)
def site(platform: PlatformResource) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata=write_site(platform))


def write_site(platform: PlatformResource) -> dict[str, bool]:
    """Bring the hub's pages up to date; says which were made anew."""
    settings = platform.open().settings
    quality.build_data_docs(settings)
    return {"dbt_docs_made": write_dbt_docs(settings) is not None}
