"""Which elements of a resource each column of a view reads: what is left out can then be told."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sql_on_fhir.ir.shape import Shape
from sql_on_fhir.planning.plan import plan

#: Read by every plan, whatever its columns are.
_ALWAYS = frozenset({"resourceType"})


@dataclass(frozen=True)
class ElementRead:
    """An element by its JSON path (`code.coding.system`); `whole` where all below it is read too."""

    path: str
    whole: bool


def elements_read(view: Mapping[str, Any]) -> dict[str, frozenset[ElementRead]]:
    """Of each column of a ViewDefinition the elements that its path reads.

    What only a `where` or a `forEach` reads counts for every column below it.
    Raises ViewDefinitionError or FhirPathError as `plan` does.
    """
    read = {}
    for name in _names(view.get("select", [])):
        shape = plan(_only(view, name)).resource.shape
        read[name] = frozenset(_read(shape, "")) if shape is not None else frozenset()
    return read


def _names(selects: list[dict[str, Any]]) -> Iterator[str]:
    for select in selects:
        yield from (column["name"] for column in select.get("column", []))
        yield from _names(select.get("select", []))
        yield from _names(select.get("unionAll", []))


def _only(view: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The view with that one column, and without its filter."""
    alone = copy.deepcopy(dict(view))
    alone.pop("where", None)
    alone["select"] = _pruned(alone.get("select", []), name)
    return alone


def _pruned(selects: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    kept = []
    for select in selects:
        pruned = {
            key: value
            for key, value in select.items()
            if key not in ("column", "select", "unionAll")
        }
        for key in ("select", "unionAll"):
            below = _pruned(select.get(key, []), name)
            if below:
                pruned[key] = below
        columns = [column for column in select.get("column", []) if column["name"] == name]
        if columns:
            pruned["column"] = columns
        if columns or "select" in pruned or "unionAll" in pruned:
            kept.append(pruned)
    return kept


def _read(shape: Shape, path: str) -> Iterator[ElementRead]:
    if shape.whole:
        yield ElementRead(path, whole=True)
        return
    for key, entry in shape.fields.items():
        if not path and key in _ALWAYS:
            continue
        below = f"{path}.{key}" if path else key
        if entry.shape is None:
            # a resource inside a resource is read as JSON, with all that it holds
            yield ElementRead(below, whole=key == "contained")
        else:
            yield from _read(entry.shape, below)
