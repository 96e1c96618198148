"""What a FHIR R4 resource must look like to be taken, as types that check while they decode.

Each resource is decoded once into one of these: what identifies it, and the shape of the elements
that Silver reads, which the ViewDefinitions in ``dbt/views`` say. An object where R4 has a list, a
text where it has a number, or a date that is none is refused here, with the element's path, because
it would be silently null further on. What nothing reads is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, reduce
from operator import attrgetter, or_
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, defstruct

from ingestion.reasons import Reason
from ingestion.sources.fhir.dates import NOT_A_DATE, all_seen, check_dates
from ingestion.sources.fhir.versions import (
    OTHER_VERSION_ELEMENTS,
    R4_TYPES,
    is_profile_of_another_version,
    is_r4,
)
from lakehouse.errors import ConfigurationError
from sql_on_fhir import ElementShape, shapes_read
from sql_on_fhir.definitions import kind_of

VIEWS: Final = Path(__file__).resolve().parents[3] / "dbt" / "views"
#: What is read of a resource by other means than a view: names and identifiers, by which resources
#: are referred to and people are found; what replaces a document.
_READ_BESIDES: Final = {
    **dict.fromkeys(
        (
            "Device",
            "Encounter",
            "Location",
            "Medication",
            "Organization",
            "Practitioner",
            "PractitionerRole",
            "RelatedPerson",
        ),
        ("identifier.system", "identifier.value"),
    ),
    "Patient": ("identifier.system", "identifier.value", "name.exists()"),
    "DocumentReference": ("relatesTo.code", "relatesTo.target.reference"),
}
_OTHER_VERSION: Final = "Another version of FHIR"
_PROFILES_KEPT: Final = 10_000

Text = str | None


# What is the same in every resource, and more than a shape ---------------------------------------

#: Profiles seen so far: data names few, and names them on every resource.
_r4_profiles: set[str] = set()


def _check_profile(url: str) -> None:
    if is_profile_of_another_version(url):
        raise ValueError(_OTHER_VERSION)
    if len(_r4_profiles) < _PROFILES_KEPT:
        _r4_profiles.add(url)


class Object(Struct, gc=False):
    """Any JSON object; its content is not looked at."""


#: Not empty where the resource decoded last has a reference with an identifier; its reader clears it.
LOGICAL_REFERENCES: Final[list[bool]] = []


class LogicalReference(Struct, gc=False):
    """``Reference.identifier``: https://hl7.org/fhir/R4/references.html#logical."""

    value: Text = None

    def __post_init__(self) -> None:
        LOGICAL_REFERENCES.append(True)


class Reference(Struct, gc=False):
    reference: Text = None
    identifier: LogicalReference | None = None
    display: Text = None


#: The tag of a resource of which only parts were asked for
#: (https://hl7.org/fhir/R4/search.html#summary).
SUBSETTED: Final = "SUBSETTED"
_SUBSETTED_SYSTEM: Final = re.compile(
    r"https?://terminology\.hl7\.org/CodeSystem/v3-ObservationValue"
    r"|https?://hl7\.org/fhir/v3/ObservationValue"
)


class Tag(Struct, gc=False):
    system: Text = None
    code: Text = None


class Meta(Struct, gc=False):
    versionId: Text = None  # noqa: N815 - FHIR's own names
    lastUpdated: Text = None  # noqa: N815
    profile: list[str] | None = None
    tag: list[Tag] | None = None

    def is_subset(self) -> bool:
        return any(
            tag.code == SUBSETTED
            and (tag.system is None or _SUBSETTED_SYSTEM.fullmatch(tag.system) is not None)
            for tag in self.tag or ()
        )

    def __post_init__(self) -> None:
        if not all_seen((self.lastUpdated,)):
            check_dates("lastUpdated", (self.lastUpdated,))
        if self.profile is not None:
            for url in self.profile:
                if url not in _r4_profiles:
                    _check_profile(url)


class Resource(Struct, tag_field="resourceType", gc=False):
    """What every resource has."""

    id: Text = None
    meta: Meta | None = None


class Head(Struct, gc=False):
    """What is kept of a decoded resource: the rest was decoded to be checked."""

    resource_type: str
    id: Text
    meta: Meta | None

    @classmethod
    def of(cls, resource: Resource) -> Head:
        return cls(type(resource).__name__, resource.id, resource.meta)


class Definition(Resource):
    """A resource that says for which version of FHIR it is."""

    fhirVersion: str | list[str] | None = None  # noqa: N815

    def __post_init__(self) -> None:
        written = self.fhirVersion
        versions = [written] if isinstance(written, str) else written or []
        if versions and not any(is_r4(version) for version in versions):
            raise ValueError(_OTHER_VERSION)


_DEFINITIONS: Final = frozenset(
    {"CapabilityStatement", "ImplementationGuide", "StructureDefinition"}
)


# What is read of each type -----------------------------------------------------------------------

_KINDS: Final[Mapping[str, Any]] = {"boolean": bool, "integer": int, "decimal": float}
_DATES: Final = frozenset({"date", "dateTime"})


@cache
def read_by_silver() -> Mapping[str, ElementShape]:
    """For each resource type of which Silver reads something, the elements that it reads."""
    views = [path.read_bytes() for path in sorted(VIEWS.glob("*.json"))]
    if not views:
        raise ConfigurationError(
            f"There are no ViewDefinitions in {VIEWS}.",
            hint="Install the project with its folder dbt: what is checked follows from the views.",
        )
    return shapes_read([*views, *_besides()])


def _besides() -> Iterator[dict[str, Any]]:
    for resource, paths in _READ_BESIDES.items():
        columns = [
            {"name": f"column_{number}", "path": path, "collection": True}
            for number, path in enumerate(paths)
        ]
        yield {"resource": resource, "select": [{"column": columns}]}


@cache
def _type_of(shape: ElementShape) -> Any:
    """The type that decodes an element, or null in its place."""
    kind = kind_of(shape.type)
    one: Any
    if kind != "complex":
        one = _KINDS.get(kind, str)
    elif shape.type == "Reference":
        one = Reference
    else:
        one = _struct(shape) if shape.elements else Object
    if not shape.many:
        return one | None
    # A null stands where a primitive of the list has extensions only, and the other way round.
    has_nulls = kind != "complex" or shape.type == "Element"
    return list[one | None] | None if has_nulls else list[one] | None


def _struct(shape: ElementShape) -> type[Struct]:
    name = "".join(part[:1].upper() + part[1:] for part in shape.type.split("."))
    return defstruct(name, **_content(shape.type, shape), gc=False)


def _content(type_name: str, shape: ElementShape | None) -> dict[str, Any]:
    """Fields of a type that decodes, with what is checked once it is decoded."""
    elements = shape.elements if shape is not None else ()
    taken = [(key, one) for key, one in elements if key not in Resource.__struct_fields__]
    others = OTHER_VERSION_ELEMENTS.get(type_name, "").split()
    types = {key: _type_of(one) for key, one in taken} | dict.fromkeys(others, None)
    names = {key: f"{key.lstrip('_')}_" if key.startswith("_") else key for key in types}
    return {
        "fields": [(names[key], type_, None) for key, type_ in types.items()],
        "rename": {name: key for key, name in names.items() if name != key},
        "namespace": _checks([(key, one) for key, one in taken if kind_of(one.type) in _DATES]),
    }


def _checks(dates: list[tuple[str, ElementShape]]) -> dict[str, Callable[[Any], None]]:
    """``__post_init__`` of a type with such elements: it refuses dates that are none."""
    if not dates:
        return {}
    single = [key for key, element in dates if not element.many]
    lists = [key for key, element in dates if element.many]

    def check_lists(decoded: Any) -> None:
        for key in lists:
            if (several := getattr(decoded, key)) is not None:
                check_dates(key, several)

    if not single:
        return {"__post_init__": check_lists}
    # Of one name attrgetter gives the value, of several a tuple.
    values = attrgetter(*single, single[0])

    def check(decoded: Any) -> None:
        found = values(decoded)
        if not all_seen(found):
            for key, value in zip(single, found, strict=False):
                check_dates(key, (value,))
        if lists:
            check_lists(decoded)

    return {"__post_init__": check}


def _head(name: str) -> Any:
    base = Definition if name in _DEFINITIONS else Resource
    content = _content(name, read_by_silver().get(name))
    return defstruct(name, bases=(base,), tag=name, gc=False, **content)


#: One type for each resource type, told apart by ``resourceType``.
HEADS: Final[Mapping[str, type[Resource]]] = {name: _head(name) for name in sorted(R4_TYPES)}
#: Decodes a resource into its :class:`Resource`, which is named for its type.
RESOURCE: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(reduce(or_, HEADS.values()))


# What is wrong -----------------------------------------------------------------------------------

_PLACE: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`\Z")
#: Shapes that are wrong in R4 because they are right in another version.
_OTHER_VERSION_SHAPES: Final = re.compile(
    r"Expected `null`, got "
    r"|Expected `object \| null`, got `str` - at `\$\.(?:clinicalStatus|verificationStatus|class)`"
    r"|Expected `object \| null`, got `array` - at `\$\.(?:class|context)`"
    r"|Expected `array \| null`, got `object` - at `\$\.(?:context\.encounter|category)`"
    r"|Expected `object \| null`, got `str` - at `\$\.dispenseRequest"
    rf"|{_OTHER_VERSION}"
)
_SHAPE: Final = re.compile(
    r"Expected `(?:[^`]*(?:object|array)[^`]*`, got|[^`]*`, got `(?:object|array))"
)


def refusal(error: msgspec.ValidationError) -> tuple[Reason, str]:
    """Why a resource does not have the shape of R4: reason and detail, without any of its values."""
    text = str(error)
    place = _PLACE.search(text)
    path = place["path"] if place else ""
    if path == "resourceType" or "`resourceType`" in text:
        if text.startswith("Object missing"):
            return Reason.MISSING_RESOURCE_TYPE, "The resource has no resourceType."
        return Reason.UNKNOWN_RESOURCE_TYPE, "resourceType is none of FHIR R4."
    if _OTHER_VERSION_SHAPES.search(text):
        return Reason.FHIR_VERSION, f"`{path}` is written as in another version than FHIR R4."
    said = text[: place.start()] if place else text
    if said.startswith(NOT_A_DATE):
        name = said.rpartition(" ")[2]
        return Reason.INVALID_VALUE, f"{NOT_A_DATE}: `{f'{path}.' if path else ''}{name}`."
    reason = Reason.WRONG_SHAPE if _SHAPE.match(text) else Reason.INVALID_VALUE
    return reason, f"{said} at `{path}`." if path else f"{said}."
