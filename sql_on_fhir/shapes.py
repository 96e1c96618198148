"""What resources must look like for views to read them: each element read, as FHIR R4 defines it.

Nothing is read off data: the elements come from the views, their types and cardinalities from the
R4 definitions. What a view hands on whole is described whole.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sql_on_fhir import definitions
from sql_on_fhir.definitions import choice_key
from sql_on_fhir.ir.shape import Shape
from sql_on_fhir.planning.plan import plan

#: Not described below a value that is read whole: nobody reads them without naming them.
_UNNAMED = frozenset({"id", "extension", "modifierExtension"})


@dataclass(frozen=True)
class ElementShape:
    """One element by its FHIR type. `elements` are those below it that are read, by JSON key and in
    R4's order; empty for a primitive, and for an object of whose content nothing is read.
    """

    type: str
    many: bool
    elements: tuple[tuple[str, "ElementShape"], ...] = ()


@dataclass
class _Read:
    """What is read of one element, by all views together."""

    whole: bool = False
    below: "dict[str, _Read]" = field(default_factory=dict)

    def add(self, shape: Shape) -> None:
        self.whole = self.whole or shape.whole
        for key, entry in shape.fields.items():
            read = self.below.setdefault(key, _Read())
            if entry.shape is not None:
                read.add(entry.shape)


def shapes_read(views: Iterable[Mapping[str, Any] | str | bytes]) -> dict[str, ElementShape]:
    """For each resource type that a view is about, what its resources must look like.

    Raises ViewDefinitionError or FhirPathError for a view that is wrong.
    """
    read: dict[str, _Read] = {}
    for view in views:
        planned = plan(view)
        if planned.resource.shape is not None:
            read.setdefault(planned.resource_type, _Read()).add(planned.resource.shape)
    return {
        type_: ElementShape(type_, False, _below(type_, found)) for type_, found in read.items()
    }


def _below(type_name: str, read: _Read) -> tuple[tuple[str, ElementShape], ...]:
    if read.whole:
        return _whole(type_name, frozenset())
    return tuple(
        (key, ElementShape(type_, many, _below(type_, read.below[key])))
        for key, type_, many in _keys(type_name)
        if key in read.below
    )


def _whole(type_name: str, above: frozenset[str]) -> tuple[tuple[str, ElementShape], ...]:
    """All elements of a type but ids and extensions; a type inside itself is not opened again."""
    if type_name in above or definitions.is_resource(type_name):
        return ()
    above |= {type_name}
    return tuple(
        (key, ElementShape(type_, many, _whole(type_, above)))
        for key, type_, many in _keys(type_name)
        if key not in _UNNAMED and not key.startswith("_")
    )


@cache
def _keys(type_name: str) -> tuple[tuple[str, str, bool], ...]:
    """The JSON keys of a type with type and cardinality, in R4's order; `_key` stands for the id and
    extensions of a primitive (https://hl7.org/fhir/R4/json.html#primitive).
    """
    if definitions.kind_of(type_name) != "complex":
        return ()
    found: list[tuple[str, str, bool]] = []
    for ancestor in reversed(list(definitions.ancestors(type_name))):
        for element in definitions.own_elements(ancestor):
            for type_ in element.types:
                key = choice_key(element.name, type_) if element.is_choice else element.name
                found.append((key, type_, element.many))
                if definitions.kind_of(type_) != "complex":
                    found.append((f"_{key}", "Element", element.many))
    return tuple(found)
