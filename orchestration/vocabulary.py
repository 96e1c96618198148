"""Words that several definitions share: groups, owners, pools, partitions, automation conditions."""

import dagster as dg

OWNERS = ["team:data-platform"]

#: One writer per layer at a time; the lake's advisory locks enforce it, this pool shows it.
LAKE_WRITER_POOL = "lake_writer"
LANDING_POOL = "landing"
PUBLISH_POOL = "publish"

#: A submission is the partition of everything up to Bronze.
SUBMISSIONS = dg.DynamicPartitionsDefinition(name="submission")

#: Fifty landed drops cost one build: wait until no landing is running, then run once.
AFTER_LANDINGS = (
    (
        dg.AutomationCondition.any_deps_updated() & ~dg.AutomationCondition.any_deps_in_progress()
    ).since(dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated())
    & ~dg.AutomationCondition.in_progress()
).with_label("after_landings")

#: Follow the layer above as soon as it is new and whole.
AFTER_UPSTREAM = dg.AutomationCondition.eager().with_label("after_upstream")

RETRY = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
