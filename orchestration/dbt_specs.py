"""dbt's manifest as Dagster definitions: models as assets, tests as asset checks.

Ephemeral models are no assets: what builds on one depends on what that one reads.
"""

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg

from orchestration.vocabulary import OWNERS

Manifest = Mapping[str, Any]


def asset_key(node: Mapping[str, Any]) -> dg.AssetKey:
    """``layer/table``, as everywhere else in the platform."""
    return dg.AssetKey([node["schema"], node.get("identifier") or node["name"]])


def asset_specs(manifest: Manifest, *layers: str) -> list[dg.AssetSpec]:
    """The models of ``layers``, each after those it builds on: a step has to yield them so."""
    found = {
        asset_key(node): (unique_id, node)
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model"
        and node["config"]["materialized"] != "ephemeral"
        and node["schema"] in layers
    }
    parents = {key: set(_parents(manifest, unique_id)) for key, (unique_id, _) in found.items()}
    order = TopologicalSorter(
        {key: sorted(above & set(found)) for key, above in sorted(parents.items())}
    ).static_order()
    return [_spec(key, found[key][1], parents[key]) for key in order]


def test_specs(manifest: Manifest, assets: list[dg.AssetSpec]) -> dict[str, dg.AssetCheckSpec]:
    """unique_id of each dbt test of ``assets`` → the asset check that shows it."""
    keys = {spec.key for spec in assets}
    found: dict[str, dg.AssetCheckSpec] = {}
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "test":
            continue
        # A singular test over several models belongs to the first one it names.
        attached = node.get("attached_node") or next(iter(node["depends_on"]["nodes"]), None)
        if attached not in manifest["nodes"]:
            continue
        key = asset_key(manifest["nodes"][attached])
        if key in keys:
            found[unique_id] = dg.AssetCheckSpec(
                name=f"dbt_{node['name']}"[:250],
                asset=key,
                blocking=severity(node) is dg.AssetCheckSeverity.ERROR,
                description=node.get("description") or "A dbt test.",
            )
    return found


def sampled_columns(manifest: Manifest) -> dict[dg.AssetKey, frozenset[str]]:
    """The columns of each model whose values may be shown: those whose YAML says so."""
    return {
        asset_key(node): frozenset(
            name
            for name, column in node["columns"].items()
            if column.get("config", {}).get("meta", {}).get("sample") is True
        )
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }


def severity(test: Mapping[str, Any]) -> dg.AssetCheckSeverity:
    """dbt's severity of a test as Dagster's."""
    is_error = str(test["config"].get("severity", "error")).lower() == "error"
    return dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN


def _parents(manifest: Manifest, unique_id: str) -> Iterator[dg.AssetKey]:
    """Assets that a model reads, through ephemeral models; other databases' tables are none."""
    for parent in manifest["nodes"][unique_id]["depends_on"]["nodes"]:
        node = manifest["nodes"].get(parent) or manifest["sources"].get(parent)
        if node is None:
            continue
        if node["resource_type"] == "model" and node["config"]["materialized"] == "ephemeral":
            yield from _parents(manifest, parent)
        elif node["resource_type"] == "model" or node["schema"] == "bronze":
            yield asset_key(node)


def _spec(key: dg.AssetKey, node: Mapping[str, Any], parents: set[dg.AssetKey]) -> dg.AssetSpec:
    columns = [
        dg.TableColumn(name, column.get("data_type") or "", description=column.get("description"))
        for name, column in node["columns"].items()
    ]
    return dg.AssetSpec(
        key=key,
        deps=sorted(parents),
        group_name=key.path[0],
        owners=OWNERS,
        kinds={"dbt", "duckdb", "ducklake"},
        description=node.get("description") or None,
        code_version=node["checksum"]["checksum"],
        metadata={"dagster/column_schema": dg.TableSchema(columns=columns)} if columns else {},
    )
