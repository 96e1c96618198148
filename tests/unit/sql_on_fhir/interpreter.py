"""A view evaluated resource by resource in plain Python: what the compiled SQL is held against.

It shares the parser and the table of FHIR types with the package, and nothing else: paths are
walked over JSON values, rows are lists of dicts, as the specification's processing model says.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sql_on_fhir import definitions
from sql_on_fhir.parsing import fhirpath
from sql_on_fhir.parsing.tree import ColumnDefinition, Select, View
from sql_on_fhir.parsing.view import parse_view


class ManyValuesError(Exception):
    """Several values where one is allowed."""


@dataclass(frozen=True)
class Item:
    """One FHIRPath value with its FHIR type; `beside` is the `_name` object of a primitive."""

    type: str
    value: Any
    beside: Any = None

    @property
    def kind(self) -> str:
        return definitions.kind_of(self.type)


@dataclass(frozen=True)
class Scope:
    resource: Item
    constants: dict[str, Item]
    context: Item
    row_index: int
    index: int = 0


Items = list[Item]


def read_json(text: str) -> Any:
    """Decimals keep their text."""
    return json.loads(text, parse_float=Decimal)


# rows: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html, processing algorithm


def rows_of(view: dict[str, Any], resource: Any) -> list[dict[str, Any]]:
    tree = parse_view(view)
    if not isinstance(resource, dict) or resource.get("resourceType") != tree.resource:
        return []
    root = Item(tree.resource, resource)
    constants = {name: _constant(c.type, c.value) for name, c in tree.constants.items()}
    scope = Scope(root, constants, root, 0)
    for path in tree.where:
        if truth(evaluate(path.tree, [root], scope)) is not True:
            return []
    parts = [_process(select, root, scope, tree) for select in tree.selects]
    return [_merged(rows) for rows in itertools.product(*parts)]


def _constant(type_: str, value: str | bool) -> Item:
    return Item(type_, Decimal(value) if _is_number(type_) else value)


def _is_number(type_: str) -> bool:
    return definitions.kind_of(type_) in ("integer", "decimal")


def _merged(rows: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {name: value for row in rows for name, value in row.items()}


def _blank(select: Select, *, keeps_empty: bool) -> Iterator[tuple[str, int | None]]:
    """The columns of a blank row: null, but 0 for the %rowIndex of a forEachOrNull."""
    for column in select.columns:
        yield column.name, 0 if keeps_empty and column.path.text == "%rowIndex" else None
    for nested in select.selects:
        iterates = nested.for_each or nested.repeat
        yield from _blank(nested, keeps_empty=nested.keep_empty if iterates else keeps_empty)
    for branch in select.union_all[:1]:
        yield from ((name, None) for name, _ in _blank(branch, keeps_empty=False))


def _process(select: Select, node: Item, scope: Scope, view: View) -> list[dict[str, Any]]:
    if select.repeat:
        foci = _repeated(select, [node], scope)
    elif select.for_each:
        foci = evaluate(select.for_each.tree, [node], scope)
    else:
        return _at(select, node, scope, view)
    rows = []
    for index, focus in enumerate(foci):
        inner = Scope(scope.resource, scope.constants, focus, index)
        rows += _at(select, focus, inner, view)
    if not foci and select.keep_empty:
        rows.append(dict(_blank(select, keeps_empty=True)))
    return rows


def _repeated(select: Select, nodes: Items, scope: Scope) -> Items:
    found = []
    for path in select.repeat:
        for child in [c for node in nodes for c in evaluate(path.tree, [node], scope)]:
            found += [child, *_repeated(select, [child], scope)]
    return found


def _at(select: Select, node: Item, scope: Scope, view: View) -> list[dict[str, Any]]:
    own = {column.name: _cell(column, node, scope) for column in select.columns}
    parts = [[own], *(_process(nested, node, scope, view) for nested in select.selects)]
    if select.union_all:
        parts.append(
            [row for branch in select.union_all for row in _process(branch, node, scope, view)]
        )
    return [_merged(rows) for rows in itertools.product(*parts)]


def _cell(column: ColumnDefinition, node: Item, scope: Scope) -> Any:
    items = evaluate(column.path.tree, [node], scope)
    values = [_output(item, column) for item in items]
    if column.collection:
        return values
    if len(values) > 1:
        raise ManyValuesError(column.name)
    return values[0] if values else None


def _output(item: Item, column: ColumnDefinition) -> Any:
    if item.kind in ("integer", "decimal"):
        return float(item.value)
    return item.value


# paths


def evaluate(node: fhirpath.Node, items: Items, scope: Scope) -> Items:
    match node:
        case fhirpath.Literal(kind="boolean", text=text):
            return [Item("boolean", text == "true")]
        case fhirpath.Literal(kind=kind, text=text):
            return [Item(kind, Decimal(text) if _is_number(kind) else text)]
        case fhirpath.EmptySet():
            return []
        case fhirpath.This(name="this"):
            return items
        case fhirpath.This(name="index"):
            return [Item("integer", Decimal(scope.index))]
        case fhirpath.External(name="rowIndex"):
            return [Item("integer", Decimal(scope.row_index))]
        case fhirpath.External(name="resource"):
            return [scope.resource]
        case fhirpath.External(name="context"):
            return [scope.context]
        case fhirpath.External(name=name):
            return [scope.constants[name]]
        case fhirpath.Member(base=None, name=name) if items and items[0].type == name:
            return items
        case fhirpath.Member(base=base, name=name):
            return children(items if base is None else evaluate(base, items, scope), name)
        case fhirpath.Call(base=base):
            given = items if base is None else evaluate(base, items, scope)
            return FUNCTIONS[node.name](node, given, items, scope)
        case fhirpath.Indexer(base=base, index=index):
            at = single(evaluate(index, items, scope))
            found = evaluate(base, items, scope)
            inside = at is not None and 0 <= int(at.value) < len(found)
            return [found[int(at.value)]] if at is not None and inside else []
        case fhirpath.Unary(operator=operator, operand=operand):
            number = single(evaluate(operand, items, scope))
            if number is None:
                return []
            return [Item(number.type, -number.value if operator == "-" else number.value)]
        case fhirpath.Binary():
            return _binary(node, items, scope)
    raise NotImplementedError(node)


def children(items: Items, name: str) -> Items:
    found: Items = []
    for item in items:
        found += _children_of(item, name)
    return found


def _children_of(item: Item, name: str) -> Items:
    if item.kind != "complex":
        beside = item.beside if isinstance(item.beside, dict) else {}
        return _children_of(Item("Element", beside), name)
    if not isinstance(item.value, dict):
        return []
    if name == "resourceType" and definitions.is_resource(item.type):
        return _typed(item.value, "resourceType", "code", many=False)
    element = definitions.element(item.type, name)
    if element is None:
        alias = definitions.typed_choice(item.type, name)
        return _typed(item.value, name, alias[1], many=alias[0].many) if alias else []
    if not element.is_choice:
        return _typed(item.value, name, element.types[0], many=element.many)
    for type_ in element.types:
        variant = _typed(item.value, definitions.choice_key(name, type_), type_, many=element.many)
        if variant:
            return variant
    # a type that R4 does not allow here is still found by ofType
    return [Item("?choice", (item.value, name))]


def _typed(owner: dict[str, Any], key: str, type_: str, *, many: bool) -> Items:
    """The values of a JSON key, without what breaks the definition."""
    value, beside = owner.get(key), owner.get(f"_{key}")
    if value is not None and many != isinstance(value, list):
        # Of the wrong shape: as one complex element, it is there without content.
        shapeless = {} if definitions.kind_of(type_) == "complex" and key in owner else None
        value = [] if many else shapeless
    values = value if isinstance(value, list) else [value]
    values = [] if many and value is None else values
    extras = beside if isinstance(beside, list) else [beside]
    paired = itertools.zip_longest(values, extras[: len(values)] if many else extras)
    found = []
    for one, extra in paired:
        fitting = _fitting(type_, one)
        if fitting is not None:
            found.append(Item(type_, fitting, extra))
    return found


def _fitting(type_: str, value: Any) -> Any:
    kind = definitions.kind_of(type_)
    number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    if kind == "complex":
        return value
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "integer":
        whole = isinstance(value, int) and number and -(2**63) <= value < 2**63
        return Decimal(value) if whole else None
    if kind == "decimal":
        return Decimal(value) if number else None
    if isinstance(value, bool) or number:
        return json.dumps(value) if not isinstance(value, Decimal) else str(value)
    return value if isinstance(value, str) else None


def single(items: Items) -> Item | None:
    if len(items) > 1:
        raise ManyValuesError(str(len(items)))
    return items[0] if items else None


def truth(items: Items) -> bool | None:
    item = single(items)
    if item is None:
        return None
    return item.value if item.type == "boolean" else True


# operators


def _binary(node: fhirpath.Binary, items: Items, scope: Scope) -> Items:
    operator = node.operator
    if operator in ("is", "as"):
        given = evaluate(node.left, items, scope)
        matching = _of_type(given, _type_name(node.right))
        if operator == "as":
            return matching
        return boolean(bool(matching)) if given else []
    left, right = (evaluate(side, items, scope) for side in (node.left, node.right))
    if operator in ("and", "or", "xor", "implies"):
        return boolean(_logic(operator, truth(left), truth(right)))
    if operator in ("=", "!="):
        same = equal(left, right)
        return boolean(same if same is None or operator == "=" else not same)
    if operator == "|":
        return _distinct([*left, *right])
    if operator in ("in", "contains"):
        item, many = (left, right) if operator == "in" else (right, left)
        if not item:
            return []
        return boolean(any(equal(item, [other]) for other in many))
    one, other = single(left), single(right)
    if operator == "&":
        return [Item("string", "".join(str(i.value) for i in (one, other) if i is not None))]
    if one is None or other is None:
        return []
    if operator in ("<", "<=", ">", ">="):
        return boolean(_ordered(operator, one, other))
    return _arithmetic(operator, one, other)


def boolean(value: bool | None) -> Items:
    return [] if value is None else [Item("boolean", value)]


def _logic(operator: str, left: bool | None, right: bool | None) -> bool | None:
    if operator == "xor":
        return None if left is None or right is None else left != right
    if operator == "implies":
        return _logic("or", None if left is None else not left, right)
    decides = operator == "or"
    if left is decides or right is decides:
        return decides
    return None if left is None or right is None else not decides


DATES = {"date", "dateTime", "time"}


def equal(left: Items, right: Items) -> bool | None:
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    results = [_equal_items(a, b) for a, b in zip(left, right, strict=True)]
    if False in results:
        return False
    return None if None in results else True


def _equal_items(one: Item, other: Item) -> bool | None:
    if one.kind in DATES or other.kind in DATES:
        if {one.kind, other.kind} - DATES - {"text"}:
            return False
        return _ordered("=", one, other)
    if _is_number(one.type) and _is_number(other.type):
        return float(one.value) == float(other.value)
    return one.kind == other.kind and one.value == other.value


def _key(text: str) -> tuple[str, ...] | None:
    """Components of a partial date or time, as UTC; their number is the precision."""
    clock = re.fullmatch(r"(?:(.{10})T)?(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?", text)
    if clock is None:
        return tuple(text.split("-"))
    day = clock[1] or "2000-01-01"
    zone = (clock[6] or "Z").replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{day}T{clock[2]}:{clock[3]}:{clock[4]}{zone}")
    except ValueError:
        return None
    utc = moment.astimezone(UTC)
    millis = ((clock[5] or ".")[1:] + "000")[:3]
    return (*utc.strftime("%Y %m %d %H %M").split(), utc.strftime("%S") + millis)


def _ordered(operator: str, one: Item, other: Item) -> bool | None:
    a: Any = one.value
    b: Any = other.value
    if one.kind in DATES or other.kind in DATES:
        a, b = _key(a), _key(b)
        if a is None or b is None:
            return None
        shared = min(len(a), len(b))
        if a[:shared] == b[:shared]:
            return "=" in operator if len(a) == len(b) else None
        a, b = a[:shared], b[:shared]
    elif _is_number(one.type):
        a, b = float(a), float(b)
    compare: dict[str, Callable[[], bool]] = {
        "=": lambda: a == b,
        "<": lambda: a < b,
        "<=": lambda: a <= b,
        ">": lambda: a > b,
        ">=": lambda: a >= b,
    }
    return compare[operator]()


def _arithmetic(operator: str, one: Item, other: Item) -> Items:
    if one.kind == "text":
        return [Item("string", one.value + other.value)]
    a, b = one.value, other.value
    whole = one.kind == other.kind == "integer"
    if operator in ("/", "div", "mod") and b == 0:
        return []
    result = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / b,
        "div": lambda: Decimal(int(a / b)),
        "mod": lambda: a % b,
    }[operator]()
    return [
        Item("integer" if operator == "div" or (whole and operator != "/") else "decimal", result)
    ]


def _distinct(items: Items) -> Items:
    kept: Items = []
    for item in items:
        if not any(equal([item], [other]) for other in kept):
            kept.append(item)
    return kept


# functions


def _type_name(node: fhirpath.Node) -> str:
    return node.text if isinstance(node, fhirpath.Literal) else getattr(node, "name", "")


def _of_type(items: Items, type_: str) -> Items:
    found = []
    for item in items:
        if item.type == "?choice":
            owner, name = item.value
            found += _typed(owner, definitions.choice_key(name, type_), type_, many=False)
        elif item.type == "Resource":
            if isinstance(item.value, dict) and item.value.get("resourceType") == type_:
                found.append(Item(type_, item.value))
        elif item.type == type_:
            found.append(item)
    return found


def _real(items: Items) -> Items:
    return [item for item in items if item.type != "?choice"]


def _where(node: fhirpath.Call, given: Items, scope: Scope) -> Items:
    kept = []
    for index, item in enumerate(given):
        inner = Scope(scope.resource, scope.constants, scope.context, scope.row_index, index)
        if truth(evaluate(node.arguments[0], [item], inner)) is True:
            kept.append(item)
    return kept


def _exists(node: fhirpath.Call, given: Items, scope: Scope) -> bool:
    return bool(_where(node, given, scope) if node.arguments else _real(given))


def _argument(node: fhirpath.Call, number: int, items: Items, scope: Scope) -> Any:
    if len(node.arguments) <= number:
        return None
    item = single(evaluate(node.arguments[number], items, scope))
    return None if item is None else item.value


def _all(node: fhirpath.Call, given: Items, scope: Scope) -> bool:
    return len(_where(node, given, scope)) == len(given)


def _extension(node: fhirpath.Call, given: Items, items: Items, scope: Scope) -> Items:
    url = _argument(node, 0, items, scope)
    found = children(given, "extension")
    return [e for e in found if [i.value for i in children([e], "url")] == [url]]


def _set(node: fhirpath.Call, given: Items, items: Items, scope: Scope) -> Items:
    others = evaluate(node.arguments[0], items, scope)
    inside = [item for item in given if any(equal([item], [other]) for other in others)]
    if node.name == "intersect":
        return _distinct(inside)
    return [item for item in given if item not in inside]


def _power(node: fhirpath.Call, given: Items, items: Items, scope: Scope) -> Items:
    base, exponent = single(given), _argument(node, 0, items, scope)
    if base is None:
        return []
    try:
        result = float(base.value) ** float(exponent)
    except OverflowError:
        return []
    return [] if isinstance(result, complex) else [Item("decimal", Decimal(str(result)))]


def _replace_matches(node: fhirpath.Call, given: Items, items: Items, scope: Scope) -> Items:
    pattern, substitution = (_argument(node, number, items, scope) for number in (0, 1))
    template = re.sub(r"\$(\d)", r"\\g<\1>", substitution)
    return [Item("string", re.sub(pattern, template, i.value, flags=re.DOTALL)) for i in given]


def _join(node: fhirpath.Call, given: Items, items: Items, scope: Scope) -> Items:
    separator = _argument(node, 0, items, scope) or ""
    return [Item("string", separator.join(str(i.value) for i in given))] if given else []


def _iif(node: fhirpath.Call, given: Items, items: Items, scope: Scope) -> Items:
    inner = items if node.base is None else given
    if truth(evaluate(node.arguments[0], inner, scope)) is True:
        return evaluate(node.arguments[1], inner, scope)
    return evaluate(node.arguments[2], inner, scope) if len(node.arguments) == 3 else []


def _reference_key(node: fhirpath.Call, given: Items, items: Items, scope: Scope) -> Items:
    wanted = _type_name(node.arguments[0]) if node.arguments else None
    own = next((i.value for i in children([scope.resource], "id")), None)
    return [
        Item("string", key)
        for reference in given
        for key in [_key_of(reference, wanted, own)]
        if key is not None
    ]


def _key_of(reference: Item, wanted: str | None, own: str | None) -> str | None:
    text = next((i.value for i in children([reference], "reference")), None)
    if text is None:
        return None
    type_ = next((i.value for i in children([reference], "type")), None)
    fits = wanted is None or type_ is None or re.search("[A-Za-z]*$", type_)[0] == wanted  # type: ignore[index]
    if text.startswith("#"):
        return (own if text == "#" or own is None else own + text) if fits else None
    for prefix in ("urn:uuid:", "urn:oid:"):
        if text.startswith(prefix):
            return text.removeprefix(prefix) if fits else None
    if "?" in text:
        return text if wanted is None or text.startswith(f"{wanted}?") else None
    match = re.search(r"(?:^|/)([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$", text)
    return match[2] if match and wanted in (None, match[1]) else None


def _boundary(node: fhirpath.Call, given: Items, items: Items, scope: Scope) -> Items:
    high = node.name == "highBoundary"
    item = single(given)
    if item is not None and item.type == "Period":
        item = single(children([item], "end" if high else "start"))
    if item is None:
        return []
    if _is_number(item.type):
        exponent = item.value.as_tuple().exponent
        half = Decimal(5).scaleb(exponent - 1)
        return [Item("decimal", item.value + half if high else item.value - half)]
    text = item.value
    if item.kind == "time":
        return [Item("time", _full_clock(text, high))]
    day, _, clock = text.partition("T")
    if len(day) == 4:
        day += "-12-31" if high else "-01-01"
    elif len(day) == 7:
        day = str(_last_day(day)) if high else f"{day}-01"
    if item.kind == "date":
        return [Item("date", day)]
    if not clock:
        end = "T23:59:59.999-12:00" if high else "T00:00:00.000+14:00"
        return [Item(item.type, day + end)]
    zone = re.search(r"(Z|[+-]\d\d:\d\d)$", clock)
    offset = zone[0] if zone else ("-12:00" if high else "+14:00")
    return [
        Item(
            item.type,
            f"{day}T{_full_clock(clock[: zone.start()] if zone else clock, high)}{offset}",
        )
    ]


def _last_day(month: str) -> date:
    first = date.fromisoformat(f"{month}-01")
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _full_clock(clock: str, high: bool) -> str:
    whole, _, fraction = clock.partition(".")
    if len(whole) == 5:
        whole += ":59" if high else ":00"
    return f"{whole}.{(fraction + ('999' if high else '000'))[:3]}"


Function = Callable[[fhirpath.Call, Items, Items, Scope], Items]
FUNCTIONS: dict[str, Function] = {
    "where": lambda node, given, items, scope: _where(node, given, scope),
    "exists": lambda node, given, items, scope: boolean(_exists(node, given, scope)),
    "empty": lambda node, given, items, scope: boolean(not _real(given)),
    "not": lambda node, given, items, scope: boolean(
        None if truth(given) is None else not truth(given)
    ),
    "all": lambda node, given, items, scope: boolean(_all(node, given, scope)),
    "count": lambda node, given, items, scope: [Item("integer", Decimal(len(_real(given))))],
    "hasValue": lambda node, given, items, scope: boolean(
        len(_real(given)) == 1 and given[0].kind != "complex"
    ),
    "getValue": lambda node, given, items, scope: given if len(given) == 1 else [],
    "exclude": _set,
    "intersect": _set,
    "power": _power,
    "replaceMatches": _replace_matches,
    "first": lambda node, given, items, scope: given[:1],
    "last": lambda node, given, items, scope: given[-1:],
    "tail": lambda node, given, items, scope: given[1:],
    "skip": lambda node, given, items, scope: given[int(_argument(node, 0, items, scope)) :],
    "take": lambda node, given, items, scope: given[: int(_argument(node, 0, items, scope))],
    "ofType": lambda node, given, items, scope: _of_type(given, _type_name(node.arguments[0])),
    "extension": _extension,
    "join": _join,
    "iif": _iif,
    "distinct": lambda node, given, items, scope: _distinct(given),
    "lowBoundary": _boundary,
    "highBoundary": _boundary,
    "getResourceKey": lambda node, given, items, scope: children(given, "id"),
    "getReferenceKey": _reference_key,
    "startsWith": lambda node, given, items, scope: [
        Item("boolean", i.value.startswith(_argument(node, 0, items, scope))) for i in given
    ],
    "length": lambda node, given, items, scope: [
        Item("integer", Decimal(len(i.value))) for i in given
    ],
    "upper": lambda node, given, items, scope: [Item("string", i.value.upper()) for i in given],
}
