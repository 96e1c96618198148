"""Functions on collections: https://hl7.org/fhirpath/N1/#functions, sections 5.1 to 5.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql_on_fhir import definitions
from sql_on_fhir.ir.expressions import (
    Choose,
    Combine,
    Constant,
    Count,
    Distinct,
    Equal,
    Exists,
    Expr,
    Filter,
    Guarded,
    Logic,
    Map,
    Not,
    Nothing,
    SetOperation,
    Slice,
    Test,
    Truth,
    Variable,
)
from sql_on_fhir.planning.elements import NUMBERS
from sql_on_fhir.planning.scope import Choice, Invocation, Planned

if TYPE_CHECKING:
    from sql_on_fhir.planning.paths import PathPlanner


def where(planner: PathPlanner, at: Invocation) -> Planned:
    base = at.value()
    if isinstance(base, Nothing):
        return base
    if not base.many:
        criterion = planner.criterion(at.argument(0), at.inside(base))
        return Guarded(base, criterion)
    item = Variable(base.type, planner.new_name("x"), shape=base.shape)
    criterion = planner.criterion(at.argument(0), at.inside(item))
    return Filter(base, item, criterion)


def select(planner: PathPlanner, at: Invocation) -> Planned:
    base = at.value()
    if isinstance(base, Nothing):
        return base
    if not base.many:
        return planner.expr(at.argument(0), at.inside(base))
    item = Variable(base.type, planner.new_name("x"), shape=base.shape)
    body = planner.expr(at.argument(0), at.inside(item))
    return Map(base, item, body)


def exists_call(planner: PathPlanner, at: Invocation) -> Planned:
    if not len(at):
        return planner.exists(at.base)
    filtered = where(planner, at)
    return planner.exists(filtered)


def empty(planner: PathPlanner, at: Invocation) -> Planned:
    return Not(planner.exists(at.base))


def all_(planner: PathPlanner, at: Invocation) -> Planned:
    base = at.value()
    if isinstance(base, Nothing):
        return Constant("boolean", True)
    if not base.many:
        criterion = planner.criterion(at.argument(0), at.inside(base))
        missing = Not(Exists(base))
        holds = Test(criterion, True)
        return Logic("or", missing, holds)
    item = Variable(base.type, planner.new_name("x"), shape=base.shape)
    criterion = planner.criterion(at.argument(0), at.inside(item))
    return planner.none(base, item, Test(criterion, False))


def all_true(planner: PathPlanner, at: Invocation) -> Planned:
    """allTrue, anyTrue, allFalse, anyFalse."""
    base = at.value()
    name = at.call.name
    if isinstance(base, Nothing):
        return Constant("boolean", name.startswith("all"))
    if base.type != "boolean":
        raise planner.error(f"{name}() needs booleans, not {base.type}", at.call)
    if not base.many:
        base = Combine("boolean", [base], False)
    item = Variable("boolean", planner.new_name("x"))
    wanted: Expr = item if name.endswith("True") else Not(item)
    if name.startswith("all"):
        return planner.none(base, item, Test(wanted, False))
    return Exists(Filter(base, item, wanted))


def count(planner: PathPlanner, at: Invocation) -> Planned:
    if isinstance(at.base, Choice):
        return planner.count_of(at.base, at.base.element.types)
    base = at.base
    if isinstance(base, Nothing):
        return Constant("integer", "0")
    return Count(base)


def first_or_last(planner: PathPlanner, at: Invocation) -> Planned:
    if isinstance(at.base, Choice) and not at.base.base.many:
        return at.base
    return planner.pick(at.value(), at.call.name)


def single(planner: PathPlanner, at: Invocation) -> Planned:
    if isinstance(at.base, Choice) and not at.base.base.many:
        return at.base
    return planner.one_at(at.value(), at.call)


def slice_(planner: PathPlanner, at: Invocation) -> Planned:
    base = at.value()
    if isinstance(base, Nothing):
        return base
    if not base.many:
        base = Combine(base.type, [base], False)
    number = planner.typed(at.argument(0), at.scope, "integer") if len(at) else None
    return Slice(base, at.call.name, number)


def distinct(_: PathPlanner, at: Invocation) -> Planned:
    base = at.value()
    if base.kind == "complex" and base.shape is not None:
        base.shape.read_whole()
    different = Distinct(base)
    if at.call.name == "distinct":
        return different if base.many else base
    if not base.many:
        return Constant("boolean", True)
    counts = [Count(part) for part in (base, different)]
    return Equal(counts[0], counts[1])


def combine(planner: PathPlanner, at: Invocation) -> Planned:
    base, other = at.value(), planner.expr(at.argument(0), at.scope)
    if at.call.name == "union":
        return planner.union(base, other, at.call)
    if not isinstance(base, Nothing) and not isinstance(other, Nothing):
        same = base.kind == other.kind or {base.kind, other.kind} <= NUMBERS
        if not same or (base.kind == "complex" and base.type != other.type):
            raise planner.error(f"cannot combine {base.type} and {other.type}", at.call)
    return planner.combine([base, other])


def set_operation(planner: PathPlanner, at: Invocation) -> Planned:
    base, other = at.value(), planner.expr(at.argument(0), at.scope)
    name = at.call.name
    for side in (base, other):
        if side.kind == "complex":
            raise planner.error(f"{name}() needs primitive values, not {side.type}", at.call)
    if (
        isinstance(base, Nothing)
        or isinstance(other, Nothing)
        or not definitions.compatible(base.type, other.type)
    ):
        return set_with_nothing(planner, name, base, other)
    return SetOperation(name, base, other)


def set_with_nothing(planner: PathPlanner, name: str, base: Expr, other: Expr) -> Expr:
    """A set operation between collections that have no value in common."""
    if name == "exclude":
        return base
    if name == "intersect":
        return Nothing(base.type)
    smaller = base if name == "subsetOf" else other
    return Not(planner.exists(smaller))


def iif(planner: PathPlanner, at: Invocation) -> Planned:
    inner = at.scope
    if at.call.base is not None:
        inner = at.inside(planner.one_at(at.value(), at.call))
    criterion = planner.boolean(at.argument(0), inner)
    then = planner.expr(at.argument(1), inner)
    otherwise: Expr = Nothing(then.type)
    if len(at) == 3:
        otherwise = planner.expr(at.argument(2), inner)
    if isinstance(then, Nothing):
        then = Nothing(otherwise.type, otherwise.many)
    known = not isinstance(then, Nothing) and not isinstance(otherwise, Nothing)
    type_ = then.type
    if known and then.kind != otherwise.kind:
        if not {then.kind, otherwise.kind} <= NUMBERS:
            raise planner.error(
                f"iif() gives {then.type} or {otherwise.type}: one type is needed", at.call
            )
        type_ = "decimal"
    if known and then.shape is not None and otherwise.shape is not None:
        then.shape.unite(otherwise.shape)
    return Choose(type_, criterion, then, otherwise)


def not_(planner: PathPlanner, at: Invocation) -> Planned:
    base = at.base
    if isinstance(base, Choice) and "boolean" in base.element.types:
        base = planner.variant(base, "boolean")
    expr = planner.one_at(planner.settle(base, at.call), at.call)
    if isinstance(expr, Nothing):
        return Nothing("boolean")
    whole = expr if expr.type == "boolean" else Truth(expr)
    return Not(whole)
