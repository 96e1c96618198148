"""Functions on strings: https://hl7.org/fhirpath/N1/#string-manipulation."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from sql_on_fhir.ir.expressions import Call, Constant, Expr, Join, Nothing, Split
from sql_on_fhir.planning.elements import NUMBERS
from sql_on_fhir.planning.scope import Invocation, Planned

if TYPE_CHECKING:
    from sql_on_fhir.planning.paths import PathPlanner

#: What each gives, and the kinds of its arguments.
ON_TEXT: dict[str, tuple[str, tuple[str, ...]]] = {
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
# What finite automata cannot do: looking around, and repeating what a group found.
_LOOK_AROUND = re.compile(r"\(\?<?[=!]|(?<!\\)(?:\\\\)*\\[1-9]")
# Escapes and classes are passed over: a parenthesis in them opens no group.
_GROUPS = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<group>\((?!\?)|\(\?P?<(?P<name>[A-Za-z_]\w*)>)",
    re.DOTALL,
)


def join(planner: PathPlanner, at: Invocation) -> Planned:
    base = at.value()
    if isinstance(base, Nothing):
        return Nothing("string")
    if base.kind == "complex":
        raise planner.error(f"join() needs strings, not {base.type}", at.call)
    separator: Expr = Constant("string", "")
    if len(at):
        separator = planner.typed_text(at.argument(0), at.scope)
    if not base.many:
        return Call("string", "toString", base, ())
    return Join(base, separator)


def split(planner: PathPlanner, at: Invocation) -> Planned:
    base = text_base(planner, at)
    if isinstance(base, Nothing):
        return base
    return Split(base, planner.typed_text(at.argument(0), at.scope))


def text_base(planner: PathPlanner, at: Invocation) -> Expr:
    base = planner.one_at(at.value(), at.call)
    if base.kind in ("complex", "boolean", *NUMBERS) and not isinstance(base, Nothing):
        raise planner.error(f"{at.call.name}() needs a string, not {base.type}", at.call)
    return base


def on_text(planner: PathPlanner, at: Invocation) -> Planned:
    """Functions on a string: https://hl7.org/fhirpath/N1/#string-manipulation"""
    base = text_base(planner, at)
    name = at.call.name
    result, kinds = ON_TEXT[name]
    if isinstance(base, Nothing):
        return Nothing(result)
    arguments = [
        planner.typed_text(argument, at.scope)
        if kind == "text"
        else planner.typed(argument, at.scope, kind)
        for argument, kind in zip(at.call.arguments, kinds, strict=False)
    ]
    if name in ("matches", "matchesFull", "replaceMatches"):
        arguments = expression_arguments(planner, arguments, at)
    return Call(result, name, base, arguments)


def expression_arguments(planner: PathPlanner, arguments: list[Expr], at: Invocation) -> list[Expr]:
    """A regular expression, and the text that replaces what it finds.

    `(?<name>…)` and `${name}` are numbered, so that every dialect reads them alike.
    """
    pattern = arguments[0]
    if not isinstance(pattern, Constant):
        return arguments
    numbers: dict[str, int] = {}
    text = _named_groups(str(pattern.value), numbers)
    if unsupported := _LOOK_AROUND.search(text):
        raise planner.error(f"{unsupported[0]!r} in a regular expression is not supported", at.call)
    given: list[Expr] = [replace(pattern, value=text), *arguments[1:]]
    if len(given) > 1 and isinstance(given[1], Constant):
        given[1] = replace(given[1], value=_numbered(str(given[1].value), numbers))
    return given


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


def _numbered(substitution: str, numbers: dict[str, int]) -> str:
    return re.sub(
        r"\$\{(\w+)\}",
        lambda match: f"${numbers[match[1]]}" if match[1] in numbers else match[0],
        substitution,
    )
