"""The syntax tree of a ViewDefinition."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sql_on_fhir.parsing import fhirpath


@dataclass(frozen=True)
class Path:
    """A FHIRPath expression, its tree, and its place in the view."""

    text: str
    tree: fhirpath.Node
    where: str


@dataclass(frozen=True)
class Constant:
    """`%name`: a FHIR primitive; `value` as text, or bool."""

    name: str
    type: str
    value: str | bool


@dataclass(frozen=True)
class ColumnDefinition:
    """`select.column`. `type` is a bare FHIR type name; `sql_type` comes from the ansi/type tag."""

    name: str
    path: Path
    type: str | None
    collection: bool
    sql_type: str | None
    description: str | None
    where: str


@dataclass(frozen=True)
class Select:
    """`select` or one branch of `unionAll`."""

    where: str
    columns: tuple[ColumnDefinition, ...] = ()
    for_each: Path | None = None
    keep_empty: bool = False
    repeat: tuple[Path, ...] = ()
    selects: "tuple[Select, ...]" = ()
    union_all: "tuple[Select, ...]" = ()


@dataclass(frozen=True)
class View:
    """A whole ViewDefinition."""

    name: str
    resource: str
    selects: tuple[Select, ...]
    where: tuple[Path, ...] = ()
    constants: Mapping[str, Constant] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
