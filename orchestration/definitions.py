"""The code location: composes what the domains define. Nothing is decided here."""

import dagster as dg

from orchestration.defs.intake.assets import INBOX, layout_registry, raw_submission
from orchestration.defs.intake.sensors import inbox_sensor
from orchestration.defs.landing.assets import landing
from orchestration.defs.platform.assets import heartbeat, site
from orchestration.defs.platform.notifications import hourly_freshness, tell_failures
from orchestration.defs.platform.schedules import automation, heartbeat_schedule, nightly
from orchestration.defs.publishing.assets import published
from orchestration.defs.pulls.schedules import nightscout_schedule
from orchestration.defs.transformation.assets import gold, silver
from orchestration.jobs import JOBS
from orchestration.resources import PlatformResource

defs = dg.Definitions(
    assets=[
        INBOX,
        layout_registry,
        raw_submission,
        landing,
        silver,
        gold,
        published,
        heartbeat,
        site,
    ],
    jobs=JOBS,
    schedules=[nightly, heartbeat_schedule, hourly_freshness, nightscout_schedule],
    sensors=[inbox_sensor, automation, tell_failures],
    resources={"platform": PlatformResource()},
    # A run is a process already. A second one for each of its steps would load all this again, which
    # takes longer than most steps.
    executor=dg.in_process_executor,
)
