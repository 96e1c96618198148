"""The kinds of charts, as data: how the short form of each becomes Superset's parameters, and back.

A kind names the parameter that holds each field of the short form and the parameters that all its charts
share. What a chart has beyond that travels as ``more``, so that nothing is lost on the way back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from boards.catalog import Dataset, Metric
from boards.files import Chart, MetricName

_GRAINS = {"year": "P1Y", "quarter": "P3M", "month": "P1M", "week": "P1W", "day": "P1D"}
_NO_PERIOD = "No filter"


@dataclass(frozen=True)
class Kind:
    viz_type: str
    #: Parameters that every chart of the kind has.
    fixed: Mapping[str, Any]
    #: The parameter that holds the metric or metrics, the columns, the x axis.
    metrics: str | None = None
    by: str | None = None
    x: str | None = None
    limit: int | None = None
    #: Parameters that follow from the chart and its dataset.
    derived: Callable[[Chart, Dataset], dict[str, Any]] = field(default=lambda _chart, _dataset: {})
    #: Eight-pixel units a row of these needs.
    height: int = 50


def _first(chart: Chart) -> Any:
    return _metric(chart.metrics[0]) if chart.metrics else None


def _name(metric: MetricName) -> str:
    return metric if isinstance(metric, str) else next(iter(metric))


def _saved(chart: Chart, dataset: Dataset) -> Metric | None:
    """The dataset's metric that comes first in the chart; none where it is the chart's own."""
    name = chart.metrics[0] if chart.metrics else None
    return dataset.metrics.get(name) if isinstance(name, str) else None


def _label(chart: Chart, dataset: Dataset) -> str:
    metric = _saved(chart, dataset)
    return metric.label if metric else ", ".join(_name(name) for name in chart.metrics[:1])


def _format(chart: Chart, dataset: Dataset) -> str:
    metric = _saved(chart, dataset)
    return metric.format if metric else "SMART_NUMBER"


def _axis(chart: Chart, dataset: Dataset) -> dict[str, Any]:
    return {
        "time_grain_sqla": _GRAINS[chart.per or "year"],
        "y_axis_title": chart.unit or _label(chart, dataset),
        "y_axis_format": _format(chart, dataset) if chart.kind == "line" else "SMART_NUMBER",
    }


def _ranked(chart: Chart, _dataset: Dataset) -> dict[str, Any]:
    return {
        "timeseries_limit_metric": _first(chart),
        "x_axis_sort": next((_name(name) for name in chart.metrics), None),
    }


def _columns(chart: Chart, dataset: Dataset) -> dict[str, Any]:
    return {
        "timeseries_limit_metric": _first(chart),
        "x_axis_sort": chart.x,
        "y_axis_title": chart.unit or _label(chart, dataset),
    }


def _number(chart: Chart, dataset: Dataset) -> dict[str, Any]:
    return {"y_axis_format": _format(chart, dataset)}


def _table(chart: Chart, _dataset: Dataset) -> dict[str, Any]:
    return {"timeseries_limit_metric": _first(chart)}


def _pivot(chart: Chart, dataset: Dataset) -> dict[str, Any]:
    return {"series_limit_metric": _first(chart), "valueFormat": _format(chart, dataset)}


def _records(chart: Chart, _dataset: Dataset) -> dict[str, Any]:
    if not chart.order:
        return {"order_by_cols": []}
    column, _, direction = chart.order.partition(" ")
    return {"order_by_cols": [json.dumps([column, direction != "desc"])]}


def _band(chart: Chart, dataset: Dataset) -> dict[str, Any]:
    """Median, quartiles as a band around it, and the number of values of each column in ``by``.

    Superset draws series that end in __yhat_lower and __yhat_upper as a band around the one without.
    """
    lines: list[MetricName] = []
    for name in chart.by:
        label = dataset.columns[name].label if name in dataset.columns else name
        for ending, share in (("", 0.5), ("__yhat_lower", 0.25), ("__yhat_upper", 0.75)):
            quantile = f"PERCENTILE_CONT({share}) WITHIN GROUP (ORDER BY {name})"
            lines.append({f"{label}{ending}": quantile})
    return {
        "time_grain_sqla": _GRAINS[chart.per or "year"],
        "metrics": [_metric(line) for line in lines],
        "metrics_b": [_metric({"Values (n)": f"COUNT({name})"}) for name in chart.by[:1]],
        "adhoc_filters_b": list(_filters(chart, dataset)),
        "yAxisTitle": chart.unit or "",
    }


_ECHART = {
    "truncate_metric": True,
    "show_empty_columns": True,
    "comparison_type": "values",
    "color_scheme": "supersetColors",
    "legendType": "scroll",
    "legendOrientation": "top",
    "rich_tooltip": True,
}
_OVER_TIME = {
    **_ECHART,
    "show_legend": True,
    "x_axis_time_format": "smart_date",
    "y_axis_title_margin": 50,
    "y_axis_title_position": "Left",
}
_CATEGORIES = {
    **_ECHART,
    "x_axis_force_categorical": True,
    "order_desc": True,
    "y_axis_format": "SMART_NUMBER",
    "xAxisLabelRotation": 0,
    "x_axis_sort_asc": True,
}
_TABLE = {
    "percent_metrics": [],
    "server_page_length": 10,
    "page_length": 10,
    "order_desc": True,
    "table_timestamp_format": "smart_date",
    "color_pn": False,
    "temporal_columns_lookup": {},
}

KINDS: dict[str, Kind] = {
    # One number, its note below it.
    "number": Kind(
        "big_number_total",
        {"header_font_size": 0.4, "subheader_font_size": 0.15, "time_format": "smart_date"},
        metrics="metric",
        derived=_number,
        height=22,
    ),
    # Stacked bars over time.
    "bars": Kind(
        "echarts_timeseries_bar",
        {**_OVER_TIME, "markerEnabled": False, "stack": "Stack"},
        metrics="metrics",
        by="groupby",
        x="x_axis",
        limit=10_000,
        derived=_axis,
    ),
    "line": Kind(
        "echarts_timeseries_line",
        {**_OVER_TIME, "markerEnabled": True},
        metrics="metrics",
        by="groupby",
        x="x_axis",
        limit=10_000,
        derived=_axis,
    ),
    # Median and quartile band of the columns in `by` over time, with n.
    "band": Kind(
        "mixed_timeseries",
        {
            "groupby": [],
            "groupby_b": [],
            "seriesType": "line",
            "seriesTypeB": "bar",
            "yAxisIndex": 0,
            "yAxisIndexB": 1,
            "opacity": 0.2,
            "opacityB": 0.3,
            "markerEnabled": False,
            "show_legend": True,
            "legendType": "scroll",
            "legendOrientation": "top",
            "rich_tooltip": True,
            "truncate_metric": True,
            "truncate_metric_b": True,
            "truncateYAxis": True,
            "comparison_type": "values",
            "comparison_type_b": "values",
            "color_scheme": "supersetColors",
            "x_axis_time_format": "smart_date",
            "y_axis_format": ",.1f",
            "y_axis_format_secondary": ",d",
            "yAxisTitleMargin": 45,
            "yAxisTitleSecondary": "n",
            "yAxisTitleSecondaryMargin": 35,
            "row_limit_b": 10_000,
        },
        by="band_of",
        x="x_axis",
        limit=10_000,
        derived=_band,
    ),
    # The most frequent values of a column, as horizontal bars.
    "ranking": Kind(
        "echarts_timeseries_bar",
        {
            **_CATEGORIES,
            "orientation": "horizontal",
            "show_legend": False,
            "show_value": True,
            "y_axis_title": "",
            "y_axis_title_margin": 0,
        },
        metrics="metrics",
        by="groupby",
        x="x_axis",
        limit=15,
        derived=_ranked,
    ),
    # Values of a column in their order, as stacked upright bars.
    "columns": Kind(
        "echarts_timeseries_bar",
        {
            **_CATEGORIES,
            "orientation": "vertical",
            "show_legend": True,
            "show_value": False,
            "y_axis_title_margin": 35,
            "stack": "Stack",
        },
        metrics="metrics",
        by="groupby",
        x="x_axis",
        limit=1000,
        derived=_columns,
    ),
    "pie": Kind(
        "pie",
        {
            "sort_by_metric": True,
            "color_scheme": "supersetColors",
            "show_labels": True,
            "label_type": "value",
            "labels_outside": True,
            "label_line": True,
            "show_labels_threshold": 1,
            "show_legend": True,
            "legendType": "scroll",
            "legendOrientation": "top",
            "number_format": "SMART_NUMBER",
            "donut": True,
            "innerRadius": 40,
            "outerRadius": 68,
        },
        metrics="metric",
        by="groupby",
        limit=25,
    ),
    # One column against another, by colour.
    "heatmap": Kind(
        "heatmap_v2",
        {
            "sort_x_axis": "alpha_asc",
            "sort_y_axis": "alpha_desc",
            "normalize_across": "heatmap",
            "legend_type": "continuous",
            "linear_color_scheme": "superset_seq_1",
            "xscale_interval": 1,
            "yscale_interval": 1,
            "left_margin": "auto",
            "bottom_margin": "auto",
            "value_bounds": [None, None],
            "y_axis_format": "SMART_NUMBER",
            "show_legend": True,
            "show_percentage": False,
            "show_values": True,
        },
        metrics="metric",
        by="groupby",
        x="x_axis",
        limit=500,
    ),
    # Metrics by the values of columns.
    "table": Kind(
        "table",
        {
            **_TABLE,
            "query_mode": "aggregate",
            "all_columns": [],
            "order_by_cols": [],
            "show_cell_bars": True,
            "include_search": False,
        },
        metrics="metrics",
        by="groupby",
        limit=50,
        derived=_table,
    ),
    # Single rows.
    "records": Kind(
        "table",
        {**_TABLE, "query_mode": "raw", "groupby": [], "metrics": [], "show_cell_bars": False},
        by="all_columns",
        limit=50,
        derived=_records,
    ),
    "pivot": Kind(
        "pivot_table_v2",
        {
            "metricsLayout": "COLUMNS",
            "order_desc": True,
            "aggregateFunction": "Sum",
            "rowTotals": True,
            "rowOrder": "value_z_to_a",
            "colOrder": "key_a_to_z",
            "combineMetric": False,
        },
        metrics="metrics",
        by="groupbyRows",
        x="groupbyColumns",
        limit=5000,
        derived=_pivot,
    ),
}

#: Parameters that hold one column where others hold a list.
_SINGLE_BY = ("heatmap_v2",)
_LIST_X = ("pivot_table_v2",)
#: What Superset writes into a chart that it saves and that says nothing of it.
_NOISE = frozenset(
    [
        *("datasource", "slice_id", "dashboards", "dashboardId", "extra_form_data", "url_params"),
        *("annotation_layers", "viz_type", "adhoc_filters"),
    ]
)


def parameters(chart: Chart, dataset: Dataset) -> dict[str, Any]:
    """Superset's parameters (``params``) of a chart. Raises KeyError for a kind that is none."""
    kind = KINDS[chart.kind]
    said: dict[str, Any] = {"viz_type": kind.viz_type, **kind.fixed}
    if kind.metrics:
        metrics = [_metric(name) for name in chart.metrics]
        said[kind.metrics] = metrics[0] if kind.metrics == "metric" else metrics
    if kind.by:
        said[kind.by] = chart.by[0] if chart.by and kind.viz_type in _SINGLE_BY else list(chart.by)
    if kind.x:
        said[kind.x] = [chart.x] if kind.viz_type in _LIST_X else chart.x
    if kind.limit:
        said["row_limit"] = chart.limit or kind.limit
    if chart.kind == "number":
        said["subheader"] = chart.note
    said |= kind.derived(chart, dataset)
    said["adhoc_filters"] = list(_filters(chart, dataset))
    return {**said, **chart.more}


def _metric(name: MetricName) -> Any:
    if isinstance(name, str):
        return name
    ((label, expression),) = name.items()
    return {
        "expressionType": "SQL",
        "sqlExpression": expression,
        "label": label,
        "hasCustomLabel": True,
        "optionName": f"metric_{re.sub(r'[^a-z0-9]+', '_', label.lower())}",
    }


def _filters(chart: Chart, dataset: Dataset) -> list[dict[str, Any]]:
    """The chart's own conditions. Without one on a time column a time filter does not reach a chart."""
    time = chart.x if chart.x and chart.per else dataset.time
    conditions: list[dict[str, Any]] = []
    if time:
        conditions.append(
            {
                "clause": "WHERE",
                "expressionType": "SIMPLE",
                "subject": time,
                "operator": "TEMPORAL_RANGE",
                "comparator": chart.period or _NO_PERIOD,
            }
        )
    if chart.where:
        conditions.append(
            {"clause": "WHERE", "expressionType": "SQL", "sqlExpression": chart.where}
        )
    return conditions


def read_parameters(
    title: str, note: str, viz_type: str, params: Mapping[str, Any], dataset: Dataset
) -> Chart:
    """The short form of a chart of Superset. Raises ValueError for a chart of no kind known here."""
    known = [name for name, kind in KINDS.items() if kind.viz_type == viz_type]
    if not known:
        raise ValueError(
            f"chart {title}: no kind for {viz_type}. Add one to superset/boards/kinds.py."
        )
    found = [_read_as(name, title, note, params, dataset) for name in known]
    return min(found, key=lambda chart: len(chart.more))


def _read_as(
    name: str, title: str, note: str, params: Mapping[str, Any], dataset: Dataset
) -> Chart:
    kind = KINDS[name]
    where, period = _conditions(params.get("adhoc_filters") or [])
    grain = params.get("time_grain_sqla")
    over_time = kind.derived in (_axis, _band)
    limit = params.get("row_limit")
    plain = Chart(
        title,
        name,
        dataset.name,
        metrics=tuple(_read_metric(m) for m in _listed(params, kind.metrics)),
        x=next(iter(_listed(params, kind.x)), None),
        per=next((word for word, code in _GRAINS.items() if over_time and code == grain), None),
        by=tuple(_listed(params, kind.by)),
        where=where,
        period=period,
        limit=None if limit is None or int(limit) == kind.limit else int(limit),
        order=_read_order(params) if name == "records" else None,
        note=str(params.get("subheader") or note) if name == "number" else note,
    )
    axis = params.get("yAxisTitle" if name == "band" else "y_axis_title")
    if over_time and axis not in (None, "", _label(plain, dataset)):
        plain = _with(plain, unit=str(axis))
    again = parameters(plain, dataset)
    more = {
        key: value
        for key, value in params.items()
        if key not in _NOISE
        and key not in (kind.metrics, kind.by, kind.x)
        and (not _alike(value, again[key]) if key in again else value not in (None, "", [], {}))
    }
    return _with(plain, more=more)


def _alike(one: Any, other: Any) -> bool:
    """Whether two values of a parameter say the same; of a metric name and expression count."""
    if isinstance(one, dict) and isinstance(other, dict) and "expressionType" in one:
        return _read_metric(one) == _read_metric(other)
    return bool(one == other)


def _with(chart: Chart, **changes: Any) -> Chart:
    return Chart(**{**chart.__dict__, **changes})


def _listed(params: Mapping[str, Any], key: str | None) -> list[Any]:
    value = params.get(key) if key else None
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _read_metric(metric: Any) -> MetricName:
    if isinstance(metric, str):
        return metric
    if metric.get("expressionType") == "SIMPLE":
        column = metric["column"]["column_name"]
        aggregate = metric["aggregate"]
        expression = (
            f"COUNT(DISTINCT {column})"
            if aggregate == "COUNT_DISTINCT"
            else f"{aggregate}({column})"
        )
        return {metric["label"]: expression}
    return {metric["label"]: metric["sqlExpression"]}


def _read_order(params: Mapping[str, Any]) -> str | None:
    for ordering in params.get("order_by_cols") or []:
        column, ascending = json.loads(ordering)
        return str(column) if ascending else f"{column} desc"
    return None


def _conditions(filters: list[dict[str, Any]]) -> tuple[str | None, str | None]:
    """The conditions as SQL, and the time range."""
    period, parts = None, []
    for entry in filters:
        if entry.get("operator") == "TEMPORAL_RANGE":
            period = entry["comparator"] if entry["comparator"] != _NO_PERIOD else period
        elif entry["expressionType"] == "SQL":
            parts.append(entry["sqlExpression"])
        else:
            parts.append(_as_sql(entry["subject"], entry["operator"], entry.get("comparator")))
    return " and ".join(parts) or None, period


def _as_sql(column: str, operator: str, value: Any) -> str:
    if operator in ("IS NULL", "IS NOT NULL"):
        return f"{column} {operator.lower()}"
    if operator in ("IN", "NOT IN"):
        return f"{column} {operator.lower()} ({', '.join(_literal(item) for item in value)})"
    return f"{column} {'=' if operator == '==' else operator.lower()} {_literal(value)}"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"
