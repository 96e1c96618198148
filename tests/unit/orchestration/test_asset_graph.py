"""The whole asset graph against a snapshot: a change of it is seen in review.

After a change on purpose: `UPDATE_SNAPSHOTS=1 pytest tests/unit/orchestration`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import dagster as dg
import pytest

SNAPSHOT = Path(__file__).parent / "asset_graph.json"


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    from orchestration.definitions import defs

    return defs


def drawn(definitions: dg.Definitions) -> dict[str, object]:
    """Assets with what they depend on, which are checked, jobs, schedules and sensors."""
    graph = definitions.resolve_asset_graph()
    assets = {
        key.to_user_string(): {
            "group": graph.get(key).group_name,
            "depends_on": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
            "partitioned": graph.get(key).is_partitioned,
        }
        for key in sorted(graph.get_all_asset_keys())
    }
    checked = {key.asset_key.to_user_string() for key in graph.asset_check_keys}
    repository = definitions.get_repository_def()
    return {
        "assets": assets,
        "checked": sorted(checked),
        "jobs": sorted(
            job.name for job in repository.get_all_jobs() if not job.name.startswith("__")
        ),
        "schedules": sorted(schedule.name for schedule in repository.schedule_defs),
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
    }


def test_the_graph_is_as_in_the_snapshot(definitions: dg.Definitions) -> None:
    found = drawn(definitions)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert found == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_mart_comes_from_the_inbox(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    published = [key for key in graph.get_all_asset_keys() if key.path[0] == "published"]
    assert published
    for key in published:
        above = set(graph.get_ancestor_asset_keys(key))
        assert dg.AssetKey(["inbox", "drops"]) in above, key.to_user_string()


def test_every_asset_says_what_it_is_and_who_owns_it(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    silent = [
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if not (graph.get(key).description and graph.get(key).owners and graph.get(key).kinds)
    ]
    assert silent == []


def test_every_rule_that_is_an_error_blocks(definitions: dg.Definitions) -> None:
    from quality.suites import rules

    graph = definitions.resolve_asset_graph()
    for layer in ("silver", "gold", "marts", "published"):
        for rule in rules(layer):
            key = dg.AssetCheckKey(dg.AssetKey([layer, rule.table]), rule.name)
            assert graph.get_check_spec(key).blocking == (rule.severity == "error"), rule.name
