"""Operators and types: what may be compared, joined, counted, and what comes of it."""

import re
from collections.abc import Sequence

from sql_on_fhir import definitions
from sql_on_fhir.definitions import kind_of
from sql_on_fhir.ir.expressions import (
    Arithmetic,
    AsResource,
    Compare,
    Constant,
    Count,
    Distinct,
    Equal,
    Exists,
    Expr,
    Filter,
    Guarded,
    Logic,
    Not,
    Nothing,
    Variable,
)
from sql_on_fhir.ir.shape import Shape
from sql_on_fhir.parsing import fhirpath
from sql_on_fhir.planning.elements import NUMBERS, Elements
from sql_on_fhir.planning.scope import Choice, Planned

_DATE_KINDS = {"date", "dateTime"}
_DATE_TEXT = {
    "date": re.compile(r"\d{4}(-\d\d(-\d\d)?)?$"),
    "dateTime": re.compile(
        r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?)?)?)?$"
    ),
    "time": re.compile(r"\d\d(:\d\d(:\d\d(\.\d+)?)?)?$"),
}


class Operations(Elements):
    """Plans operators whose sides are planned already."""

    def union(self, left: Expr, right: Expr, node: fhirpath.Node) -> Expr:
        if isinstance(left, Nothing) or isinstance(right, Nothing):
            known = right if isinstance(left, Nothing) else left
            return Distinct(known) if known.many else known
        numbers = left.kind in NUMBERS and right.kind in NUMBERS
        if left.kind != right.kind and not numbers:
            raise self.error(f"a union of {left.type} and {right.type} is not supported", node)
        if left.kind == "complex":
            if left.type != right.type:
                raise self.error(f"a union of {left.type} and {right.type} is not supported", node)
            return self.combine([left, right])
        return self.combine([left, right], distinct=True)

    def same_kind(self, left: Expr, right: Expr, node: fhirpath.Node) -> tuple[Expr, Expr]:
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
                    raise self.error(f"{one.value!r} is not a {other.kind}", node)
                typed = Constant(kind, one.value)
                return (typed, right) if one is left else (left, typed)
        return left, right

    def equal(
        self, left: Expr, right: Expr, node: fhirpath.Node, *, equivalent: bool = False
    ) -> Expr:
        if isinstance(left, Nothing) or isinstance(right, Nothing):
            if not equivalent:
                return Nothing("boolean")
            exists = [Exists(e) for e in (left, right) if not isinstance(e, Nothing)]
            return Not(exists[0]) if exists else Constant("boolean", True)
        left, right = self.same_kind(left, right, node)
        if "complex" in (left.kind, right.kind):
            if left.type != right.type:
                raise self.error(f"{left.type} and {right.type} cannot be compared", node)
            for side in (left, right):
                if side.shape is not None:
                    side.shape.read_whole()
        return Equal(left, right, equivalent)

    def compare(self, operator: str, left: Expr, right: Expr, node: fhirpath.Node) -> Expr:
        if isinstance(left, Nothing) or isinstance(right, Nothing):
            return Nothing("boolean")
        left, right = self.same_kind(left, right, node)
        kinds = {left.kind, right.kind}
        fits = len(kinds) == 1 or kinds <= NUMBERS or kinds <= _DATE_KINDS
        if not fits or kinds & {"complex", "boolean"}:
            raise self.error(f"{left.type} {operator} {right.type} has no meaning", node)
        return Compare(operator, left, right)

    def arithmetic(self, operator: str, left: Expr, right: Expr, node: fhirpath.Node) -> Expr:
        if operator == "&":
            for side in (left, right):
                if side.kind != "text" and not isinstance(side, Nothing):
                    raise self.error(f"& joins strings; {side.type} is none", node)
            return Arithmetic("string", "&", left, right)
        if isinstance(left, Nothing) or isinstance(right, Nothing):
            return Nothing("decimal")
        if operator == "+" and left.kind == right.kind == "text":
            return Arithmetic("string", "+", left, right)
        if {left.kind, right.kind} <= NUMBERS:
            whole = {left.kind, right.kind} == {"integer"} and operator != "/"
            type_ = "integer" if whole or operator == "div" else "decimal"
            return Arithmetic(type_, operator, left, right)
        raise self.error(f"{left.type} {operator} {right.type} is not supported", node)

    def exists(self, base: Planned) -> Expr:
        if isinstance(base, Nothing):
            return Constant("boolean", False)
        if isinstance(base, Expr):
            return Exists(base)
        parts = [Exists(self.variant(base, type_)) for type_ in base.element.types]
        whole: Expr = parts[0]
        for part in parts[1:]:
            whole = Logic("or", whole, part)
        return whole

    @staticmethod
    def is_one(count: Expr) -> Expr:
        return Equal(count, Constant("integer", "1"))

    def count_of(self, choice: Choice, types: Sequence[str]) -> Expr:
        number: Expr = Constant("integer", "0")
        for type_ in types:
            one = Count(self.variant(choice, type_))
            number = Arithmetic("integer", "+", number, one)
        return number

    def of_type(self, base: Planned, type_: str, node: fhirpath.Node) -> Expr:
        if isinstance(base, Choice):
            if type_ not in base.element.types and not self.open_choice(base, type_):
                self.warn(f"{base.element.name} is never {type_} in FHIR R4")
            return self.variant(base, type_)
        if isinstance(base, Nothing):
            return Nothing(type_, base.many)
        if base.type == "Resource":
            if not definitions.is_resource(type_):
                raise self.error(f"{type_} is not a resource type", node)
            if type_ == "Resource":
                return base
            wanted = type_ if definitions.is_concrete_resource(type_) else None
            return AsResource(type_, base, wanted, Shape())
        if type_ in definitions.ancestors(base.type) or kind_of(type_) == base.kind != "complex":
            return base
        self.warn(f"{base.type} is never {type_}")
        return Nothing(type_)

    @staticmethod
    def open_choice(base: Choice, type_: str) -> bool:
        return len(base.element.types) > 40 and definitions.lookup(type_) is not None

    def is_type(self, base: Planned, type_: str, node: fhirpath.Node) -> Expr:
        if isinstance(base, Nothing):
            return Nothing("boolean")
        of_type = Exists(self.of_type(base, type_, node))
        single = base if isinstance(base, Choice) else self.one_at(base, node)
        present = self.exists(single)
        return Guarded(of_type, present)

    @staticmethod
    def none(base: Expr, item: Variable, criterion: Expr) -> Expr:
        found = Filter(base, item, criterion)
        return Not(Exists(found))
