"""The functions of FHIRPath: each by its name, with the least and the most arguments that it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from sql_on_fhir.planning.functions import collections, text, values
from sql_on_fhir.planning.scope import Invocation, Planned

if TYPE_CHECKING:
    from sql_on_fhir.planning.paths import PathPlanner

Planner: TypeAlias = "Callable[[PathPlanner, Invocation], Planned]"

FUNCTIONS: dict[str, tuple[Planner, int, int]] = {
    "where": (collections.where, 1, 1),
    "select": (collections.select, 1, 1),
    "exists": (collections.exists_call, 0, 1),
    "empty": (collections.empty, 0, 0),
    "hasValue": (values.has_value, 0, 0),
    "not": (collections.not_, 0, 0),
    "all": (collections.all_, 1, 1),
    "allTrue": (collections.all_true, 0, 0),
    "anyTrue": (collections.all_true, 0, 0),
    "allFalse": (collections.all_true, 0, 0),
    "anyFalse": (collections.all_true, 0, 0),
    "count": (collections.count, 0, 0),
    "first": (collections.first_or_last, 0, 0),
    "last": (collections.first_or_last, 0, 0),
    "single": (collections.single, 0, 0),
    "tail": (collections.slice_, 0, 0),
    "skip": (collections.slice_, 1, 1),
    "take": (collections.slice_, 1, 1),
    "ofType": (values.of_type_call, 1, 1),
    "as": (values.of_type_call, 1, 1),
    "is": (values.is_call, 1, 1),
    "extension": (values.extension, 1, 1),
    "join": (text.join, 0, 1),
    "split": (text.split, 1, 1),
    "distinct": (collections.distinct, 0, 0),
    "isDistinct": (collections.distinct, 0, 0),
    "union": (collections.combine, 1, 1),
    "combine": (collections.combine, 1, 1),
    "intersect": (collections.set_operation, 1, 1),
    "exclude": (collections.set_operation, 1, 1),
    "subsetOf": (collections.set_operation, 1, 1),
    "supersetOf": (collections.set_operation, 1, 1),
    "iif": (collections.iif, 2, 3),
    "lowBoundary": (values.boundary, 0, 1),
    "highBoundary": (values.boundary, 0, 1),
    "getResourceKey": (values.resource_key, 0, 0),
    "getReferenceKey": (values.reference_key, 0, 1),
    "getValue": (values.get_value, 0, 0),
    "trace": (values.same, 1, 2),
    **{
        name: (text.on_text, 1 if name == "substring" else len(kinds), len(kinds))
        for name, (_, kinds) in text.ON_TEXT.items()
    },
    **dict.fromkeys(
        ["abs", "ceiling", "exp", "floor", "ln", "sqrt", "truncate"], (values.on_number, 0, 0)
    ),
    **dict.fromkeys(("log", "power"), (values.on_number, 1, 1)),
    "round": (values.on_number, 0, 1),
    **dict.fromkeys(values.CONVERSIONS, (values.conversion, 0, 0)),
}

#: Functions that FHIRPath has, and that are refused by name.
REFUSED = frozenset(
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
