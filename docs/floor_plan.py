"""Draws the floor plan of ``docs/architecture.md`` from the imports of the packages.

    python docs/floor_plan.py

A package stands one floor above the highest of those that it imports. An arrow that another way down
already says (cli → orchestration → quality) is left out, so that the picture stays readable.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BLOCK = re.compile(r"(<!-- floor plan -->\n).*?(<!-- end of floor plan -->)", re.DOTALL)

#: What each package is, in the words of its picture.
ROOMS = {
    "cli": "the command line",
    "orchestration": "Dagster",
    "hub": "the front page",
    "ingestion": "inbox → Bronze",
    "transformation": "dbt's Python side",
    "quality": "suites and gates",
    "publishing": "Gold → Postgres",
    "installation": "secrets, roles, backup",
    "lakehouse": "settings, store, lake, metadata",
    "sql_on_fhir": "views → SQL",
}


@functools.cache
def imports(package: str) -> frozenset[str]:
    """Packages of ours that a module of ``package`` imports, anywhere in its text."""
    found: set[str] = set()
    for module in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return frozenset(found & ROOMS.keys() - {package})


@functools.cache
def floor(package: str) -> int:
    """0 is the ground. Raises RecursionError where packages import each other in a circle."""
    return 1 + max((floor(below) for below in imports(package)), default=-1)


@functools.cache
def reached(package: str) -> frozenset[str]:
    """Every package below ``package``, by any way."""
    return imports(package).union(*(reached(below) for below in imports(package)))


def picture() -> str:
    """The plan as a Mermaid flowchart, the top floor first."""
    lines = ["```mermaid", "flowchart TB"]
    for level in range(max(map(floor, ROOMS)), -1, -1):
        rooms = [package for package in ROOMS if floor(package) == level]
        lines.append(f'    subgraph floor{level}["floor {level}"]')
        lines += [
            f'        {package}["<b>{package}</b><br/>{ROOMS[package]}"]' for package in rooms
        ]
        lines.append("    end")
    for package in ROOMS:
        for below in sorted(imports(package)):
            if not any(below in reached(other) for other in imports(package)):
                lines.append(f"    {package} --> {below}")
    return "\n".join([*lines, "```", ""])


def page() -> str:
    """The page as it should be."""
    return BLOCK.sub(lambda found: found[1] + picture() + found[2], PAGE.read_text("utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
