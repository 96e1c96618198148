"""When the hub's pages are made: after the first publish, not at each one."""

from __future__ import annotations

import dagster as dg
import pytest

from orchestration.defs.platform.assets import site
from orchestration.defs.publishing.assets import SPECS as PUBLISHED
from orchestration.resources import PlatformResource


@pytest.fixture
def definitions() -> dg.Definitions:
    return dg.Definitions(
        assets=[*[spec.replace_attributes(automation_condition=None) for spec in PUBLISHED], site],
        resources={"platform": PlatformResource()},
    )


def test_the_pages_are_made_once_there_is_something_published(definitions: dg.Definitions) -> None:
    instance = dg.DagsterInstance.ephemeral()

    def publish() -> None:
        for spec in PUBLISHED:
            instance.report_runless_asset_event(dg.AssetMaterialization(spec.key))

    first = dg.evaluate_automation_conditions(definitions, instance)
    assert first.total_requested == 0

    publish()
    second = dg.evaluate_automation_conditions(definitions, instance, cursor=first.cursor)
    assert second.get_num_requested(site.key) == 1

    instance.report_runless_asset_event(dg.AssetMaterialization(site.key))
    publish()
    third = dg.evaluate_automation_conditions(definitions, instance, cursor=second.cursor)
    assert third.total_requested == 0


def test_pages_that_could_not_be_made_are_not_asked_for_at_every_look(
    definitions: dg.Definitions,
) -> None:
    instance = dg.DagsterInstance.ephemeral()
    for spec in PUBLISHED:
        instance.report_runless_asset_event(dg.AssetMaterialization(spec.key))
    first = dg.evaluate_automation_conditions(definitions, instance)
    second = dg.evaluate_automation_conditions(definitions, instance, cursor=first.cursor)
    assert (first.total_requested, second.total_requested) == (1, 0)
