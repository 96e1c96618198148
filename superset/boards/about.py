"""The last row of every dashboard: what a row of its tables is, where they are described, how new they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from boards.catalog import Dataset
from boards.files import Chart, Dashboard, Row, Text

_HEADING = "### About these numbers"
_AS_OF = Chart(
    "Data as of",
    "number",
    "publish",
    metrics=("as_of",),
    note="newest publish",
    width=3,
    more={"time_format": "%Y-%m-%d %H:%M", "header_font_size": 0.3},
)


def with_about(dashboard: Dashboard, catalog: Mapping[str, Dataset]) -> Dashboard:
    """The dashboard with the row that follows from its tables."""
    marts = dict.fromkeys(chart.mart for chart in dashboard.charts())
    lines = [
        f"- **{name}**: {catalog[name].description} ([columns]({dictionary()}#{name}))"
        if catalog[name].database == "marts"
        else f"- **{name}**: {catalog[name].description}"
        for name in marts
        if name in catalog
    ]
    text = "\n".join([_HEADING, dashboard.description, "", "What a row is:", "", *lines])
    return replace(
        dashboard, rows=(*dashboard.rows, Row((Text(text, 9), _AS_OF), 20 + 4 * len(lines)))
    )


def without_about(dashboard: Dashboard) -> Dashboard:
    """The dashboard without that row."""
    rows = tuple(
        row
        for row in dashboard.rows
        if not any(isinstance(item, Text) and item.text.startswith(_HEADING) for item in row.items)
    )
    return replace(dashboard, rows=rows)


def dictionary() -> str:
    """Address of the data dictionary: a page of the hub, as the reader's browser finds it."""
    hub = os.environ.get("HUB_ADDRESS") or f"http://localhost:{os.environ.get('HUB_PORT', '54321')}"
    return f"{hub.rstrip('/')}/docs/dictionary"
