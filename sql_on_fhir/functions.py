"""One FHIRPath tree -> typed logical expression: elements, operators, functions.

https://hl7.org/fhirpath/N1/ and the subset and additions of
https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html#supported-fhirpath-functionality.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sql_on_fhir import definitions, fhirpath
from sql_on_fhir.definitions import Element, choice_key, kind_of
from sql_on_fhir.errors import FhirPathError
from sql_on_fhir.logical import (
    Arithmetic,
    AsResource,
    Boundary,
    Call,
    Choose,
    Coalesce,
    Combine,
    Compare,
    Constant,
    Count,
    Distinct,
    Equal,
    Exists,
    Expr,
    Field,
    Filter,
    Guarded,
    Includes,
    IndexOf,
    Join,
    Leaf,
    Logic,
    Map,
    Not,
    Nothing,
    Pick,
    ReferenceKey,
    SetOperation,
    Shape,
    Single,
    Slice,
    Split,
    Test,
    Truth,
    Variable,
)
from sql_on_fhir.view import View

_REFUSED = frozenset(
    [
        "aggregate",
        "as",
        "children",
        "comparable",
        "conformsTo",
        "convertsToBoolean",
        "convertsToDate",
        "convertsToDateTime",
        "convertsToDecimal",
        "convertsToInteger",
        "convertsToQuantity",
        "convertsToString",
        "convertsToTime",
        "descendants",
        "elementDefinition",
        "encode",
        "decode",
        "escape",
        "unescape",
        "htmlChecks",
        "memberOf",
        "now",
        "precision",
        "repeat",
        "repeatAll",
        "resolve",
        "slice",
        "subsumedBy",
        "subsumes",
        "timeOfDay",
        "today",
        "toQuantity",
        "type",
        "coalesce",
        "defineVariable",
        "sort",
        "hasTemplateIdOf",
        "checkModifiers",
        "sum",
        "min",
        "max",
        "avg",
        "toChars",
        "lastIndexOf",
    ]
)
_ENVIRONMENT = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_SYSTEM_TYPES = {
    "String": "string",
    "Boolean": "boolean",
    "Integer": "integer",
    "Decimal": "decimal",
    "Date": "date",
    "DateTime": "dateTime",
    "Time": "time",
    "Quantity": "Quantity",
}
_DATE_KINDS = {"date", "dateTime"}
_NUMBERS = {"integer", "decimal"}
_DATE_TEXT = {
    "date": re.compile(r"\d{4}(-\d\d(-\d\d)?)?$"),
    "dateTime": re.compile(
        r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?)?)?)?$"
    ),
    "time": re.compile(r"\d\d(:\d\d(:\d\d(\.\d+)?)?)?$"),
}


@dataclass(frozen=True)
class Scope:
    """What names mean at one place: `$this`, `$index`, `%context`, `%rowIndex`."""

    this: Expr
    index: Expr | None
    context: Expr
    row_index: Expr


@dataclass(frozen=True)
class Choice:
    """A choice element (`value[x]`) before a type is chosen."""

    base: Expr
    element: Element


Planned = Expr | Choice


@dataclass(frozen=True)
class _Invocation:
    """One function call while it is planned."""

    call: fhirpath.Call
    base: Planned
    scope: Scope

    def argument(self, number: int) -> fhirpath.Node:
        return self.call.arguments[number]

    def __len__(self) -> int:
        return len(self.call.arguments)


class PathPlanner:
    """Plans the paths of one view."""

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

    def plan(self, tree: fhirpath.Node, text: str, scope: Scope, type_: str | None) -> Expr:
        """The typed expression of a path; `type_` decides a choice element left open."""
        self.text = text
        return self._settle(self._node(tree, scope), tree, type_)

    # errors and shapes of values

    def _error(self, message: str, node: fhirpath.Node) -> FhirPathError:
        return FhirPathError(message, path=self.text, position=node.at)

    def _warn(self, message: str) -> None:
        warning = f"{message}, in the path {self.text!r}"
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _settle(self, planned: Planned, node: fhirpath.Node, type_: str | None = None) -> Expr:
        """A choice element becomes the variant of the wanted type, or an error."""
        if isinstance(planned, Expr):
            return planned
        if type_ is not None:
            for candidate in planned.element.types:
                if candidate == type_:
                    return self._variant(planned, candidate)
            same = [t for t in planned.element.types if kind_of(t) == kind_of(type_)]
            if len(same) == 1 and kind_of(type_) != "complex":
                return self._variant(planned, same[0])
        name = planned.element.name
        raise self._error(
            f"{name} is a choice of types: write {name}.ofType(…) with one of "
            f"{', '.join(planned.element.types)}",
            node,
        )

    def one(self, expr: Expr, label: str) -> Expr:
        """The expression as at most one value; more are an error when rows are computed."""
        if not expr.many:
            return expr
        self._field(self.resource, "id", "id", repeats=False)  # the error names the resource
        return Single(expr.type, False, expr, label, shape=expr.shape)

    def _one(self, expr: Expr, node: fhirpath.Node) -> Expr:
        return self.one(expr, f"path {self.text}, at character {node.at + 1}")

    def combine(self, parts: Sequence[Expr], *, distinct: bool = False) -> Expr:
        """All values of the parts, in their order."""
        known = [part for part in parts if not isinstance(part, Nothing)]
        if not known:
            return Nothing("string", False)
        if len(known) == 1 and not distinct:
            return known[0]
        first = known[0]
        type_ = first.type
        for part in known[1:]:
            if part.kind in _NUMBERS and kind_of(type_) in _NUMBERS:
                type_ = "decimal" if "decimal" in (part.kind, kind_of(type_)) else type_
            if first.shape is not None and part.shape is not None:
                first.shape.unite(part.shape)
        return Combine(type_, True, known, distinct, shape=first.shape)

    # nodes

    def _node(self, node: fhirpath.Node, scope: Scope) -> Planned:
        if isinstance(node, fhirpath.Literal):
            return self._literal(node)
        if isinstance(node, fhirpath.EmptySet):
            return Nothing("string", False)
        if isinstance(node, fhirpath.This):
            return self._this(node, scope)
        if isinstance(node, fhirpath.External):
            return self._external(node, scope)
        if isinstance(node, fhirpath.Member):
            return self._member(node, scope)
        if isinstance(node, fhirpath.Call):
            return self._call(node, scope)
        if isinstance(node, fhirpath.Indexer):
            base = self._expr(node.base, scope)
            index = self._typed(node.index, scope, "integer")
            return self._pick(base, index)
        if isinstance(node, fhirpath.Unary):
            return self._unary(node, scope)
        return self._binary(node, scope)

    def _expr(self, node: fhirpath.Node, scope: Scope) -> Expr:
        return self._settle(self._node(node, scope), node)

    def _typed(self, node: fhirpath.Node, scope: Scope, kind: str) -> Expr:
        expr = self._one(self._settle(self._node(node, scope), node, kind), node)
        if isinstance(expr, Nothing):
            return Nothing(kind, False)
        if expr.kind != kind and not (kind == "decimal" and expr.kind == "integer"):
            raise self._error(f"expected {kind}, found {expr.type}", node)
        return expr

    def _literal(self, node: fhirpath.Literal) -> Expr:
        if node.kind == "quantity":
            raise self._error("quantity literals are not supported", node)
        value: str | bool = node.text == "true" if node.kind == "boolean" else node.text
        return Constant(node.kind, False, value)

    def _this(self, node: fhirpath.This, scope: Scope) -> Expr:
        if node.name == "this":
            return scope.this
        if node.name == "index" and scope.index is not None:
            return scope.index
        raise self._error(f"${node.name} has no meaning here", node)

    def _external(self, node: fhirpath.External, scope: Scope) -> Expr:
        constant = self.view.constants.get(node.name)
        if constant is not None:
            return Constant(constant.type, False, constant.value)
        if node.name == "rowIndex":
            if isinstance(scope.row_index, IndexOf):
                scope.row_index.variable.indexed = True
            return scope.row_index
        if node.name in ("resource", "rootResource"):
            return self.resource
        if node.name == "context":
            return scope.context
        if node.name in _ENVIRONMENT:
            return Constant("string", False, _ENVIRONMENT[node.name])
        known = ", ".join(f"%{name}" for name in (*self.view.constants, "rowIndex", "resource"))
        raise self._error(f"%{node.name} is not defined; defined are {known}", node)

    def _member(self, node: fhirpath.Member, scope: Scope) -> Planned:
        if node.base is None:
            this = scope.this
            at_resource = this is self.resource or this is scope.context
            if (
                at_resource
                and node.name in definitions.ancestors(this.type)
                and definitions.element(this.type, node.name) is None
            ):
                return this
            return self._child(this, node.name, node)
        return self._child(self._node(node.base, scope), node.name, node)

    # elements

    def _child(self, base: Planned, name: str, node: fhirpath.Node) -> Planned:
        if isinstance(base, Choice):
            return self._child_of_choice(base, name, node)
        if isinstance(base, Nothing):
            return base
        if base.type == "Resource":
            return self._child_of_any(base, name, node)
        if base.kind != "complex":
            return self._child_of_primitive(base, name, node)
        if name == "resourceType" and definitions.is_resource(base.type):
            return self._field(base, "resourceType", "code", repeats=False)
        element = definitions.element(base.type, name)
        if element is not None and element.is_choice:
            return Choice(base, element)
        if element is not None:
            return self._field(base, name, element.types[0], repeats=element.many)
        alias = definitions.typed_choice(base.type, name)
        if alias is not None:
            self._warn(f"{name} is not FHIRPath: write {alias[0].name}.ofType({alias[1]})")
            return self._variant(Choice(base, alias[0]), alias[1])
        self._warn(f"{base.type} has no element {name!r} in FHIR R4: it is always empty")
        return Nothing("string", False)

    def _child_of_any(self, base: Expr, name: str, node: fhirpath.Node) -> Planned:
        """An element of `contained`, `entry.resource`, …, whose type only the data tells.

        What all resources have is read; another element has a type only in one of them.
        """
        common = "DomainResource"
        if name != "resourceType" and definitions.element(common, name) is None:
            raise self._error(
                f"{name!r} is an element of certain resources: say which with "
                f"ofType(…) before it, as in contained.ofType(Practitioner).{name}",
                node,
            )
        return self._child(AsResource(common, base.many, base, None, shape=Shape()), name, node)

    def _field(self, base: Expr, key: str, type_: str, *, repeats: bool) -> Expr:
        kind = kind_of(type_)
        leaf: Leaf | None = None
        if kind != "complex":
            leaf = "json" if kind in ("boolean", "integer", "decimal") else "text"
        elif type_ == "Resource":
            leaf = "json"
        if base.shape is None:
            return Nothing(type_, False)
        noted = base.shape.read(key, many=repeats, leaf=leaf)
        many = base.many or repeats
        return Field(type_, many, base, key, repeats, noted.leaf, shape=noted.shape)

    def _variant(self, choice: Choice, type_: str) -> Expr:
        element = choice.element
        key = choice_key(element.name, type_)
        return self._field(choice.base, key, type_, repeats=element.many)

    def _child_of_choice(self, base: Choice, name: str, node: fhirpath.Node) -> Planned:
        parts: list[Expr] = []
        for type_ in base.element.types:
            if definitions.element(type_, name) is None:
                continue
            child = self._child(self._variant(base, type_), name, node)
            if isinstance(child, Choice):
                raise self._error(f"{base.element.name} needs ofType(…) here", node)
            if not parts or child.type == parts[0].type:
                parts.append(child)
        if not parts:
            self._warn(f"no type of {base.element.name} has an element {name!r}")
            return Nothing("string", False)
        for part in parts[1:]:
            if parts[0].shape is not None and part.shape is not None:
                parts[0].shape.unite(part.shape)
        many = any(part.many for part in parts)
        return Coalesce(parts[0].type, many, parts, shape=parts[0].shape)

    def _child_of_primitive(self, base: Expr, name: str, node: fhirpath.Node) -> Planned:
        """https://hl7.org/fhir/R4/json.html#primitive: `_birthDate` holds id and extensions."""
        if definitions.element("Element", name) is None:
            self._warn(f"{base.type} has no element {name!r}: it is always empty")
            return Nothing("string", False)
        if isinstance(base, Pick) and isinstance(base.base, Field) and base.base.leaf:
            companion = self._companion(base.base)
            return self._child(replace(base, type="Element", base=companion), name, node)
        if not isinstance(base, Field):
            raise self._error(
                f"{name} of a primitive is supported directly after its element only", node
            )
        return self._child(self._companion(base), name, node)

    def _companion(self, primitive: Field) -> Expr:
        if primitive.base.shape is None:
            return Nothing("Element", False)
        key = f"_{primitive.key}"
        noted = primitive.base.shape.read(key, many=primitive.repeats, leaf=None)
        return Field(
            "Element",
            primitive.many,
            primitive.base,
            key,
            primitive.repeats,
            None,
            shape=noted.shape,
        )

    def _pick(self, base: Expr, at: Expr | str) -> Expr:
        if isinstance(base, Nothing):
            return base
        place = at if isinstance(at, Expr) else ("last" if at == "last" else "first")
        if not base.many:
            if isinstance(place, Expr):
                first = Equal("boolean", False, place, Constant("integer", False, "0"))
                return Guarded(base.type, False, base, first, shape=base.shape)
            return base
        return Pick(base.type, False, base, place, shape=base.shape)  # type: ignore[arg-type]

    # operators

    def _unary(self, node: fhirpath.Unary, scope: Scope) -> Expr:
        operand = self._typed(node.operand, scope, "decimal")
        if node.operator == "+" or isinstance(operand, Nothing):
            return operand
        if isinstance(operand, Constant) and isinstance(operand.value, str):
            return replace(operand, value=f"-{operand.value}")
        return Call(operand.type, False, "negate", operand, ())

    def _binary(self, node: fhirpath.Binary, scope: Scope) -> Planned:
        operator = node.operator
        if operator in ("is", "as"):
            type_ = self._type_name(node.right)
            base = self._node(node.left, scope)
            if operator == "as":
                return self._of_type(base, type_, node)
            return self._is_type(base, type_, node)
        if operator in ("and", "or", "xor", "implies"):
            left = self._boolean(node.left, scope)
            return Logic("boolean", False, operator, left, self._boolean(node.right, scope))
        left_, right_ = self._node(node.left, scope), self._node(node.right, scope)
        left = self._settle(left_, node.left, right_.type if isinstance(right_, Expr) else None)
        right = self._settle(right_, node.right, left.type)
        if operator in ("=", "!=", "~", "!~"):
            equal = self._equal(left, right, node, equivalent="~" in operator)
            return Not("boolean", False, equal) if "!" in operator else equal
        if operator == "|":
            return self._union(left, right, node)
        if operator in ("in", "contains"):
            item, collection = (left, right) if operator == "in" else (right, left)
            item = self._one(item, node)
            if isinstance(item, Nothing):
                return Nothing("boolean", False)
            if isinstance(collection, Nothing):
                return Constant("boolean", False, False)
            item, collection = self._same_kind(item, collection, node)
            if not definitions.compatible(item.type, collection.type):
                no = Constant("boolean", False, False)
                return Guarded("boolean", False, no, Exists("boolean", False, item))
            return Includes("boolean", False, collection, item)
        left, right = self._one(left, node.left), self._one(right, node.right)
        if operator in ("<", "<=", ">", ">="):
            return self._compare(operator, left, right, node)
        return self._arithmetic(operator, left, right, node)

    def _union(self, left: Expr, right: Expr, node: fhirpath.Node) -> Expr:
        if isinstance(left, Nothing) or isinstance(right, Nothing):
            known = right if isinstance(left, Nothing) else left
            return Distinct(known.type, known.many, known) if known.many else known
        numbers = left.kind in _NUMBERS and right.kind in _NUMBERS
        if left.kind != right.kind and not numbers:
            raise self._error(f"a union of {left.type} and {right.type} is not supported", node)
        if left.kind == "complex":
            if left.type != right.type:
                raise self._error(f"a union of {left.type} and {right.type} is not supported", node)
            return self.combine([left, right])
        return self.combine([left, right], distinct=True)

    def _same_kind(self, left: Expr, right: Expr, node: fhirpath.Node) -> tuple[Expr, Expr]:
        """A string literal beside a date is read as a date: FHIR writes both the same way."""
        for one, other in ((left, right), (right, left)):
            if (
                isinstance(one, Constant)
                and one.kind == "text"
                and other.kind in _DATE_TEXT
                and isinstance(one.value, str)
            ):
                kind = other.kind if _DATE_TEXT[other.kind].match(one.value) else "dateTime"
                is_written = _DATE_TEXT[kind].match(one.value)
                if not is_written or not fhirpath.is_moment(one.value, is_time=kind == "time"):
                    raise self._error(f"{one.value!r} is not a {other.kind}", node)
                typed = Constant(kind, False, one.value)
                return (typed, right) if one is left else (left, typed)
        return left, right

    def _equal(
        self, left: Expr, right: Expr, node: fhirpath.Node, *, equivalent: bool = False
    ) -> Expr:
        if isinstance(left, Nothing) or isinstance(right, Nothing):
            if not equivalent:
                return Nothing("boolean", False)
            exists = [
                Exists("boolean", False, e) for e in (left, right) if not isinstance(e, Nothing)
            ]
            return Not("boolean", False, exists[0]) if exists else Constant("boolean", False, True)
        left, right = self._same_kind(left, right, node)
        if "complex" in (left.kind, right.kind):
            if left.type != right.type:
                raise self._error(f"{left.type} and {right.type} cannot be compared", node)
            for side in (left, right):
                if side.shape is not None:
                    side.shape.read_whole()
        return Equal("boolean", False, left, right, equivalent)

    def _compare(self, operator: str, left: Expr, right: Expr, node: fhirpath.Node) -> Expr:
        if isinstance(left, Nothing) or isinstance(right, Nothing):
            return Nothing("boolean", False)
        left, right = self._same_kind(left, right, node)
        kinds = {left.kind, right.kind}
        fits = len(kinds) == 1 or kinds <= _NUMBERS or kinds <= _DATE_KINDS
        if not fits or kinds & {"complex", "boolean"}:
            raise self._error(f"{left.type} {operator} {right.type} has no meaning", node)
        return Compare("boolean", False, operator, left, right)

    def _arithmetic(self, operator: str, left: Expr, right: Expr, node: fhirpath.Node) -> Expr:
        if operator == "&":
            for side in (left, right):
                if side.kind != "text" and not isinstance(side, Nothing):
                    raise self._error(f"& joins strings; {side.type} is none", node)
            return Arithmetic("string", False, "&", left, right)
        if isinstance(left, Nothing) or isinstance(right, Nothing):
            return Nothing("decimal", False)
        if operator == "+" and left.kind == right.kind == "text":
            return Arithmetic("string", False, "+", left, right)
        if {left.kind, right.kind} <= _NUMBERS:
            whole = {left.kind, right.kind} == {"integer"} and operator != "/"
            type_ = "integer" if whole or operator == "div" else "decimal"
            return Arithmetic(type_, False, operator, left, right)
        raise self._error(f"{left.type} {operator} {right.type} is not supported", node)

    def _boolean(self, node: fhirpath.Node, scope: Scope) -> Expr:
        """Singleton evaluation: https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections"""
        planned = self._node(node, scope)
        if isinstance(planned, Choice):
            booleans = [t for t in planned.element.types if t == "boolean"]
            planned = self._variant(planned, "boolean") if booleans else self._exists(planned)
        expr = self._one(planned, node)
        if isinstance(expr, Nothing):
            return Nothing("boolean", False)
        return expr if expr.type == "boolean" else Truth("boolean", False, expr)

    # types

    def _type_name(self, node: fhirpath.Node) -> str:
        """`Quantity`, `FHIR.Quantity` or `System.String`, as an argument or after is and as."""
        if isinstance(node, fhirpath.Literal) and node.kind == "string":
            name = node.text
            prefix = None
        elif isinstance(node, fhirpath.Member):
            name = node.name
            base = node.base
            prefix = base.name if isinstance(base, fhirpath.Member) else None
        else:
            raise self._error("expected the name of a type", node)
        if prefix == "System" or (prefix is None and definitions.lookup(name) is None):
            name = _SYSTEM_TYPES.get(name, name)
        if prefix not in (None, "FHIR", "System") or definitions.lookup(name) is None:
            raise self._error(f"{name!r} is not a type of FHIR R4", node)
        return name

    def _of_type(self, base: Planned, type_: str, node: fhirpath.Node) -> Expr:
        if isinstance(base, Choice):
            if type_ not in base.element.types and not self._open_choice(base, type_):
                self._warn(f"{base.element.name} is never {type_} in FHIR R4")
            return self._variant(base, type_)
        if isinstance(base, Nothing):
            return Nothing(type_, base.many)
        if base.type == "Resource":
            if not definitions.is_resource(type_):
                raise self._error(f"{type_} is not a resource type", node)
            if type_ == "Resource":
                return base
            wanted = type_ if definitions.is_concrete_resource(type_) else None
            return AsResource(type_, base.many, base, wanted, shape=Shape())
        if type_ in definitions.ancestors(base.type) or kind_of(type_) == base.kind != "complex":
            return base
        self._warn(f"{base.type} is never {type_}")
        return Nothing(type_, False)

    @staticmethod
    def _open_choice(base: Choice, type_: str) -> bool:
        return len(base.element.types) > 40 and definitions.lookup(type_) is not None

    def _is_type(self, base: Planned, type_: str, node: fhirpath.Node) -> Expr:
        if isinstance(base, Nothing):
            return Nothing("boolean", False)
        of_type = Exists("boolean", False, self._of_type(base, type_, node))
        single = base if isinstance(base, Choice) else self._one(base, node)
        present = self._exists(single)
        return Guarded("boolean", False, of_type, present)

    # functions

    def _call(self, node: fhirpath.Call, scope: Scope) -> Planned:
        entry = _FUNCTIONS.get(node.name)
        if entry is None:
            known = node.name in _REFUSED
            why = "is FHIRPath but not supported here" if known else "is not a function"
            raise self._error(f"{node.name}() {why}; supported: {_SUPPORTED}", node)
        planner, least, most = entry
        if not least <= len(node.arguments) <= most:
            counts = str(least) if least == most else f"{least} to {most}"
            raise self._error(
                f"{node.name}() takes {counts} arguments, not {len(node.arguments)}", node
            )
        base = scope.this if node.base is None else self._node(node.base, scope)
        return planner(self, _Invocation(node, base, scope))

    def _base(self, at: _Invocation) -> Expr:
        return self._settle(at.base, at.call)

    def _item(self, base: Expr) -> tuple[Variable, Scope | None]:
        item = Variable(base.type, False, self.new_name("x"), shape=base.shape)
        return item, None

    def _inner(self, at: _Invocation, this: Expr) -> Scope:
        index: Expr = Constant("integer", False, "0")
        if isinstance(this, Variable):
            index = IndexOf("integer", False, this)
        return Scope(this, index, at.scope.context, at.scope.row_index)

    def _criterion(self, node: fhirpath.Node, scope: Scope) -> Expr:
        planned = self._node(node, scope)
        if isinstance(planned, Choice) and "boolean" in planned.element.types:
            planned = self._variant(planned, "boolean")
        expr = self._one(self._settle(planned, node), node)
        if expr.type != "boolean" and not isinstance(expr, Nothing):
            raise self._error(f"a criterion gives true or false, this gives {expr.type}", node)
        return expr

    def _where(self, at: _Invocation) -> Planned:
        base = self._base(at)
        if isinstance(base, Nothing):
            return base
        if not base.many:
            criterion = self._criterion(at.argument(0), self._inner(at, base))
            return Guarded(base.type, False, base, criterion, shape=base.shape)
        item = Variable(base.type, False, self.new_name("x"), shape=base.shape)
        criterion = self._criterion(at.argument(0), self._inner(at, item))
        return Filter(base.type, True, base, item, criterion, shape=base.shape)

    def _select(self, at: _Invocation) -> Planned:
        base = self._base(at)
        if isinstance(base, Nothing):
            return base
        if not base.many:
            return self._expr(at.argument(0), self._inner(at, base))
        item = Variable(base.type, False, self.new_name("x"), shape=base.shape)
        body = self._expr(at.argument(0), self._inner(at, item))
        return Map(body.type, True, base, item, body, shape=body.shape)

    def _exists(self, base: Planned) -> Expr:
        if isinstance(base, Nothing):
            return Constant("boolean", False, False)
        if isinstance(base, Expr):
            return Exists("boolean", False, base)
        parts = [
            Exists("boolean", False, self._variant(base, type_)) for type_ in base.element.types
        ]
        whole: Expr = parts[0]
        for part in parts[1:]:
            whole = Logic("boolean", False, "or", whole, part)
        return whole

    def _exists_call(self, at: _Invocation) -> Planned:
        if not len(at):
            return self._exists(at.base)
        filtered = self._where(at)
        return self._exists(filtered)

    def _empty(self, at: _Invocation) -> Planned:
        return Not("boolean", False, self._exists(at.base))

    def _has_value(self, at: _Invocation) -> Planned:
        """https://hl7.org/fhir/R4/fhirpath.html#functions: one value, and it is primitive."""
        if isinstance(at.base, Choice):
            primitive = [t for t in at.base.element.types if kind_of(t) != "complex"]
            return self._is_one(self._count_of(at.base, primitive))
        if isinstance(at.base, Nothing) or at.base.kind == "complex":
            return Constant("boolean", False, False)
        return self._is_one(Count("integer", False, at.base))

    @staticmethod
    def _is_one(count: Expr) -> Expr:
        return Equal("boolean", False, count, Constant("integer", False, "1"))

    def _get_value(self, at: _Invocation) -> Planned:
        """https://hl7.org/fhir/R4/fhirpath.html#functions: the value, where there is only one."""
        base = self._base(at)
        if base.kind == "complex":
            return Nothing("string", False)
        if isinstance(base, Nothing) or not base.many:
            return base
        is_one = self._is_one(Count("integer", False, base))
        return Guarded(base.type, False, self._pick(base, "first"), is_one)

    def _not(self, at: _Invocation) -> Planned:
        base = at.base
        if isinstance(base, Choice) and "boolean" in base.element.types:
            base = self._variant(base, "boolean")
        expr = self._one(self._settle(base, at.call), at.call)
        if isinstance(expr, Nothing):
            return Nothing("boolean", False)
        whole = expr if expr.type == "boolean" else Truth("boolean", False, expr)
        return Not("boolean", False, whole)

    def _all(self, at: _Invocation) -> Planned:
        base = self._base(at)
        if isinstance(base, Nothing):
            return Constant("boolean", False, True)
        if not base.many:
            criterion = self._criterion(at.argument(0), self._inner(at, base))
            missing = Not("boolean", False, Exists("boolean", False, base))
            holds = Test("boolean", False, criterion, True)
            return Logic("boolean", False, "or", missing, holds)
        item = Variable(base.type, False, self.new_name("x"), shape=base.shape)
        criterion = self._criterion(at.argument(0), self._inner(at, item))
        return self._none(base, item, Test("boolean", False, criterion, False))

    @staticmethod
    def _none(base: Expr, item: Variable, criterion: Expr) -> Expr:
        found = Filter(base.type, True, base, item, criterion, shape=base.shape)
        return Not("boolean", False, Exists("boolean", False, found))

    def _all_true(self, at: _Invocation) -> Planned:
        """allTrue, anyTrue, allFalse, anyFalse."""
        base = self._base(at)
        name = at.call.name
        if isinstance(base, Nothing):
            return Constant("boolean", False, name.startswith("all"))
        if base.type != "boolean":
            raise self._error(f"{name}() needs booleans, not {base.type}", at.call)
        if not base.many:
            base = Combine("boolean", True, [base], False)
        item = Variable("boolean", False, self.new_name("x"))
        wanted: Expr = item if name.endswith("True") else Not("boolean", False, item)
        if name.startswith("all"):
            return self._none(base, item, Test("boolean", False, wanted, False))
        return Exists("boolean", False, Filter("boolean", True, base, item, wanted))

    def _count(self, at: _Invocation) -> Planned:
        if isinstance(at.base, Choice):
            return self._count_of(at.base, at.base.element.types)
        base = at.base
        if isinstance(base, Nothing):
            return Constant("integer", False, "0")
        return Count("integer", False, base)

    def _count_of(self, choice: Choice, types: Sequence[str]) -> Expr:
        number: Expr = Constant("integer", False, "0")
        for type_ in types:
            one = Count("integer", False, self._variant(choice, type_))
            number = Arithmetic("integer", False, "+", number, one)
        return number

    def _first(self, at: _Invocation) -> Planned:
        if isinstance(at.base, Choice) and not at.base.base.many:
            return at.base
        return self._pick(self._base(at), at.call.name)

    def _single(self, at: _Invocation) -> Planned:
        if isinstance(at.base, Choice) and not at.base.base.many:
            return at.base
        return self._one(self._base(at), at.call)

    def _slice(self, at: _Invocation) -> Planned:
        base = self._base(at)
        if isinstance(base, Nothing):
            return base
        if not base.many:
            base = Combine(base.type, True, [base], False, shape=base.shape)
        number = self._typed(at.argument(0), at.scope, "integer") if len(at) else None
        return Slice(base.type, True, base, at.call.name, number, shape=base.shape)

    def _of_type_call(self, at: _Invocation) -> Planned:
        return self._of_type(at.base, self._type_name(at.argument(0)), at.call)

    def _is_call(self, at: _Invocation) -> Planned:
        return self._is_type(at.base, self._type_name(at.argument(0)), at.call)

    def _extension(self, at: _Invocation) -> Planned:
        """https://hl7.org/fhir/R4/fhirpath.html#functions"""
        base = self._child(self._base(at), "extension", at.call)
        url = self._typed_text(at.argument(0), at.scope)
        base = self._settle(base, at.call)
        if isinstance(base, Nothing):
            return base
        item = Variable("Extension", False, self.new_name("x"), shape=base.shape)
        same = Equal("boolean", False, self._field(item, "url", "uri", repeats=False), url)
        return Filter("Extension", True, base, item, same, shape=base.shape)

    def _typed_text(self, node: fhirpath.Node, scope: Scope) -> Expr:
        expr = self._one(self._expr(node, scope), node)
        if expr.kind != "text":
            raise self._error(f"expected a string, found {expr.type}", node)
        return expr

    def _join(self, at: _Invocation) -> Planned:
        base = self._base(at)
        if isinstance(base, Nothing):
            return Nothing("string", False)
        if base.kind == "complex":
            raise self._error(f"join() needs strings, not {base.type}", at.call)
        separator: Expr = Constant("string", False, "")
        if len(at):
            separator = self._typed_text(at.argument(0), at.scope)
        if not base.many:
            return Call("string", False, "toString", base, ())
        return Join("string", False, base, separator)

    def _split(self, at: _Invocation) -> Planned:
        base = self._text_base(at)
        if isinstance(base, Nothing):
            return base
        return Split("string", True, base, self._typed_text(at.argument(0), at.scope))

    def _distinct(self, at: _Invocation) -> Planned:
        base = self._base(at)
        if base.kind == "complex" and base.shape is not None:
            base.shape.read_whole()
        different = Distinct(base.type, base.many, base, shape=base.shape)
        if at.call.name == "distinct":
            return different if base.many else base
        if not base.many:
            return Constant("boolean", False, True)
        counts = [Count("integer", False, part) for part in (base, different)]
        return Equal("boolean", False, counts[0], counts[1])

    def _combine(self, at: _Invocation) -> Planned:
        base, other = self._base(at), self._expr(at.argument(0), at.scope)
        if at.call.name == "union":
            return self._union(base, other, at.call)
        if not isinstance(base, Nothing) and not isinstance(other, Nothing):
            same = base.kind == other.kind or {base.kind, other.kind} <= _NUMBERS
            if not same or (base.kind == "complex" and base.type != other.type):
                raise self._error(f"cannot combine {base.type} and {other.type}", at.call)
        return self.combine([base, other])

    def _set(self, at: _Invocation) -> Planned:
        base, other = self._base(at), self._expr(at.argument(0), at.scope)
        name = at.call.name
        result = "boolean" if name.endswith("Of") else base.type
        for side in (base, other):
            if side.kind == "complex":
                raise self._error(f"{name}() needs primitive values, not {side.type}", at.call)
        if (
            isinstance(base, Nothing)
            or isinstance(other, Nothing)
            or not definitions.compatible(base.type, other.type)
        ):
            return self._set_with_nothing(name, base, other)
        many = result != "boolean"
        return SetOperation(result, many, name, base, other)

    def _set_with_nothing(self, name: str, base: Expr, other: Expr) -> Expr:
        """A set operation between collections that have no value in common."""
        if name == "exclude":
            return base
        if name == "intersect":
            return Nothing(base.type, False)
        smaller = base if name == "subsetOf" else other
        return Not("boolean", False, self._exists(smaller))

    def _iif(self, at: _Invocation) -> Planned:
        inner = at.scope
        if at.call.base is not None:
            inner = self._inner(at, self._one(self._base(at), at.call))
        criterion = self._boolean(at.argument(0), inner)
        then = self._expr(at.argument(1), inner)
        otherwise: Expr = Nothing(then.type, False)
        if len(at) == 3:
            otherwise = self._expr(at.argument(2), inner)
        if isinstance(then, Nothing):
            then = Nothing(otherwise.type, otherwise.many)
        known = not isinstance(then, Nothing) and not isinstance(otherwise, Nothing)
        type_ = then.type
        if known and then.kind != otherwise.kind:
            if not {then.kind, otherwise.kind} <= _NUMBERS:
                raise self._error(
                    f"iif() gives {then.type} or {otherwise.type}: one type is needed", at.call
                )
            type_ = "decimal"
        if known and then.shape is not None and otherwise.shape is not None:
            then.shape.unite(otherwise.shape)
        many = then.many or otherwise.many
        shape = then.shape or otherwise.shape
        return Choose(type_, many, criterion, then, otherwise, shape=shape)

    def _boundary(self, at: _Invocation) -> Planned:
        """lowBoundary and highBoundary, on Period too (ShareableViewDefinition)."""
        base = at.base
        high = at.call.name == "highBoundary"
        if isinstance(base, Choice):
            base = self._settle(base, at.call)
        if isinstance(base, Nothing):
            return base
        if base.type == "Period":
            end = self._child(base, "end" if high else "start", at.call)
            base = self._settle(end, at.call)
        if isinstance(base, Nothing) or base.kind not in (
            *_NUMBERS,
            "date",
            "dateTime",
            "time",
        ):
            raise self._error(
                f"{at.call.name}() is for decimal, date, dateTime, instant, time and Period, "
                f"not {base.type}",
                at.call,
            )
        precision = None
        if len(at):
            given = at.argument(0)
            if not (isinstance(given, fhirpath.Literal) and given.kind == "integer"):
                raise self._error("the precision is a whole number", given)
            precision = int(given.text)
        base = self._one(base, at.call)
        type_ = "decimal" if base.kind in _NUMBERS else base.type
        return Boundary(type_, False, base, high, precision)

    def _resource_key(self, at: _Invocation) -> Planned:
        """ViewDefinition, getResourceKey(): the id of the resource."""
        base = self._base(at)
        if not definitions.is_resource(base.type):
            raise self._error(f"getResourceKey() is for resources, not {base.type}", at.call)
        return self._settle(self._child(base, "id", at.call), at.call)

    def _reference_key(self, at: _Invocation) -> Planned:
        """ViewDefinition, getReferenceKey([type]): the id that the reference points to."""
        base = at.base
        if isinstance(base, Choice) and "Reference" in base.element.types:
            base = self._variant(base, "Reference")
        base = self._settle(base, at.call)
        wanted = self._type_name(at.argument(0)) if len(at) else None
        if isinstance(base, Nothing):
            return base
        if base.type != "Reference":
            raise self._error(f"getReferenceKey() is for references, not {base.type}", at.call)
        if wanted is not None and not definitions.is_resource(wanted):
            raise self._error(f"{wanted} is not a resource type", at.call)
        if not base.many:
            return self._key_of(base, wanted)
        item = Variable("Reference", False, self.new_name("x"), shape=base.shape)
        return Map("string", True, base, item, self._key_of(item, wanted))

    def _key_of(self, reference: Expr, wanted: str | None) -> Expr:
        text = self._field(reference, "reference", "string", repeats=False)
        type_ = self._field(reference, "type", "uri", repeats=False)
        own = self._field(self.resource, "id", "id", repeats=False)
        return ReferenceKey("string", False, text, type_, own, wanted)

    def _text_base(self, at: _Invocation) -> Expr:
        base = self._one(self._base(at), at.call)
        if base.kind in ("complex", "boolean", *_NUMBERS) and not isinstance(base, Nothing):
            raise self._error(f"{at.call.name}() needs a string, not {base.type}", at.call)
        return base

    def _on_text(self, at: _Invocation) -> Planned:
        """Functions on a string: https://hl7.org/fhirpath/N1/#string-manipulation"""
        base = self._text_base(at)
        name = at.call.name
        result, kinds = _ON_TEXT[name]
        if isinstance(base, Nothing):
            return Nothing(result, False)
        arguments = [
            self._typed_text(argument, at.scope)
            if kind == "text"
            else self._typed(argument, at.scope, kind)
            for argument, kind in zip(at.call.arguments, kinds, strict=False)
        ]
        if name in ("matches", "matchesFull", "replaceMatches"):
            arguments = self._expression_arguments(arguments, at)
        return Call(result, False, name, base, arguments)

    def _expression_arguments(self, arguments: list[Expr], at: _Invocation) -> list[Expr]:
        """A regular expression, and the text that replaces what it finds.

        `(?<name>…)` and `${name}` are numbered, so that every dialect reads them alike.
        """
        pattern = arguments[0]
        if not isinstance(pattern, Constant):
            return arguments
        numbers: dict[str, int] = {}
        text = _named_groups(str(pattern.value), numbers)
        if unsupported := _LOOK_AROUND.search(text):
            raise self._error(
                f"{unsupported[0]!r} in a regular expression is not supported", at.call
            )
        given: list[Expr] = [replace(pattern, value=text), *arguments[1:]]
        if len(given) > 1 and isinstance(given[1], Constant):
            given[1] = replace(given[1], value=_numbered(str(given[1].value), numbers))
        return given

    def _on_number(self, at: _Invocation) -> Planned:
        """https://hl7.org/fhirpath/N1/#math"""
        base = self._one(self._base(at), at.call)
        name = at.call.name
        if isinstance(base, Nothing):
            return Nothing("decimal", False)
        if base.kind not in _NUMBERS:
            raise self._error(f"{name}() needs a number, not {base.type}", at.call)
        arguments = [self._typed(argument, at.scope, "decimal") for argument in at.call.arguments]
        whole = name in ("ceiling", "floor", "truncate") or (
            name == "power" and base.kind == "integer" and _is_natural(arguments[0])
        )
        type_ = "integer" if whole else base.type if name == "abs" else "decimal"
        return Call(type_, False, name, base, arguments)

    def _conversion(self, at: _Invocation) -> Planned:
        """toString, toInteger, toDecimal, toBoolean, toDate, toDateTime, toTime."""
        base = self._one(self._base(at), at.call)
        result = _CONVERSIONS[at.call.name]
        if isinstance(base, Nothing):
            return Nothing(result, False)
        if base.kind == "complex":
            raise self._error(f"{at.call.name}() needs a primitive, not {base.type}", at.call)
        return Call(result, False, at.call.name, base, ())

    def _same(self, at: _Invocation) -> Planned:
        """trace(): the input itself."""
        return at.base


def _is_natural(exponent: Expr) -> bool:
    return isinstance(exponent, Constant) and str(exponent.value).isdigit()


# What finite automata cannot do: looking around, and repeating what a group found.
_LOOK_AROUND = re.compile(r"\(\?<?[=!]|(?<!\\)(?:\\\\)*\\[1-9]")


def _named_groups(pattern: str, numbers: dict[str, int]) -> str:
    """The pattern with plain groups for named ones; notes the number of each name."""
    count = 0

    def plain(match: re.Match[str]) -> str:
        nonlocal count
        if match["group"] is None:
            return match[0]
        count += 1
        if match["name"] is None:
            return match[0]
        numbers[match["name"]] = count
        return "("

    return _GROUPS.sub(plain, pattern)


# Escapes and classes are passed over: a parenthesis in them opens no group.
_GROUPS = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<group>\((?!\?)|\(\?P?<(?P<name>[A-Za-z_]\w*)>)",
    re.DOTALL,
)


def _numbered(substitution: str, numbers: dict[str, int]) -> str:
    return re.sub(
        r"\$\{(\w+)\}",
        lambda match: f"${numbers[match[1]]}" if match[1] in numbers else match[0],
        substitution,
    )


_Planner = Callable[[PathPlanner, _Invocation], Planned]
_ON_TEXT: dict[str, tuple[str, tuple[str, ...]]] = {
    "startsWith": ("boolean", ("text",)),
    "endsWith": ("boolean", ("text",)),
    "contains": ("boolean", ("text",)),
    "matches": ("boolean", ("text",)),
    "matchesFull": ("boolean", ("text",)),
    "replace": ("string", ("text", "text")),
    "replaceMatches": ("string", ("text", "text")),
    "indexOf": ("integer", ("text",)),
    "substring": ("string", ("integer", "integer")),
    "length": ("integer", ()),
    "upper": ("string", ()),
    "lower": ("string", ()),
    "trim": ("string", ()),
}
_CONVERSIONS = {
    "toString": "string",
    "toInteger": "integer",
    "toDecimal": "decimal",
    "toBoolean": "boolean",
    "toDate": "date",
    "toDateTime": "dateTime",
    "toTime": "time",
}
_P = PathPlanner
_FUNCTIONS: dict[str, tuple[_Planner, int, int]] = {
    "where": (_P._where, 1, 1),
    "select": (_P._select, 1, 1),
    "exists": (_P._exists_call, 0, 1),
    "empty": (_P._empty, 0, 0),
    "hasValue": (_P._has_value, 0, 0),
    "not": (_P._not, 0, 0),
    "all": (_P._all, 1, 1),
    "allTrue": (_P._all_true, 0, 0),
    "anyTrue": (_P._all_true, 0, 0),
    "allFalse": (_P._all_true, 0, 0),
    "anyFalse": (_P._all_true, 0, 0),
    "count": (_P._count, 0, 0),
    "first": (_P._first, 0, 0),
    "last": (_P._first, 0, 0),
    "single": (_P._single, 0, 0),
    "tail": (_P._slice, 0, 0),
    "skip": (_P._slice, 1, 1),
    "take": (_P._slice, 1, 1),
    "ofType": (_P._of_type_call, 1, 1),
    "as": (_P._of_type_call, 1, 1),
    "is": (_P._is_call, 1, 1),
    "extension": (_P._extension, 1, 1),
    "join": (_P._join, 0, 1),
    "split": (_P._split, 1, 1),
    "distinct": (_P._distinct, 0, 0),
    "isDistinct": (_P._distinct, 0, 0),
    "union": (_P._combine, 1, 1),
    "combine": (_P._combine, 1, 1),
    "intersect": (_P._set, 1, 1),
    "exclude": (_P._set, 1, 1),
    "subsetOf": (_P._set, 1, 1),
    "supersetOf": (_P._set, 1, 1),
    "iif": (_P._iif, 2, 3),
    "lowBoundary": (_P._boundary, 0, 1),
    "highBoundary": (_P._boundary, 0, 1),
    "getResourceKey": (_P._resource_key, 0, 0),
    "getReferenceKey": (_P._reference_key, 0, 1),
    "getValue": (_P._get_value, 0, 0),
    "trace": (_P._same, 1, 2),
    **{
        name: (_P._on_text, 1 if name == "substring" else len(kinds), len(kinds))
        for name, (_, kinds) in _ON_TEXT.items()
    },
    **dict.fromkeys(
        ["abs", "ceiling", "exp", "floor", "ln", "sqrt", "truncate"], (_P._on_number, 0, 0)
    ),
    **dict.fromkeys(("log", "power"), (_P._on_number, 1, 1)),
    "round": (_P._on_number, 0, 1),
    **dict.fromkeys(_CONVERSIONS, (_P._conversion, 0, 0)),
}
_SUPPORTED = ", ".join(sorted(_FUNCTIONS))
