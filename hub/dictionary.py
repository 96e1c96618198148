"""The data dictionary as a page: the generated Markdown file, shown with a list of its tables."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

#: Generated from dbt's YAML by `lakehouse docs` and held current by a test.
SOURCE = Path(__file__).resolve().parents[1] / "docs" / "data-dictionary.md"


@dataclass(frozen=True)
class Layer:
    """One chapter: its title and the names of its tables, which are also their anchors."""

    title: str
    tables: tuple[str, ...]


@dataclass(frozen=True)
class Dictionary:
    """``html`` is safe to show as it is: the Markdown's own HTML is escaped."""

    html: str
    layers: tuple[Layer, ...]


def read(source: Path = SOURCE) -> Dictionary:
    """The dictionary as the file is now; rendered again only when it changed."""
    return _render(source, source.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _render(source: Path, _changed: int) -> Dictionary:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(source.read_text(encoding="utf-8"))
    layers: list[tuple[str, list[str]]] = []
    for opening, inline in itertools.pairwise(tokens):
        if opening.type != "heading_open":
            continue
        if opening.tag == "h2":
            layers.append((inline.content, []))
        elif opening.tag == "h3":
            opening.attrSet("id", inline.content)
            layers[-1][1].append(inline.content)
    html = markdown.renderer.render(_without_title(tokens), markdown.options, {})
    return Dictionary(html, tuple(Layer(title, tuple(tables)) for title, tables in layers))


def _without_title(tokens: list[Token]) -> list[Token]:
    """The page has its own title, and need not say how its file is generated."""
    first = next(index for index, token in enumerate(tokens) if token.tag == "h2")
    return tokens[first:]
