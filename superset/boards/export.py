"""A dashboard as Superset holds it, back in the short form.

    python -m boards.export SLUG_OR_ID [NAME]      in superset/, in Superset's environment

Prints the file ``superset/dashboards/NAME.yaml``. In Superset managed dashboards cannot be edited: save a
copy (with its charts), change the copy, export that under the name of the first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from typing import Any

from boards.about import without_about
from boards.catalog import Dataset, read_catalog
from boards.expand import FROM_THE_DATA, WHERE_THE_DATA_IS, Bundle, untold
from boards.files import Chart, Dashboard, Filter, Row, Text, widths, write_dashboard
from boards.kinds import read_parameters


def read_asset(
    name: str,
    asset: Mapping[str, Any],
    charts: Mapping[str, Mapping[str, Any]],
    catalog: Mapping[str, Dataset],
) -> Dashboard:
    """The short form of a dashboard in Superset's format; ``charts`` and their datasets by UUID.

    Raises ValueError where the layout or a chart has no short form.
    """
    datasets = {dataset.uuid: dataset for dataset in catalog.values()}
    rows = tuple(_rows(asset["position"], charts, datasets))
    used = [item.mart for row in rows for item in row.items if isinstance(item, Chart)]
    if not used:
        raise ValueError(f"{asset['dashboard_title']} holds no chart.")
    read = Dashboard(
        name,
        asset["dashboard_title"],
        asset.get("description") or "",
        max(used, key=used.count),
        tuple(
            _filter(entry, datasets)
            for entry in asset["metadata"].get("native_filter_configuration") or []
        ),
        rows,
    )
    return without_about(read)


def _rows(
    position: Mapping[str, Any],
    charts: Mapping[str, Mapping[str, Any]],
    datasets: Mapping[str, Dataset],
) -> Iterator[Row]:
    for key in position["GRID_ID"]["children"]:
        item = position[key]
        members = [item] if item["type"] != "ROW" else [position[c] for c in item["children"]]
        items = tuple(_item(member, charts, datasets) for member in members)
        height = max(int(member["meta"].get("height", 0)) for member in members)
        silent = Row(tuple(_sized(entry, None) for entry in items), height)
        yield silent if widths(silent) == [entry.width for entry in items] else Row(items, height)


def _sized(item: Chart | Text, width: int | None) -> Chart | Text:
    return type(item)(**{**item.__dict__, "width": width})


def _item(
    item: Mapping[str, Any],
    charts: Mapping[str, Mapping[str, Any]],
    datasets: Mapping[str, Dataset],
) -> Chart | Text:
    meta = item["meta"]
    if item["type"] == "MARKDOWN":
        return Text(meta["code"], meta["width"])
    if item["type"] != "CHART":
        raise ValueError(
            f"{item['type'].lower()} {item['id']} has no short form: rows of charts and texts only."
        )
    chart = charts[meta["uuid"]]
    dataset = datasets.get(chart["dataset_uuid"])
    if dataset is None:
        raise ValueError(
            f"chart {meta['sliceName']}: its dataset is not in superset/datasets.yaml."
        )
    params = dict(chart["params"])
    if "subheader" in params:
        params["subheader"] = untold(params["subheader"])
    read = read_parameters(
        # A title given on the dashboard stands for the chart's own.
        untold(meta.get("sliceNameOverride") or chart["slice_name"]),
        untold(chart.get("description") or ""),
        chart["viz_type"],
        params,
        dataset,
    )
    return _sized(read, meta["width"])


def _filter(entry: Mapping[str, Any], datasets: Mapping[str, Dataset]) -> Filter:
    if entry["filterType"] == "filter_time":
        if entry.get("description") == FROM_THE_DATA:
            return Filter(entry["name"], None, WHERE_THE_DATA_IS)
        value = (entry.get("defaultDataMask") or {}).get("filterState", {}).get("value")
        return Filter(entry["name"], None, _in_words(value) if value else None)
    target = entry["targets"][0]
    dataset = datasets.get(target["datasetUuid"])
    if entry["filterType"] != "filter_select" or dataset is None:
        raise ValueError(f"filter {entry['name']} has no short form: time, or a column's values.")
    return Filter(entry["name"], f"{dataset.name}.{target['column']['name']}")


def _in_words(period: str) -> str:
    head, _, rest = period.partition("-01-01 : ")
    return f"since {head}" if head.isdigit() and not rest and period.endswith(" : ") else period


def of_bundle(assets: Bundle, name: str, catalog: Mapping[str, Dataset]) -> Dashboard:
    """The short form of one dashboard of an expanded bundle."""
    charts = {a["uuid"]: a for path, a in assets.items() if path.startswith("charts/")}
    return read_asset(name, assets[f"dashboards/{name}.yaml"], charts, catalog)


def of_superset(slug_or_id: str, name: str | None = None) -> str:
    """The file of a dashboard of the running application's database. Raises ValueError for none."""
    import yaml
    from superset.commands.dashboard.export import ExportDashboardsCommand
    from superset.extensions import db
    from superset.models.dashboard import Dashboard as Stored
    from superset.models.dashboard import id_or_slug_filter

    stored = db.session.query(Stored).filter(id_or_slug_filter(slug_or_id)).one_or_none()
    if stored is None:
        raise ValueError(f"Superset holds no dashboard {slug_or_id}.")
    files = {
        path: yaml.safe_load(content())
        for path, content in ExportDashboardsCommand([stored.id]).run()
    }
    catalog = read_catalog()
    ours = {(dataset.schema, dataset.name): dataset.uuid for dataset in catalog.values()}
    # Datasets by what they read: an installation may have given them other identifiers.
    known = {
        asset["uuid"]: ours.get((asset["schema"], asset["table_name"]), asset["uuid"])
        for path, asset in files.items()
        if path.startswith("datasets/")
    }
    charts = {
        asset["uuid"]: {**asset, "dataset_uuid": known.get(asset["dataset_uuid"])}
        for path, asset in files.items()
        if path.startswith("charts/")
    }
    (dashboard,) = (asset for path, asset in files.items() if path.startswith("dashboards/"))
    for entry in dashboard["metadata"].get("native_filter_configuration") or []:
        for target in entry["targets"]:
            if "datasetUuid" in target:
                target["datasetUuid"] = known[target["datasetUuid"]]
    return write_dashboard(
        read_asset(name or stored.slug or "dashboard", dashboard, charts, catalog)
    )


def main(arguments: list[str]) -> int:
    from superset.app import create_app

    with redirect_stdout(sys.stderr):  # Superset says what it has loaded
        application = create_app()
    with application.app_context():
        from superset.extensions import security_manager
        from superset.utils.core import override_user

        with override_user(security_manager.find_user("admin")):
            try:
                text = of_superset(*arguments[:2])
            except ValueError as error:
                sys.stderr.write(f"{error}\n")
                return 2
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
