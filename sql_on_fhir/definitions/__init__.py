"""FHIR R4 types, elements and cardinalities, read from r4.json (see generate.py)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

# https://hl7.org/fhir/fhirpath.html#types: how FHIR primitives appear to FHIRPath.
_KINDS = {
    "boolean": "boolean",
    "integer": "integer",
    "positiveInt": "integer",
    "unsignedInt": "integer",
    "integer64": "integer",
    "decimal": "decimal",
    "date": "date",
    "dateTime": "dateTime",
    "instant": "dateTime",
    "time": "time",
}
TEXT_TYPES = frozenset(
    [
        "base64Binary",
        "canonical",
        "code",
        "id",
        "markdown",
        "oid",
        "string",
        "uri",
        "url",
        "uuid",
        "xhtml",
    ]
)
# Kinds that may stand in one column: union branches, and a declared against an inferred type.
_COMPATIBLE = (
    {"integer", "decimal"},
    {"text", "date", "dateTime", "time"},
)
_LATER_BASES = {"integer64": "Element"}


@dataclass(frozen=True)
class Element:
    """One element of a type: its name in FHIRPath, its possible types, whether it repeats."""

    name: str
    types: tuple[str, ...]
    many: bool

    @property
    def is_choice(self) -> bool:
        """True for `value[x]`: the JSON key carries the type, as in `valueQuantity`."""
        return len(self.types) > 1


@dataclass(frozen=True)
class Type:
    """One R4 type with its own elements; `base` holds the inherited ones."""

    name: str
    base: str | None
    kind: str
    elements: dict[str, Element]


def kind_of(type_name: str) -> str:
    """How values of a type compare: boolean, integer, decimal, date, dateTime, time, text, complex."""
    if type_name in TEXT_TYPES:
        return "text"
    return _KINDS.get(type_name, "complex")


def compatible(left: str, right: str) -> bool:
    """True where values of two FHIR types can stand in one column."""
    kinds = {kind_of(left), kind_of(right)}
    if "complex" in kinds:
        return left == right
    return len(kinds) == 1 or any(kinds <= family for family in _COMPATIBLE)


def choice_key(name: str, type_name: str) -> str:
    """The JSON key of a choice element: ('value', 'Quantity') -> 'valueQuantity'."""
    return name + type_name[:1].upper() + type_name[1:]


@cache
def _types() -> dict[str, Type]:
    text = resources.files(__package__).joinpath("r4.json").read_text()
    table: dict[str, Type] = {}
    for name, entry in json.loads(text)["types"].items():
        elements = {}
        for written, (types, limit) in entry["elements"].items():
            plain = written.removesuffix("[x]")
            codes = tuple(code.removeprefix("#") for code in types)
            if plain == "id" and name == "Resource":
                codes = ("id",)
            elements[plain] = Element(plain, codes, limit == "*")
        table[name] = Type(name, entry["base"], entry["kind"], elements)
    for name, base in _LATER_BASES.items():
        table.setdefault(name, Type(name, base, "primitive-type", {}))
    return table


def lookup(type_name: str) -> Type | None:
    """The type of that name, or None where R4 has none."""
    return _types().get(type_name)


def is_resource(type_name: str) -> bool:
    """True for a resource type, abstract ones included."""
    found = lookup(type_name)
    return found is not None and found.kind == "resource"


def is_concrete_resource(type_name: str) -> bool:
    """True for the type of a resource that there can be: not for Resource and DomainResource."""
    return is_resource(type_name) and type_name not in ("Resource", "DomainResource")


def resource_types() -> frozenset[str]:
    """The types that a resource can have."""
    return frozenset(name for name in _types() if is_concrete_resource(name))


def ancestors(type_name: str) -> Iterator[str]:
    """The type itself and the types it derives from."""
    found = lookup(type_name)
    while found is not None:
        yield found.name
        found = lookup(found.base) if found.base else None


def own_elements(type_name: str) -> tuple[Element, ...]:
    """The elements that a type has beside those of its base, in R4's order."""
    return tuple(_types()[type_name].elements.values())


def element(type_name: str, name: str) -> Element | None:
    """The element of that name in a type or its bases."""
    for ancestor in ancestors(type_name):
        found = _types()[ancestor].elements.get(name)
        if found is not None:
            return found
    return None


def typed_choice(type_name: str, key: str) -> tuple[Element, str] | None:
    """The choice element and type behind a JSON key such as `valueQuantity`."""
    for ancestor in ancestors(type_name):
        for candidate in _types()[ancestor].elements.values():
            if candidate.is_choice and key.startswith(candidate.name):
                for type_ in candidate.types:
                    if choice_key(candidate.name, type_) == key:
                        return candidate, type_
    return None
