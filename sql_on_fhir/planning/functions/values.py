"""Functions on single values: numbers, conversions, boundaries, keys, extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql_on_fhir import definitions
from sql_on_fhir.definitions import kind_of
from sql_on_fhir.ir.expressions import (
    Boundary,
    Call,
    Constant,
    Count,
    Equal,
    Expr,
    Filter,
    Guarded,
    Map,
    Nothing,
    ReferenceKey,
    Variable,
)
from sql_on_fhir.parsing import fhirpath
from sql_on_fhir.planning.elements import NUMBERS
from sql_on_fhir.planning.scope import Choice, Invocation, Planned

if TYPE_CHECKING:
    from sql_on_fhir.planning.paths import PathPlanner

CONVERSIONS = {
    "toString": "string",
    "toInteger": "integer",
    "toDecimal": "decimal",
    "toBoolean": "boolean",
    "toDate": "date",
    "toDateTime": "dateTime",
    "toTime": "time",
}


def has_value(planner: PathPlanner, at: Invocation) -> Planned:
    """https://hl7.org/fhir/R4/fhirpath.html#functions: one value, and it is primitive."""
    if isinstance(at.base, Choice):
        primitive = [t for t in at.base.element.types if kind_of(t) != "complex"]
        return planner.is_one(planner.count_of(at.base, primitive))
    if isinstance(at.base, Nothing) or at.base.kind == "complex":
        return Constant("boolean", False)
    return planner.is_one(Count(at.base))


def get_value(planner: PathPlanner, at: Invocation) -> Planned:
    """https://hl7.org/fhir/R4/fhirpath.html#functions: the value, where there is only one."""
    base = at.value()
    if base.kind == "complex":
        return Nothing("string")
    if isinstance(base, Nothing) or not base.many:
        return base
    is_one = planner.is_one(Count(base))
    return Guarded(planner.pick(base, "first"), is_one)


def of_type_call(planner: PathPlanner, at: Invocation) -> Planned:
    return planner.of_type(at.base, planner.type_name(at.argument(0)), at.call)


def is_call(planner: PathPlanner, at: Invocation) -> Planned:
    return planner.is_type(at.base, planner.type_name(at.argument(0)), at.call)


def extension(planner: PathPlanner, at: Invocation) -> Planned:
    """https://hl7.org/fhir/R4/fhirpath.html#functions"""
    base = planner.child(at.value(), "extension", at.call)
    url = planner.typed_text(at.argument(0), at.scope)
    base = planner.settle(base, at.call)
    if isinstance(base, Nothing):
        return base
    item = Variable("Extension", planner.new_name("x"), shape=base.shape)
    same = Equal(planner.field(item, "url", "uri", repeats=False), url)
    return Filter(base, item, same)


def boundary(planner: PathPlanner, at: Invocation) -> Planned:
    """lowBoundary and highBoundary, on Period too (ShareableViewDefinition)."""
    base = at.base
    high = at.call.name == "highBoundary"
    if isinstance(base, Choice):
        base = planner.settle(base, at.call)
    if isinstance(base, Nothing):
        return base
    if base.type == "Period":
        end = planner.child(base, "end" if high else "start", at.call)
        base = planner.settle(end, at.call)
    if isinstance(base, Nothing) or base.kind not in (
        *NUMBERS,
        "date",
        "dateTime",
        "time",
    ):
        raise planner.error(
            f"{at.call.name}() is for decimal, date, dateTime, instant, time and Period, "
            f"not {base.type}",
            at.call,
        )
    precision = None
    if len(at):
        given = at.argument(0)
        if not (isinstance(given, fhirpath.Literal) and given.kind == "integer"):
            raise planner.error("the precision is a whole number", given)
        precision = int(given.text)
    base = planner.one_at(base, at.call)
    return Boundary(base, high, precision)


def resource_key(planner: PathPlanner, at: Invocation) -> Planned:
    """ViewDefinition, getResourceKey(): the id of the resource."""
    base = at.value()
    if not definitions.is_resource(base.type):
        raise planner.error(f"getResourceKey() is for resources, not {base.type}", at.call)
    return planner.settle(planner.child(base, "id", at.call), at.call)


def reference_key(planner: PathPlanner, at: Invocation) -> Planned:
    """ViewDefinition, getReferenceKey([type]): the id that the reference points to."""
    base = at.base
    if isinstance(base, Choice) and "Reference" in base.element.types:
        base = planner.variant(base, "Reference")
    base = planner.settle(base, at.call)
    wanted = planner.type_name(at.argument(0)) if len(at) else None
    if isinstance(base, Nothing):
        return base
    if base.type != "Reference":
        raise planner.error(f"getReferenceKey() is for references, not {base.type}", at.call)
    if wanted is not None and not definitions.is_resource(wanted):
        raise planner.error(f"{wanted} is not a resource type", at.call)
    if not base.many:
        return key_of(planner, base, wanted)
    item = Variable("Reference", planner.new_name("x"), shape=base.shape)
    return Map(base, item, key_of(planner, item, wanted))


def key_of(planner: PathPlanner, reference: Expr, wanted: str | None) -> Expr:
    text = planner.field(reference, "reference", "string", repeats=False)
    type_ = planner.field(reference, "type", "uri", repeats=False)
    own = planner.field(planner.resource, "id", "id", repeats=False)
    return ReferenceKey(text, type_, own, wanted)


def on_number(planner: PathPlanner, at: Invocation) -> Planned:
    """https://hl7.org/fhirpath/N1/#math"""
    base = planner.one_at(at.value(), at.call)
    name = at.call.name
    if isinstance(base, Nothing):
        return Nothing("decimal")
    if base.kind not in NUMBERS:
        raise planner.error(f"{name}() needs a number, not {base.type}", at.call)
    arguments = [planner.typed(argument, at.scope, "decimal") for argument in at.call.arguments]
    whole = name in ("ceiling", "floor", "truncate") or (
        name == "power" and base.kind == "integer" and _is_natural(arguments[0])
    )
    type_ = "integer" if whole else base.type if name == "abs" else "decimal"
    return Call(type_, name, base, arguments)


def conversion(planner: PathPlanner, at: Invocation) -> Planned:
    """toString, toInteger, toDecimal, toBoolean, toDate, toDateTime, toTime."""
    base = planner.one_at(at.value(), at.call)
    result = CONVERSIONS[at.call.name]
    if isinstance(base, Nothing):
        return Nothing(result)
    if base.kind == "complex":
        raise planner.error(f"{at.call.name}() needs a primitive, not {base.type}", at.call)
    return Call(result, at.call.name, base, ())


def same(_: PathPlanner, at: Invocation) -> Planned:
    """trace(): the input itself."""
    return at.base


def _is_natural(exponent: Expr) -> bool:
    return isinstance(exponent, Constant) and str(exponent.value).isdigit()
