"""Great Expectations' pages made fit for this platform: offline, silent, with a first page that works.

As generated, each page loads styles, scripts and a tracking image from the web, and the first page is
empty without them. Here every page is made self-contained, a content security policy keeps it from
calling anybody, and the first page is written anew from the stored results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from quality.suites import LAYERS

#: Below ``home``; the hub serves everything in ``site``.
SITE = "site/data-docs"

#: Nothing is loaded from anywhere; styles are inside the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_TEMPLATES = Path(__file__).parent / "templates"
_MARK = '<meta http-equiv="Content-Security-Policy"'
_CUT = [
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        r"<script\b.*?</script>",
        r"<link\b[^>]*>",
        r"<footer\b.*?</footer>",
        r"<title>[^<]*</title>(?=.*<title>)",
    )
]
_IMAGE = re.compile(r"<img\b[^>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One suite on the first page: its newest result, and links to the earlier ones."""

    layer: str
    table: str
    page: str
    rules_page: str
    verdict: str
    colour: str
    met: int
    rules: int
    run: str
    time: str
    earlier: list[tuple[str, str]]


def page_of(home: Path, key: tuple[str, ...]) -> Path:
    """The page of a stored validation, whose ``key`` is its path without the ending."""
    *folders, name = key
    return home / SITE / "validations" / Path(*folders) / f"{name}.html"


def finish(home: Path) -> None:
    """Make new pages self-contained and write the first page."""
    site = home / SITE
    for folder in ("validations", "expectations"):
        for page in (site / folder).rglob("*.html"):
            _make_self_contained(page)
    _write(site / "index.html", _first_page(home))


def _make_self_contained(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if _MARK in text:
        return
    for pattern in _CUT:
        text = pattern.sub("", text)
    text = _IMAGE.sub("<strong>Data Docs</strong>", text)
    head = f'{_MARK} content="{POLICY}">\n<style>{_style()}</style>\n</head>'
    _write(page, text.replace("</head>", head, 1))


def _first_page(home: Path) -> str:
    from jinja2 import Environment, FileSystemLoader

    order: dict[str, int] = {layer: number for number, layer in enumerate(LAYERS)}
    entries = sorted(_entries(home), key=lambda entry: (order.get(entry.layer, 99), entry.table))
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True)
    return environment.get_template("data_docs_index.html.j2").render(
        policy=POLICY,
        style=_style(),
        layers=[(layer, list(suites)) for layer, suites in groupby(entries, lambda e: e.layer)],
    )


def _entries(home: Path) -> Iterator[Entry]:
    results = home / "gx" / "uncommitted" / "validations"
    by_suite: dict[tuple[str, str], list[Path]] = {}
    for file in results.glob("*/*/*/*/*.json"):
        layer, table = file.relative_to(results).parts[:2]
        by_suite.setdefault((layer, table), []).append(file)
    for (layer, table), files in by_suite.items():
        # …/<run name>/<run time>/<batch>.json: the time sorts as text
        files.sort(key=lambda file: file.parent.name)
        newest = json.loads(files[-1].read_text(encoding="utf-8"))
        verdict, colour = _verdict(newest["results"])
        yield Entry(
            layer=layer,
            table=table,
            page=_link(results, files[-1]),
            rules_page=f"expectations/{layer}/{table}.html",
            verdict=verdict,
            colour=colour,
            met=newest["statistics"]["successful_expectations"],
            rules=newest["statistics"]["evaluated_expectations"],
            run=newest["meta"]["run_id"]["run_name"],
            time=_time(files[-1]),
            earlier=[(_link(results, file), _time(file)) for file in reversed(files[:-1])],
        )


def _verdict(results: Iterable[dict[str, Any]]) -> tuple[str, str]:
    failed = [r["expectation_config"]["severity"] for r in results if not r["success"]]
    errors = failed.count("critical")
    if errors:
        return f"✗ {errors} error{'s' * (errors > 1)}", "text-danger"
    if failed:
        return f"⚠ {len(failed)} warning{'s' * (len(failed) > 1)}", "text-warning"
    return "✓ all met", "text-success"


def _link(results: Path, file: Path) -> str:
    return "validations/" + file.relative_to(results).with_suffix(".html").as_posix()


def _time(file: Path) -> str:
    stamp = file.parent.name  # 20261121T034925.739163Z
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}"


def _write(page: Path, text: str) -> None:
    """Replace the page at once: somebody may be reading it."""
    page.parent.mkdir(parents=True, exist_ok=True)
    new = page.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(page)


@cache
def _style() -> str:
    return (_TEMPLATES / "data_docs.css").read_text(encoding="utf-8")
