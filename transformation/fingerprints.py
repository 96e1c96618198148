"""What stands for all that decides the rows of a table that dbt makes.

A table whose fingerprint is not the one it was built with (its comment in the lake) is made anew, and
with it those that read it: nothing else is. Words that decide no row, as descriptions and tests, are not
part of it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

_OURS: Final = "lakehouse"
#: Macros that every table is built by, whether its SQL names them or not.
_BUILD_MACROS: Final = ("macros/build/", "macros/materializations/")
_ENGINE: Final = ("dbt-core", "dbt-duckdb", "duckdb")
#: What SQL calls that is written in Python: its package and the packages that decide what it gives.
_PYTHON: Final = {
    "attachment_text(": (
        Path(__file__).with_name("attachment_text"),
        ("inscriptis", "lxml", "striprtf"),
    ),
}


def of_tables(manifest: Manifest) -> dict[str, str]:
    """Each table that dbt makes (``schema.table``), after those it reads, and its fingerprint.

    A model whose config says ``follows`` reads none of the models that it names.
    """
    base = _digest([*_versions(_ENGINE), *_build_macros(manifest)])
    nodes: dict[str, Any] = {
        unique_id: node
        for unique_id, node in manifest.nodes.items()
        if str(getattr(node.resource_type, "value", node.resource_type)) == "model"
    }
    parents = {
        unique_id: sorted(set(node.depends_on.nodes) & nodes.keys())
        for unique_id, node in nodes.items()
    }
    found: dict[str, str] = {}
    for unique_id in TopologicalSorter(dict(sorted(parents.items()))).static_order():
        node = nodes[unique_id]
        read = (
            [] if node.config.get("follows") else [found[parent] for parent in parents[unique_id]]
        )
        found[unique_id] = _digest([base, *read, *_own(node, manifest)])
    return {
        f"{nodes[unique_id].schema}.{nodes[unique_id].name}": fingerprint
        for unique_id, fingerprint in found.items()
        if nodes[unique_id].config.materialized != "ephemeral"
    }


def _own(node: Any, manifest: Manifest) -> Iterator[str]:
    """A model's SQL, what its config says of rows, its macros, and what its sources declare."""
    yield node.raw_code
    extra = node.config.extra
    yield json.dumps({key: extra[key] for key in sorted(extra)}, sort_keys=True, default=str)
    texts = [node.raw_code]
    for macro in sorted(_macros(node.depends_on.macros, manifest)):
        texts.append(manifest.macros[macro].macro_sql)
        yield texts[-1]
    for unique_id in sorted(node.depends_on.nodes):
        if unique_id in manifest.sources:
            source = manifest.sources[unique_id]
            yield json.dumps([unique_id, source.config.meta], sort_keys=True, default=str)
    for call, (folder, packages) in _PYTHON.items():
        if any(call in text for text in texts):
            yield from (path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))
            yield from _versions(packages)


def _macros(named: Iterable[str], manifest: Manifest) -> set[str]:
    """The project's macros among these and all that they use; dbt's own come with its version."""
    found: set[str] = set()
    waiting = list(named)
    while waiting:
        macro = manifest.macros.get(waiting.pop())
        if macro is None or macro.package_name != _OURS or macro.unique_id in found:
            continue
        found.add(macro.unique_id)
        waiting += macro.depends_on.macros
    return found


def _build_macros(manifest: Manifest) -> Iterator[str]:
    for unique_id in sorted(manifest.macros):
        macro = manifest.macros[unique_id]
        if macro.package_name == _OURS and macro.original_file_path.startswith(_BUILD_MACROS):
            yield macro.macro_sql


def _versions(packages: Iterable[str]) -> Iterator[str]:
    for package in packages:
        yield f"{package} {importlib.metadata.version(package)}"


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]
