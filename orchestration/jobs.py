"""The jobs: named selections of the one asset graph, started by sensors, schedules and commands."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from orchestration.defs.quality.checks import HELD_CHECK, check_job, check_specs

_RAW = dg.AssetSelection.groups("raw").materializable().without_checks()
_LAKE = dg.AssetSelection.groups("silver", "gold", "marts") | dg.AssetSelection.checks(
    HELD_CHECK.key, *[spec.key for spec in check_specs("bronze")]
)
_PUBLISHED = dg.AssetSelection.groups("published")

intake_job = dg.define_asset_job(
    "intake", selection=_RAW, description="Register closed drops as submissions and stage them."
)
landing_job = dg.define_asset_job(
    "landing",
    selection=dg.AssetSelection.groups("bronze").without_checks(),
    description="Land one submission in Bronze.",
)
build_job = dg.define_asset_job(
    "build",
    selection=_LAKE | _PUBLISHED,
    description="Silver, Gold and marts from everything pending; checks; publish.",
)
transform_job = dg.define_asset_job(
    "transform",
    selection=_LAKE,
    description="Silver, Gold and marts from everything pending; checks; no publish.",
)
publish_job = dg.define_asset_job(
    "publish", selection=_PUBLISHED, description="Publish the marts as they are now."
)

JOBS: list[dg.JobDefinition | UnresolvedAssetJobDefinition] = [
    intake_job,
    landing_job,
    build_job,
    transform_job,
    check_job,
    publish_job,
]
