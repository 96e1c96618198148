"""The short form of the dashboards, expanded to the files that Superset imports.

Identifiers follow from names, so a chart that is renamed is another chart. Which filters a chart does not
follow is found here, from its dataset's columns, and said in its title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from boards.about import with_about
from boards.catalog import (
    CatalogError,
    Dataset,
    Places,
    database_asset,
    dataset_asset,
    identifier,
    read_catalog,
)
from boards.files import Chart, Dashboard, Filter, Row, Text, read_dashboards, widths
from boards.kinds import KINDS, parameters

#: What a browser does with a dashboard on a phone.
PHONE = Path(__file__).with_name("phone.css")

WHERE_THE_DATA_IS = "where the data is"
#: What people read at such a filter, and by which an export knows it again.
FROM_THE_DATA = "Starts in the year from which on nineteen of twenty rows are."

#: Path in the bundle → the asset: what Superset's import command takes as YAML.
Bundle = dict[str, dict[str, Any]]


def bundle(places: Places | None = None, starts: Mapping[str, str] | None = None) -> Bundle:
    """Databases, datasets, charts and dashboards in Superset's import format, by path.

    ``starts`` is the first day of the data of each mart, where it is known (``boards.starts``).
    Raises CatalogError for a file that is no dashboard, or names no dataset or kind that there is.
    """
    places = places or Places()
    catalog = read_catalog(places)
    assets: Bundle = {
        f"databases/{name}.yaml": database_asset(name)
        for name in sorted({dataset.database for dataset in catalog.values()})
    }
    for dataset in catalog.values():
        assets[f"datasets/{dataset.database}/{dataset.name}.yaml"] = dataset_asset(dataset)
    for written in read_dashboards(places.dashboards):
        dashboard = with_about(written, catalog)
        titles = [chart.title for chart in dashboard.charts()]
        for chart in dashboard.charts():
            if titles.count(chart.title) > 1:
                raise CatalogError(
                    f"dashboards/{dashboard.name}.yaml: two charts are called {chart.title};"
                    " a title is what identifies a chart."
                )
            assets[_chart_file(dashboard, chart)] = _chart_asset(dashboard, chart, catalog)
        assets[f"dashboards/{dashboard.name}.yaml"] = _dashboard_asset(
            dashboard, catalog, _start(dashboard, starts or {})
        )
    return assets


def as_texts(assets: Bundle) -> dict[str, str]:
    """The bundle as Superset's import command takes it."""
    metadata = {"version": "1.0.0", "type": "assets", "timestamp": "2026-01-01T00:00:00+00:00"}
    return {
        "metadata.yaml": yaml.safe_dump(metadata),
        **{path: yaml.safe_dump(asset, sort_keys=False) for path, asset in assets.items()},
    }


def write(folder: Path, places: Places | None = None) -> None:
    """The bundle as a folder, for a look at what is imported."""
    for path, text in as_texts(bundle(places)).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")


def unfollowed(dashboard: Dashboard, dataset: Dataset) -> list[str]:
    """Names of the dashboard's filters that have nothing to act on in a chart of this dataset."""
    return [
        entry.name
        for entry in dashboard.filters
        if (
            entry.column.partition(".")[2] not in dataset.columns
            if entry.column
            else dataset.time is None
        )
    ]


def told(note: str, names: list[str]) -> str:
    """A chart's note or title with the filters that it does not follow."""
    return f"{note} (not filtered by {', '.join(names)})".strip() if names else note


def untold(note: str) -> str:
    """The note alone: what ``told`` was given."""
    return re.sub(r" ?\(not filtered by [^()]*\)$", "", note)


def _dataset(catalog: Mapping[str, Dataset], dashboard: Dashboard, name: str) -> Dataset:
    if name not in catalog:
        raise CatalogError(
            f"dashboards/{dashboard.name}.yaml: {name} is no dataset of datasets.yaml."
        )
    return catalog[name]


def _chart_file(dashboard: Dashboard, chart: Chart) -> str:
    return (
        f"charts/{dashboard.name}/{re.sub(r'[^a-z0-9]+', '_', chart.title.lower()).strip('_')}.yaml"
    )


def chart_uuid(dashboard: Dashboard, chart: Chart) -> str:
    return identifier("chart", f"{dashboard.name}/{chart.title}")


def _chart_asset(
    dashboard: Dashboard, chart: Chart, catalog: Mapping[str, Dataset]
) -> dict[str, Any]:
    dataset = _dataset(catalog, dashboard, chart.mart)
    if chart.kind not in KINDS:
        raise CatalogError(
            f"dashboards/{dashboard.name}.yaml: {chart.title}: {chart.kind} is no kind of chart"
            f" ({', '.join(KINDS)})."
        )
    note = told(chart.note, unfollowed(dashboard, dataset))
    params = parameters(chart, dataset)
    if chart.kind == "number":
        params["subheader"] = note
    return {
        "slice_name": chart.title,
        "description": note,
        "viz_type": params["viz_type"],
        "uuid": chart_uuid(dashboard, chart),
        "dataset_uuid": dataset.uuid,
        "version": "1.0.0",
        "cache_timeout": None,
        "params": params,
        "query_context": None,
        "is_managed_externally": True,
    }


def _dashboard_asset(
    dashboard: Dashboard, catalog: Mapping[str, Dataset], start: str | None
) -> dict[str, Any]:
    return {
        "dashboard_title": dashboard.title,
        "slug": dashboard.name,
        "uuid": identifier("dashboard", dashboard.name),
        "version": "1.0.0",
        "published": True,
        "description": dashboard.description,
        "css": PHONE.read_text("utf-8"),
        "position": _position(dashboard, catalog),
        "metadata": {
            "color_scheme": "supersetColors",
            "filter_bar_orientation": "HORIZONTAL",
            "refresh_frequency": 60,
            "cross_filters_enabled": True,
            "timed_refresh_immune_slices": [],
            "expanded_slices": {},
            "default_filters": "{}",
            "native_filter_configuration": [
                _filter_asset(dashboard, entry, catalog, start) for entry in dashboard.filters
            ],
        },
        "is_managed_externally": True,
    }


def _position(dashboard: Dashboard, catalog: Mapping[str, Dataset]) -> dict[str, Any]:
    rows = [f"ROW-{number}" for number in range(1, len(dashboard.rows) + 1)]
    position: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"id": "ROOT_ID", "type": "ROOT", "children": ["GRID_ID"]},
        "GRID_ID": {"id": "GRID_ID", "type": "GRID", "children": rows, "parents": ["ROOT_ID"]},
        "HEADER_ID": {"id": "HEADER_ID", "type": "HEADER", "meta": {"text": dashboard.title}},
    }
    numbers = {id(chart): number for number, chart in enumerate(dashboard.charts(), start=1)}
    for name, row in zip(rows, dashboard.rows, strict=True):
        items = list(_items(dashboard, name, row, numbers, catalog))
        position[name] = {
            "id": name,
            "type": "ROW",
            "children": [item["id"] for item in items],
            "parents": ["ROOT_ID", "GRID_ID"],
            "meta": {"background": "BACKGROUND_TRANSPARENT"},
        }
        position |= {item["id"]: item for item in items}
    return position


def _items(
    dashboard: Dashboard,
    name: str,
    row: Row,
    numbers: Mapping[int, int],
    catalog: Mapping[str, Dataset],
) -> Iterator[dict[str, Any]]:
    meta: dict[str, Any]
    for place, (item, width) in enumerate(zip(row.items, widths(row), strict=True), start=1):
        size = {"width": width, "height": row.height}
        if isinstance(item, Text):
            kind, key, meta = "MARKDOWN", f"MARKDOWN-{name}-{place}", {"code": item.text}
        else:
            number = numbers[id(item)]
            kind, key = "CHART", f"CHART-{number}"
            meta = {
                "chartId": number,
                "uuid": chart_uuid(dashboard, item),
                "sliceName": item.title,
            }
            names = unfollowed(dashboard, _dataset(catalog, dashboard, item.mart))
            if names and item.kind != "number":  # a number says it in its line below
                meta["sliceNameOverride"] = told(item.title, names)
        yield {
            "id": key,
            "type": kind,
            "children": [],
            "parents": ["ROOT_ID", "GRID_ID", name],
            "meta": {**meta, **size},
        }


def _filter_asset(
    dashboard: Dashboard, entry: Filter, catalog: Mapping[str, Dataset], start: str | None
) -> dict[str, Any]:
    key = re.sub(r"[^a-z0-9]+", "-", entry.name.lower())
    target: dict[str, Any] = {}
    if entry.column:
        mart, _, column = entry.column.partition(".")
        target = {
            "column": {"name": column},
            "datasetUuid": _dataset(catalog, dashboard, mart).uuid,
        }
    return {
        "id": f"NATIVE_FILTER-{dashboard.name}-{key}",
        "type": "NATIVE_FILTER",
        "filterType": "filter_select" if entry.column else "filter_time",
        "name": entry.name,
        "description": FROM_THE_DATA if entry.default == WHERE_THE_DATA_IS else "",
        "targets": [target],
        "scope": {"rootPath": ["ROOT_ID"], "excluded": []},
        "cascadeParentIds": [],
        "controlValues": {
            "enableEmptyFilter": False,
            **(
                {
                    "multiSelect": True,
                    "defaultToFirstItem": False,
                    "inverseSelection": False,
                    "searchAllOptions": False,
                }
                if entry.column
                else {}
            ),
        },
        "defaultDataMask": _default(entry, start),
    }


def _start(dashboard: Dashboard, starts: Mapping[str, str]) -> str | None:
    """Where the data of the dashboard's own mart starts; of one without a time column, of the next."""
    marts = [dashboard.mart, *(chart.mart for chart in dashboard.charts())]
    return next((starts[mart] for mart in marts if mart in starts), None)


def _default(entry: Filter, start: str | None) -> dict[str, Any]:
    wanted = start and f"{start} : " if entry.default == WHERE_THE_DATA_IS else entry.default
    if not wanted:
        return {"extraFormData": {}, "filterState": {}, "ownState": {}}
    period = time_range(wanted)
    return {
        "extraFormData": {"time_range": period},
        "filterState": {"value": period},
        "ownState": {},
    }


def time_range(words: str) -> str:
    """``since 2015`` as Superset's range from there on; another range as it is."""
    since = re.fullmatch(r"since (\d{4})", words)
    return f"{since[1]}-01-01 : " if since else words
