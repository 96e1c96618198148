"""Checks the chain dashboard → chart → dataset → column of a published mart, without a server.

Columns of marts come from dbt's manifest (the documented columns of each model in schema
``marts``); columns of operations views from their SQL, which is in ``alembic/sql``. Also: every
UUID once, every asset managed externally, no address or password in the bundle.

    python superset/validate.py [manifest.json]     default: the one of the last build here
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
ASSETS = HERE / "assets"

#: Words of SQL that stand in metric expressions beside column names.
_SQL_WORDS = frozenset(
    "and as asc avg by case cast cont count desc distinct double else end filter false from group in"
    " is max min not null nullif or order over percentile_cont precision round sum then true when"
    " where within coalesce".split()
)


@dataclass
class Bundle:
    """The asset bundle by kind; each asset with the file it came from."""

    databases: dict[str, dict[str, Any]] = field(default_factory=dict)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    charts: dict[str, dict[str, Any]] = field(default_factory=dict)
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Bundle:
        bundle = cls()
        for kind in ("databases", "datasets", "charts", "dashboards"):
            assets: dict[str, dict[str, Any]] = getattr(bundle, kind)
            for path in sorted((folder / kind).rglob("*.yaml")):
                asset = yaml.safe_load(path.read_text("utf-8"))
                asset["_file"] = str(path.relative_to(folder))
                if not asset.get("is_managed_externally"):
                    bundle.problems.append(f"{asset['_file']}: is_managed_externally is not true")
                if asset["uuid"] in {
                    **bundle.databases,
                    **bundle.datasets,
                    **bundle.charts,
                    **assets,
                }:
                    bundle.problems.append(f"{asset['_file']}: its uuid is used twice")
                assets[asset["uuid"]] = asset
        return bundle


def mart_columns(manifest: Path) -> dict[str, set[str]]:
    """Documented columns of each model that dbt builds in schema ``marts``."""
    nodes = json.loads(manifest.read_text("utf-8"))["nodes"].values()
    return {
        node["alias"]: set(node["columns"])
        for node in nodes
        if node["resource_type"] == "model" and node["schema"] == "marts"
    }


def operation_columns(folder: Path) -> dict[str, set[str]]:
    """Columns of each ``ops`` view: the last name of each item of its select list."""
    columns: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*.sql")):
        text = re.sub(r"--[^\n]*", "", path.read_text("utf-8"))
        for view, body in re.findall(
            r"create (?:or replace )?view ops\.(\w+) as\s+select(.*?);",
            text,
            re.DOTALL | re.IGNORECASE,
        ):
            columns[view] = {item for item in _select_list(body)}
    return columns


def _select_list(body: str) -> Iterator[str]:
    depth, item = 0, ""
    for token in re.findall(r"\w+|[^\w\s]|\s+", body + " from "):
        depth += token.count("(") - token.count(")")
        if depth == 0 and (token == "," or token.lower() == "from"):
            names = re.findall(r"\w+", item)
            if names:
                yield names[-1]
            if token.lower() == "from":
                return
            item = ""
        else:
            item += token


def check_datasets(bundle: Bundle, columns: dict[str, dict[str, set[str]]]) -> Iterator[str]:
    for dataset in bundle.datasets.values():
        where, name = dataset["_file"], dataset["table_name"]
        if dataset["database_uuid"] not in bundle.databases:
            yield f"{where}: its database is not in the bundle"
        known = columns.get(dataset["schema"], {}).get(name)
        if known is None:
            yield f"{where}: {dataset['schema']}.{name} is built by nothing"
            continue
        declared = {column["column_name"] for column in dataset["columns"]}
        for column in sorted(declared - known):
            yield f"{where}: column {column} is not in {dataset['schema']}.{name}"
        for metric in dataset["metrics"]:
            text = re.sub(r"'[^']*'", "", metric["expression"])
            words = {word for word in re.findall(r"[a-z_]\w*", text.lower())}
            for word in sorted(words - _SQL_WORDS - known):
                yield f"{where}: metric {metric['metric_name']} uses {word}, which is no column"


def check_charts(bundle: Bundle) -> Iterator[str]:
    for chart in bundle.charts.values():
        where, dataset = chart["_file"], bundle.datasets.get(chart["dataset_uuid"])
        if dataset is None:
            yield f"{where}: its dataset is not in the bundle"
            continue
        columns = {column["column_name"] for column in dataset["columns"]}
        metrics = {metric["metric_name"] for metric in dataset["metrics"]}
        parameters = chart["params"]
        if parameters["viz_type"] != chart["viz_type"]:
            yield f"{where}: viz_type differs between chart and params"
        for column in sorted(set(_used_columns(parameters)) - columns):
            yield f"{where}: column {column} is not in dataset {dataset['table_name']}"
        for metric in sorted(set(_used_metrics(parameters)) - metrics):
            yield f"{where}: metric {metric} is not in dataset {dataset['table_name']}"


def _used_columns(parameters: dict[str, Any]) -> Iterator[str]:
    for name in ("groupby", "groupbyRows", "groupbyColumns", "all_columns", "x_axis"):
        value = parameters.get(name) or []
        yield from [value] if isinstance(value, str) else value
    for condition in parameters.get("adhoc_filters") or []:
        yield condition["subject"]
    for ordering in parameters.get("order_by_cols") or []:
        yield json.loads(ordering)[0]


def _used_metrics(parameters: dict[str, Any]) -> Iterator[str]:
    yield from parameters.get("metrics") or []
    for name in ("metric", "timeseries_limit_metric", "series_limit_metric"):
        if parameters.get(name):
            yield parameters[name]


def check_dashboards(bundle: Bundle) -> Iterator[str]:
    shown: set[str] = set()
    for dashboard in bundle.dashboards.values():
        where = dashboard["_file"]
        for item in dashboard["position"].values():
            if not isinstance(item, dict) or item["type"] != "CHART":
                continue
            uuid = item["meta"]["uuid"]
            shown.add(uuid)
            if uuid not in bundle.charts:
                yield f"{where}: chart {item['meta']['sliceName']} is not in the bundle"
            elif bundle.charts[uuid]["slice_name"] != item["meta"]["sliceName"]:
                yield f"{where}: {item['id']} names another chart than its uuid"
        filters = dashboard["metadata"]["native_filter_configuration"]
        if not filters:
            yield f"{where}: no filter"
        for entry in filters:
            for target in entry["targets"]:
                if not target:
                    continue
                dataset = bundle.datasets.get(target["datasetUuid"])
                column = target["column"]["name"]
                if dataset is None or column not in {
                    known["column_name"] for known in dataset["columns"]
                }:
                    yield f"{where}: filter {entry['name']} aims at no column"
    for uuid in sorted(set(bundle.charts) - shown):
        yield f"{bundle.charts[uuid]['_file']}: on no dashboard"


def check_databases(bundle: Bundle) -> Iterator[str]:
    for database in bundle.databases.values():
        if not re.fullmatch(
            r"postgresql\+psycopg2://bi_reader@postgres:5432/\w+", database["sqlalchemy_uri"]
        ):
            yield f"{database['_file']}: its address is not the read-only role's, without password"
        connect = database["extra"].get("engine_params", {}).get("connect_args", {})
        if "-c timezone=UTC" not in connect.get("options", ""):
            yield f"{database['_file']}: its sessions are not in UTC (engine_params, connect_args)"


def newest_manifest() -> Path:
    """dbt's manifest as the platform of LAKEHOUSE_HOME last wrote it."""
    home = Path(os.environ.get("LAKEHOUSE_HOME", PROJECT / ".lakehouse"))
    found = sorted(home.glob("dbt/manifest-*.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SystemExit(f"No manifest of dbt in {home}/dbt: run `make demo` once, or name one.")
    return found[-1]


def validate(manifest: Path, assets: Path = ASSETS) -> list[str]:
    """Every broken link of the chain; empty when dashboards and marts fit."""
    bundle = Bundle.read(assets)
    columns = {
        "marts": mart_columns(manifest),
        "ops": operation_columns(PROJECT / "alembic" / "sql"),
    }
    return [
        *bundle.problems,
        *check_databases(bundle),
        *check_datasets(bundle, columns),
        *check_charts(bundle),
        *check_dashboards(bundle),
    ]


if __name__ == "__main__":
    found = validate(Path(sys.argv[1]) if len(sys.argv) > 1 else newest_manifest())
    for problem in found:
        print(problem)
    print(f"superset assets: {len(found)} problems")
    sys.exit(1 if found else 0)
