"""The short form of a dashboard: what it becomes in Superset, and that the way back loses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from boards.catalog import SUPERSET, Places, identifier, read_catalog
from boards.expand import bundle
from boards.export import of_bundle, read_asset
from boards.files import read_dashboard, write_dashboard
from boards.kinds import parameters, read_parameters

FILES = sorted((SUPERSET / "dashboards").glob("*.yaml"))
CATALOG = read_catalog()
SUMMARY = CATALOG["patient_encounter_summary"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_expanded_and_read_back_a_dashboard_is_its_file(path: Path) -> None:
    dashboard = read_dashboard(path)
    assert of_bundle(bundle(), path.stem, CATALOG) == dashboard
    assert write_dashboard(dashboard) == path.read_text("utf-8")


def test_columns_carry_the_labels_and_descriptions_of_dbts_yaml() -> None:
    columns = {
        column["column_name"]: column
        for column in bundle()["datasets/marts/patient_encounter_summary.yaml"]["columns"]
    }
    assert columns["encounter_class"]["verbose_name"] == "Class"
    assert columns["heart_rate"]["verbose_name"] == "Heart rate"
    assert columns["heart_rate"]["description"].startswith("Latest heart rate of the encounter")
    assert columns["heart_rate"]["type"] == "DOUBLE PRECISION"
    assert columns["encounter_date"]["is_dttm"]
    assert all(column["description"] for column in columns.values())


def test_the_same_name_is_the_same_identifier_everywhere() -> None:
    assert bundle()["dashboards/imaging.yaml"]["uuid"] == identifier("dashboard", "imaging")
    assert identifier("dashboard", "imaging") == "650e5d5a-7621-5886-9189-bc50fe261a48"
    assert identifier("dashboard", "imaging") != identifier("chart", "imaging")


def test_a_chart_says_which_filters_it_does_not_follow(tmp_path: Path) -> None:
    dashboard = tmp_path / "example.yaml"
    dashboard.write_text(
        """
        title: Example
        description: Two datasets, of which one knows no class.
        mart: patient_encounter_summary
        filters:
          Time: since 2015
          Class: patient_encounter_summary.encounter_class
          Sex: patient_encounter_summary.sex
        rows:
        - height: 20
          charts:
          - {title: Encounters, kind: number, metrics: [encounters], note: all of them}
          - {title: Length, kind: number, metrics: [median_hours], note: hours}
          - {title: Age, kind: number, metrics: [mean_age], note: years}
          - {title: Patients, kind: number, mart: patient_demographics, metrics: [patients], note: each once}
          - {title: Who, kind: table, mart: patient_demographics, metrics: [patients], by: [sex]}
        """,
        encoding="utf-8",
    )
    assets = bundle(Places(dashboards=tmp_path))
    charts = {a["slice_name"]: a for path, a in assets.items() if path.startswith("charts/")}
    assert charts["Encounters"]["params"]["subheader"] == "all of them"
    assert charts["Patients"]["params"]["subheader"] == "each once (not filtered by Time, Class)"
    assert charts["Who"]["description"] == "(not filtered by Time, Class)"
    metadata = assets["dashboards/example.yaml"]["metadata"]
    shown = assets["dashboards/example.yaml"]["position"]["CHART-5"]["meta"]
    assert shown["sliceNameOverride"] == "Who (not filtered by Time, Class)"
    assert metadata["native_filter_configuration"][0]["defaultDataMask"]["filterState"] == {
        "value": "2015-01-01 : "
    }
    assert of_bundle(assets, "example", CATALOG) == read_dashboard(dashboard)


def test_every_chart_on_a_table_with_a_time_column_follows_the_time_filter() -> None:
    """Superset's time filter replaces a condition of kind TEMPORAL_RANGE; without one it does nothing."""
    datasets = {dataset.uuid: dataset for dataset in CATALOG.values()}
    deaf = [
        path
        for path, asset in bundle().items()
        if path.startswith("charts/")
        and datasets[asset["dataset_uuid"]].time
        and "TEMPORAL_RANGE" not in [f.get("operator") for f in asset["params"]["adhoc_filters"]]
    ]
    assert deaf == []


def saved_in_superset(**changes: Any) -> dict[str, Any]:
    """What Superset keeps of a chart that somebody made in its browser pages."""
    return {
        "datasource": "7__table",
        "slice_id": 12,
        "viz_type": "echarts_timeseries_bar",
        "x_axis": "encounter_date",
        "time_grain_sqla": "P3M",
        "metrics": ["encounters"],
        "groupby": [],
        "adhoc_filters": [],
        "row_limit": 10000,
        "annotation_layers": [],
        **changes,
    }


def test_conditions_made_in_superset_become_sql() -> None:
    conditions = [
        {"expressionType": "SIMPLE", "clause": "WHERE", "subject": subject, "operator": operator}
        | ({} if value is None else {"comparator": value})
        for subject, operator, value in [
            ("encounter_date", "TEMPORAL_RANGE", "Last year"),
            ("encounter_class", "IN", ["inpatient", "it's"]),
            ("lab_count", ">=", 2),
            ("has_note", "==", True),
            ("reason", "IS NOT NULL", None),
        ]
    ]
    params = saved_in_superset(adhoc_filters=conditions)
    chart = read_parameters("Made", "", "echarts_timeseries_bar", params, SUMMARY)
    assert chart.where == (
        "encounter_class in ('inpatient', 'it''s') and lab_count >= 2 and has_note = true"
        " and reason is not null"
    )
    assert chart.period == "Last year"
    assert chart.per == "quarter"


def test_metrics_made_in_superset_become_sql_and_colours_stay() -> None:
    simple = {
        "expressionType": "SIMPLE",
        "column": {"column_name": "patient_key"},
        "aggregate": "COUNT_DISTINCT",
        "label": "People",
    }
    params = saved_in_superset(metrics=[simple], color_scheme="bnbColors")
    chart = read_parameters("Made", "", "echarts_timeseries_bar", params, SUMMARY)
    assert chart.metrics == ({"People": "COUNT(DISTINCT patient_key)"},)
    assert chart.more["color_scheme"] == "bnbColors"
    again = parameters(chart, SUMMARY)
    assert again["metrics"][0]["sqlExpression"] == "COUNT(DISTINCT patient_key)"
    assert again["color_scheme"] == "bnbColors"


def test_what_has_no_short_form_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="chart Made: no kind for sunburst"):
        read_parameters("Made", "", "sunburst_v2", {}, SUMMARY)
    asset = bundle()["dashboards/imaging.yaml"]
    position = {
        **asset["position"],
        "GRID_ID": {"children": ["TABS-1"]},
        "TABS-1": {"id": "TABS-1", "type": "TABS", "children": [], "meta": {}},
    }
    with pytest.raises(ValueError, match="tabs TABS-1 has no short form"):
        read_asset("imaging", {**asset, "position": position}, {}, CATALOG)
