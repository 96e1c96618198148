"""What a submission filled, and which Silver column takes it: element paths with counts, no values.

What arrived is counted in Bronze by DuckDB, which walks each resource once; what is taken is read off
the ViewDefinitions, so it needs no list of its own. Elements below one that a column takes whole
(`component`, `code`) count as taken by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from sql_on_fhir import elements_read
from transformation.dictionary import read_tables
from transformation.views import DBT

_STAGED = re.compile(r"stg_fhir__(\w+)|silver_table\('(\w+)'\)")
#: What Bronze and the build itself read of every resource.
_BRONZE = {
    "id": "bronze.fhir_resource.resource_id",
    "meta.versionId": "bronze.fhir_resource.version_id",
    "meta.lastUpdated": "bronze.fhir_resource.last_updated",
    "identifier.system": "silver.resource_identifier.identifier_key",
    "identifier.value": "silver.resource_identifier.identifier_key",
}
#: A key that cannot be the name of an element may be anything, a person's name among it.
_NO_ELEMENT = "(no element name)"

_COUNTED = """
    select resource_type, path, count(*) as value_count, count(distinct resource_row) as resource_count
    from (
        select
            bronze.resource_type,
            bronze.rowid as resource_row,
            regexp_replace(tree.fullkey[3:], '\\[[0-9]+\\]', '', 'g') as path
        from lake.bronze.fhir_resource as bronze, json_tree(bronze.resource) as tree
        where bronze.submission_id = ? and tree.type not in ('OBJECT', 'ARRAY', 'NULL')
    )
    where path != 'resourceType'
    group by resource_type, path
    order by resource_type, path
"""


@dataclass(frozen=True)
class CoveredElement:
    """An element that arrived: in how many resources, how often, and the columns that take it."""

    resource_type: str
    path: str
    resource_count: int
    value_count: int
    columns: tuple[str, ...]


def coverage(
    connection: duckdb.DuckDBPyConnection, submission_id: str, project: Path = DBT
) -> list[CoveredElement]:
    """The elements of a submission's FHIR resources, by resource type and path."""
    taken = taken_elements(project)
    found: dict[tuple[str, str], CoveredElement] = {}
    for resource_type, path, values, resources in connection.execute(
        _COUNTED, [submission_id]
    ).fetchall():
        name = _element_path(path)
        columns = _columns(taken.get(resource_type, []), name)
        before = found.get((resource_type, name))
        found[resource_type, name] = CoveredElement(
            resource_type,
            name,
            resources + (before.resource_count if before else 0),
            values + (before.value_count if before else 0),
            columns,
        )
    return list(found.values())


@dataclass(frozen=True)
class TakenElement:
    """An element that a column reads; with ``whole`` everything below it too."""

    path: str
    whole: bool
    column: str

    def takes(self, path: str) -> bool:
        return path == self.path or (self.whole and path.startswith(f"{self.path}."))


def taken_elements(project: Path = DBT) -> dict[str, list[TakenElement]]:
    """Of each resource type the elements that the project's views read, with table and column."""
    tables = _tables_of_views(project)
    columns = {
        (table.name, column.name) for table in read_tables(project) for column in table.columns
    }
    taken: dict[str, list[TakenElement]] = {}
    for path in sorted((project / "views").glob("*.json")):
        view = json.loads(path.read_text(encoding="utf-8"))
        table = tables.get(view["name"], view["name"])
        for column, elements in elements_read(view).items():
            taken.setdefault(view["resource"], []).extend(
                TakenElement(element.path, element.whole, _shown(table, column, columns))
                for element in elements
            )
    return taken


def _tables_of_views(project: Path) -> dict[str, str]:
    """View → the Silver table that is made from it."""
    return {
        match.group(1) or match.group(2): path.stem
        for path in sorted((project / "models" / "silver").rglob("*.sql"))
        for match in _STAGED.finditer(path.read_text(encoding="utf-8"))
    }


def _shown(table: str, column: str, columns: set[tuple[str, str]]) -> str:
    """The table's column of a view's; in parentheses where the table makes something else of it."""
    name = re.sub(r"_concepts?$", "", re.sub(r"_reference$", "_id", column))
    return f"silver.{table}.{name}" if (table, name) in columns else f"silver.{table} ({column})"


def _columns(taken: Iterable[TakenElement], path: str) -> tuple[str, ...]:
    columns = {element.column for element in taken if element.takes(path)}
    if path in _BRONZE:
        columns.add(_BRONZE[path])
    return tuple(sorted(columns))


def _element_path(path: str) -> str:
    return ".".join(_names(path))


def _names(path: str) -> Iterator[str]:
    for name in path.split("."):
        yield name if re.fullmatch(r"_?[A-Za-z][A-Za-z0-9]{0,63}", name) else _NO_ELEMENT
