"""Words that several definitions share: groups, owners, pools, partitions, automation conditions."""

import dagster as dg

from lakehouse.settings import read_settings

OWNERS = ["team:data-platform"]

#: One writer per layer at a time; the lake's advisory locks enforce it, this pool shows it.
LAKE_WRITER_POOL = "lake_writer"
LANDING_POOL = "landing"
PUBLISH_POOL = "publish"

#: A submission is the partition of everything up to Bronze.
SUBMISSIONS = dg.DynamicPartitionsDefinition(name="submission")

#: The daemon leaves out sensors that it asked less than their interval ago.
SENSOR_SECONDS = read_settings().inbox_poll_seconds

#: A run in one of these is on its way.
ACTIVE_STATUSES = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

#: Once everything above it is there, and again when its own code changes; not with the data.
WHEN_MISSING_OR_CHANGED = (
    (
        dg.AutomationCondition.missing().newly_true()
        | dg.AutomationCondition.code_version_changed()
    ).since(dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated())
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
).with_label("when_missing_or_changed")

RETRY = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
