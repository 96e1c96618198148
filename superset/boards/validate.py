"""Checks the chain dashboard → chart → dataset → column of a published mart, without a server.

That the columns of dbt's YAML are those that its models build is checked against dbt's manifest; columns of
operations views come from their SQL. Also: no address or password in the bundle, sessions in UTC, every
asset managed externally, every identifier once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boards.catalog import PROJECT, Places, read_catalog
from boards.expand import Bundle, bundle

#: Words of SQL that stand in metric expressions and conditions beside column names.
_SQL_WORDS = frozenset(
    re.findall(
        r"\w+",
        """and as asc avg between by case cast coalesce cont count desc distinct double else end false filter
        from group in interval is like max min not null nullif or order over percentile_cont precision round
        sum then true when where within""",
    )
)


@dataclass
class Assets:
    """The expanded assets by kind and UUID, each with the file it stands for."""

    databases: dict[str, dict[str, Any]] = field(default_factory=dict)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    charts: dict[str, dict[str, Any]] = field(default_factory=dict)
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, expanded: Bundle) -> Assets:
        found = cls()
        seen: set[str] = set()
        for path, asset in expanded.items():
            kind = path.partition("/")[0]
            if not asset.get("is_managed_externally"):
                found.problems.append(f"{path}: is_managed_externally is not true")
            if asset["uuid"] in seen:
                found.problems.append(f"{path}: its uuid is used twice")
            seen.add(asset["uuid"])
            getattr(found, kind)[asset["uuid"]] = {**asset, "_file": path}
        return found


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
            columns[view] = set(_select_list(body))
    return columns


def _select_list(body: str) -> Iterator[str]:
    depth, item = 0, ""
    for part in re.findall(r"\w+|[^\w\s]|\s+", body + " from "):
        depth += part.count("(") - part.count(")")
        if depth == 0 and (part == "," or part.lower() == "from"):
            names = re.findall(r"\w+", item)
            if names:
                yield names[-1]
            if part.lower() == "from":
                return
            item = ""
        else:
            item += part


def _words(expression: str) -> set[str]:
    """Names in an SQL expression that are no words of SQL."""
    text = re.sub(r"'[^']*'", "", expression)
    return set(re.findall(r"[a-z_]\w*", text.lower())) - _SQL_WORDS


def check_datasets(assets: Assets, columns: dict[str, dict[str, set[str]]]) -> Iterator[str]:
    for dataset in assets.datasets.values():
        where, name = dataset["_file"], dataset["table_name"]
        if dataset["database_uuid"] not in assets.databases:
            yield f"{where}: its database is not in the bundle"
        known = columns.get(dataset["schema"], {}).get(name)
        if known is None:
            yield f"{where}: {dataset['schema']}.{name} is built by nothing"
            continue
        declared = {column["column_name"] for column in dataset["columns"]}
        for column in sorted(declared - known):
            yield f"{where}: column {column} is not in {dataset['schema']}.{name}"
        if dataset["main_dttm_col"] and dataset["main_dttm_col"] not in known:
            yield f"{where}: its time column {dataset['main_dttm_col']} is no column"
        for metric in dataset["metrics"]:
            for word in sorted(_words(metric["expression"]) - known):
                yield f"{where}: metric {metric['metric_name']} uses {word}, which is no column"


def check_charts(assets: Assets) -> Iterator[str]:
    for chart in assets.charts.values():
        where, dataset = chart["_file"], assets.datasets.get(chart["dataset_uuid"])
        if dataset is None:
            yield f"{where}: its dataset is not in the bundle"
            continue
        columns = {column["column_name"] for column in dataset["columns"]}
        metrics = {metric["metric_name"] for metric in dataset["metrics"]}
        for column in sorted(set(_used_columns(chart["params"])) - columns):
            yield f"{where}: column {column} is not in dataset {dataset['table_name']}"
        for metric in sorted(set(_used_metrics(chart["params"])) - metrics):
            yield f"{where}: metric {metric} is not in dataset {dataset['table_name']}"


def _used_columns(parameters: dict[str, Any]) -> Iterator[str]:
    for name in ("groupby", "groupbyRows", "groupbyColumns", "all_columns", "x_axis", "band_of"):
        value = parameters.get(name) or []
        yield from [value] if isinstance(value, str) else value
    for condition in parameters.get("adhoc_filters") or []:
        if condition["expressionType"] == "SIMPLE":
            yield condition["subject"]
        else:
            yield from _words(condition["sqlExpression"])
    for ordering in parameters.get("order_by_cols") or []:
        yield json.loads(ordering)[0]
    for metric in _metrics(parameters):
        if isinstance(metric, dict):
            yield from _words(metric["sqlExpression"])


def _used_metrics(parameters: dict[str, Any]) -> Iterator[str]:
    yield from (metric for metric in _metrics(parameters) if isinstance(metric, str))


def _metrics(parameters: dict[str, Any]) -> Iterator[Any]:
    for name in ("metrics", "metrics_b"):
        yield from parameters.get(name) or []
    for name in ("metric", "timeseries_limit_metric", "series_limit_metric"):
        if parameters.get(name):
            yield parameters[name]


def check_dashboards(assets: Assets) -> Iterator[str]:
    shown: set[str] = set()
    for dashboard in assets.dashboards.values():
        where = dashboard["_file"]
        for item in dashboard["position"].values():
            if not isinstance(item, dict) or item["type"] != "CHART":
                continue
            uuid = item["meta"]["uuid"]
            shown.add(uuid)
            if uuid not in assets.charts:
                yield f"{where}: chart {item['meta']['sliceName']} is not in the bundle"
            elif assets.charts[uuid]["slice_name"] != item["meta"]["sliceName"]:
                yield f"{where}: {item['id']} names another chart than its uuid"
        filters = dashboard["metadata"]["native_filter_configuration"]
        if not filters:
            yield f"{where}: no filter"
        for entry in filters:
            for target in entry["targets"]:
                if not target:
                    continue
                dataset = assets.datasets.get(target["datasetUuid"])
                column = target["column"]["name"]
                if dataset is None or column not in {
                    known["column_name"] for known in dataset["columns"]
                }:
                    yield f"{where}: filter {entry['name']} aims at no column"
    for uuid in sorted(set(assets.charts) - shown):
        yield f"{assets.charts[uuid]['_file']}: on no dashboard"


def check_databases(assets: Assets) -> Iterator[str]:
    for database in assets.databases.values():
        if not re.fullmatch(
            r"postgresql\+psycopg2://bi_reader@postgres:5432/\w+", database["sqlalchemy_uri"]
        ):
            yield f"{database['_file']}: its address is not the read-only role's, without password"
        connect = database["extra"].get("engine_params", {}).get("connect_args", {})
        if "-c timezone=UTC" not in connect.get("options", ""):
            yield f"{database['_file']}: its sessions are not in UTC (engine_params, connect_args)"


def validate_bundle(expanded: Bundle, columns: dict[str, dict[str, set[str]]]) -> list[str]:
    """Every broken link of an expanded bundle, given the columns of each schema's tables."""
    assets = Assets.of(expanded)
    return [
        *assets.problems,
        *check_databases(assets),
        *check_datasets(assets, columns),
        *check_charts(assets),
        *check_dashboards(assets),
    ]


def validate(manifest: Path | None = None, places: Places | None = None) -> list[str]:
    """Every broken link of the chain; empty when dashboards and marts fit.

    Without dbt's manifest its YAML stands for what it builds.
    """
    places = places or Places()
    marts = (
        mart_columns(manifest)
        if manifest
        else {
            name: set(dataset.columns)
            for name, dataset in read_catalog(places).items()
            if dataset.database == "marts"
        }
    )
    columns = {"marts": marts, "ops": operation_columns(PROJECT / "alembic" / "sql")}
    return validate_bundle(bundle(places), columns)
