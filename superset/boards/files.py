"""The short form of a dashboard: one YAML file that a person reads and writes.

::

    title: Imaging
    description: Studies by modality, body site and equipment.
    mart: imaging_inventory              # of every chart that names no other
    filters:
      Time: where the data is            # or `since 2015`, a Superset time range, or nothing
      Sex: imaging_inventory.sex
    rows:
    - height: 22
      charts:
      - {title: Imaging studies, kind: number, metrics: [studies], note: studies in the selection}
      - {title: 'Studies per year, by modality', kind: bars, metrics: [studies], x: study_date, per: year,
        by: [modality]}

``boards.kinds`` says what kinds there are. An item with ``text`` instead of ``kind`` is Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from boards.catalog import CatalogError

#: A metric of the dataset by its name, or one of this chart alone: {label: SQL}.
MetricName = str | Mapping[str, str]
COLUMNS = 12


@dataclass(frozen=True)
class Chart:
    title: str
    kind: str
    #: The dataset; the dashboard's where it is not said.
    mart: str
    metrics: tuple[MetricName, ...] = ()
    #: Column of the x axis, or of a pivot table's columns.
    x: str | None = None
    #: Bucket of a time axis: year, quarter, month, week, day.
    per: str | None = None
    by: tuple[str, ...] = ()
    #: SQL condition on columns of the dataset.
    where: str | None = None
    #: Superset time range of this chart where the dashboard's filter gives none.
    period: str | None = None
    limit: int | None = None
    #: Of single rows: column, and ``desc``.
    order: str | None = None
    #: Name of the value axis, where the metric's label does not say it.
    unit: str | None = None
    note: str = ""
    #: Twelfths of the page; an equal share where it is not said.
    width: int | None = None
    #: Further parameters of Superset's chart, as they are.
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    text: str
    width: int | None = None


@dataclass(frozen=True)
class Row:
    items: tuple[Chart | Text, ...]
    #: In Superset's grid units of eight pixels.
    height: int


@dataclass(frozen=True)
class Filter:
    name: str
    #: ``mart.column`` whose values it offers; nothing for the time filter.
    column: str | None
    #: Of the time filter: ``where the data is``, ``since 2015``, or a Superset time range.
    default: str | None = None


@dataclass(frozen=True)
class Dashboard:
    name: str
    title: str
    description: str
    mart: str
    filters: tuple[Filter, ...]
    rows: tuple[Row, ...]

    def charts(self) -> list[Chart]:
        return [item for row in self.rows for item in row.items if isinstance(item, Chart)]


def widths(row: Row) -> list[int]:
    """Columns of each item of the row: those that say none share what is left."""
    said = sum(item.width or 0 for item in row.items)
    silent = sum(item.width is None for item in row.items)
    return [item.width or (COLUMNS - said) // silent for item in row.items]


def read_dashboards(folder: Path) -> list[Dashboard]:
    return [read_dashboard(path) for path in sorted(folder.glob("*.yaml"))]


def read_dashboard(path: Path) -> Dashboard:
    """Raises CatalogError with the file and the place of what is no dashboard."""
    try:
        return _dashboard(path.stem, yaml.safe_load(path.read_text("utf-8")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CatalogError(
            f"{path.name}: {error}. superset/boards/files.py says the form."
        ) from error


def _dashboard(name: str, content: dict[str, Any]) -> Dashboard:
    mart = content["mart"]
    return Dashboard(
        name,
        content["title"],
        content["description"],
        mart,
        tuple(_filter(key, value) for key, value in (content.get("filters") or {}).items()),
        tuple(_row(mart, row) for row in content["rows"]),
    )


def _filter(name: str, value: str | None) -> Filter:
    return Filter(name, None, value) if name == "Time" else Filter(name, str(value))


def _row(mart: str, row: dict[str, Any]) -> Row:
    return Row(tuple(_item(mart, item) for item in row["charts"]), int(row["height"]))


def _item(mart: str, item: dict[str, Any]) -> Chart | Text:
    if "text" in item:
        return Text(**item)
    lists = {key: tuple(item[key]) for key in ("metrics", "by") if key in item}
    return Chart(**{"mart": mart, **item, **lists})


class _Flow(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """YAML's own, which knows one kind of mapping more."""


_Dumper.add_representer(
    _Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, True)
)


def write_dashboard(dashboard: Dashboard) -> str:
    """The file's text: what ``read_dashboard`` reads as the same dashboard."""
    content: dict[str, Any] = {
        "title": dashboard.title,
        "description": dashboard.description,
        "mart": dashboard.mart,
        "filters": {entry.name: entry.column or entry.default for entry in dashboard.filters},
        "rows": [
            {
                "height": row.height,
                "charts": [_plain(item, dashboard.mart) for item in row.items],
            }
            for row in dashboard.rows
        ],
    }
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=118)
    return text


def _plain(item: Chart | Text, mart: str) -> _Flow:
    said = _Flow()
    for entry in fields(item):
        value = getattr(item, entry.name)
        if value in (None, "", (), {}) or (entry.name == "mart" and value == mart):
            continue
        if isinstance(value, tuple):
            value = [dict(part) if isinstance(part, Mapping) else part for part in value]
        said[entry.name] = dict(sorted(value.items())) if isinstance(value, Mapping) else value
    return said
