"""Elements of values: which an expression has, of which type, and how their JSON keys are read."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sql_on_fhir import definitions
from sql_on_fhir.definitions import choice_key, kind_of
from sql_on_fhir.errors import FhirPathError
from sql_on_fhir.ir.expressions import (
    AsResource,
    Coalesce,
    Combine,
    Constant,
    Equal,
    Expr,
    Field,
    Guarded,
    Nothing,
    Pick,
    Single,
    Variable,
)
from sql_on_fhir.ir.shape import Leaf, Shape
from sql_on_fhir.parsing import fhirpath
from sql_on_fhir.parsing.tree import View
from sql_on_fhir.planning.scope import Choice, Planned

NUMBERS = frozenset({"integer", "decimal"})


class Elements:
    """Goes from values to their elements, and notes in their shapes what is read."""

    def __init__(
        self,
        view: View,
        resource: Variable,
        new_name: Callable[[str], str],
        warnings: list[str],
    ) -> None:
        self.view = view
        self.resource = resource
        self.new_name = new_name
        self.warnings = warnings
        self.text = ""
        #: Items whose position is asked for.
        self.indexed: set[Variable] = set()

    def error(self, message: str, node: fhirpath.Node) -> FhirPathError:
        return FhirPathError(message, path=self.text, position=node.at)

    def warn(self, message: str) -> None:
        warning = f"{message}, in the path {self.text!r}"
        if warning not in self.warnings:
            self.warnings.append(warning)

    def settle(self, planned: Planned, node: fhirpath.Node, type_: str | None = None) -> Expr:
        """A choice element becomes the variant of the wanted type, or an error."""
        if isinstance(planned, Expr):
            return planned
        if type_ is not None:
            for candidate in planned.element.types:
                if candidate == type_:
                    return self.variant(planned, candidate)
            same = [t for t in planned.element.types if kind_of(t) == kind_of(type_)]
            if len(same) == 1 and kind_of(type_) != "complex":
                return self.variant(planned, same[0])
        name = planned.element.name
        raise self.error(
            f"{name} is a choice of types: write {name}.ofType(…) with one of "
            f"{', '.join(planned.element.types)}",
            node,
        )

    def one(self, expr: Expr, label: str) -> Expr:
        """The expression as at most one value; more are an error when rows are computed."""
        if not expr.many:
            return expr
        self.field(self.resource, "id", "id", repeats=False)  # the error names the resource
        return Single(expr, label)

    def one_at(self, expr: Expr, node: fhirpath.Node) -> Expr:
        return self.one(expr, f"path {self.text}, at character {node.at + 1}")

    def combine(self, parts: Sequence[Expr], *, distinct: bool = False) -> Expr:
        """All values of the parts, in their order."""
        known = [part for part in parts if not isinstance(part, Nothing)]
        if not known:
            return Nothing("string")
        if len(known) == 1 and not distinct:
            return known[0]
        first = known[0]
        type_ = first.type
        for part in known[1:]:
            if part.kind in NUMBERS and kind_of(type_) in NUMBERS:
                type_ = "decimal" if "decimal" in (part.kind, kind_of(type_)) else type_
            if first.shape is not None and part.shape is not None:
                first.shape.unite(part.shape)
        return Combine(type_, known, distinct)

    def child(self, base: Planned, name: str, node: fhirpath.Node) -> Planned:
        if isinstance(base, Choice):
            return self.child_of_choice(base, name, node)
        if isinstance(base, Nothing):
            return base
        if base.type == "Resource":
            return self.child_of_any(base, name, node)
        if base.kind != "complex":
            return self.child_of_primitive(base, name, node)
        if name == "resourceType" and definitions.is_resource(base.type):
            return self.field(base, "resourceType", "code", repeats=False)
        element = definitions.element(base.type, name)
        if element is not None and element.is_choice:
            return Choice(base, element)
        if element is not None:
            return self.field(base, name, element.types[0], repeats=element.many)
        alias = definitions.typed_choice(base.type, name)
        if alias is not None:
            self.warn(f"{name} is not FHIRPath: write {alias[0].name}.ofType({alias[1]})")
            return self.variant(Choice(base, alias[0]), alias[1])
        self.warn(f"{base.type} has no element {name!r} in FHIR R4: it is always empty")
        return Nothing("string")

    def child_of_any(self, base: Expr, name: str, node: fhirpath.Node) -> Planned:
        """An element of `contained`, `entry.resource`, …, whose type only the data tells.

        What all resources have is read; another element has a type only in one of them.
        """
        common = "DomainResource"
        if name != "resourceType" and definitions.element(common, name) is None:
            raise self.error(
                f"{name!r} is an element of certain resources: say which with "
                f"ofType(…) before it, as in contained.ofType(Practitioner).{name}",
                node,
            )
        return self.child(AsResource(common, base, None, Shape()), name, node)

    def field(self, base: Expr, key: str, type_: str, *, repeats: bool) -> Expr:
        kind = kind_of(type_)
        leaf: Leaf | None = None
        if kind != "complex":
            leaf = "json" if kind in ("boolean", "integer", "decimal") else "text"
        elif type_ == "Resource":
            leaf = "json"
        if base.shape is None:
            return Nothing(type_)
        noted = base.shape.read(key, many=repeats, leaf=leaf)
        return Field(type_, base, key, repeats, noted.leaf, shape=noted.shape)

    def variant(self, choice: Choice, type_: str) -> Expr:
        element = choice.element
        key = choice_key(element.name, type_)
        return self.field(choice.base, key, type_, repeats=element.many)

    def child_of_choice(self, base: Choice, name: str, node: fhirpath.Node) -> Planned:
        parts: list[Expr] = []
        for type_ in base.element.types:
            if definitions.element(type_, name) is None:
                continue
            child = self.child(self.variant(base, type_), name, node)
            if isinstance(child, Choice):
                raise self.error(f"{base.element.name} needs ofType(…) here", node)
            if not parts or child.type == parts[0].type:
                parts.append(child)
        if not parts:
            self.warn(f"no type of {base.element.name} has an element {name!r}")
            return Nothing("string")
        for part in parts[1:]:
            if parts[0].shape is not None and part.shape is not None:
                parts[0].shape.unite(part.shape)
        return Coalesce(parts)

    def child_of_primitive(self, base: Expr, name: str, node: fhirpath.Node) -> Planned:
        """https://hl7.org/fhir/R4/json.html#primitive: `_birthDate` holds id and extensions."""
        if definitions.element("Element", name) is None:
            self.warn(f"{base.type} has no element {name!r}: it is always empty")
            return Nothing("string")
        if isinstance(base, Pick) and isinstance(base.base, Field) and base.base.leaf:
            companion = self.companion(base.base)
            return self.child(replace(base, base=companion), name, node)
        if not isinstance(base, Field):
            raise self.error(
                f"{name} of a primitive is supported directly after its element only", node
            )
        return self.child(self.companion(base), name, node)

    def companion(self, primitive: Field) -> Expr:
        if primitive.base.shape is None:
            return Nothing("Element")
        key = f"_{primitive.key}"
        noted = primitive.base.shape.read(key, many=primitive.repeats, leaf=None)
        return Field(
            "Element",
            primitive.base,
            key,
            primitive.repeats,
            None,
            shape=noted.shape,
        )

    def pick(self, base: Expr, at: Expr | str) -> Expr:
        if isinstance(base, Nothing):
            return base
        place = at if isinstance(at, Expr) else ("last" if at == "last" else "first")
        if not base.many:
            if isinstance(place, Expr):
                first = Equal(place, Constant("integer", "0"))
                return Guarded(base, first)
            return base
        return Pick(base, place)  # type: ignore[arg-type]
