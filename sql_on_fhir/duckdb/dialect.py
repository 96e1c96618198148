"""How DuckDB writes what dialects differ in.

One `from_json` with an explicit struct reads everything a view needs. The `random() >= 0` around it is
always true: it keeps DuckDB from pushing filters below the projection, which would parse a second time.
"""

import re
from collections.abc import Callable, Sequence
from typing import ClassVar

import duckdb

from sql_on_fhir.definitions import kind_of
from sql_on_fhir.duckdb import values
from sql_on_fhir.duckdb.functions import CALLS, WITH_PATTERN, exact_number, finite, within_range
from sql_on_fhir.errors import ViewDefinitionError
from sql_on_fhir.ir.expressions import Call, Constant, Repeat
from sql_on_fhir.ir.shape import Shape
from sql_on_fhir.sql.dialect import Name, identifier, quoted
from sql_on_fhir.sql.statement import Source, Statement

_FEW_LEVELS = 5
# ansi/type hints that DuckDB has under the same or another name.
_HINT = re.compile(
    r"(?P<plain>character varying|varchar|char|text|string|boolean|smallint|integer|int|bigint|"
    r"real|float|double precision|double|date|timestamp with time zone|timestamp|time)(?P<size>\(\d+\))?"
    r"|(?P<exact>decimal|numeric)(?P<digits>\(\d{1,2}(, ?\d{1,2})?\))?",
    re.IGNORECASE,
)
_HINT_NAMES = {
    "character varying": "varchar",
    "char": "varchar",
    "text": "varchar",
    "string": "varchar",
    "int": "integer",
    "double precision": "double",
}
# A number whose text a double does not give back: zeros at its end, many digits, an exponent.
_INEXACT = r'":\s*-?(?:[0-9]+\.[0-9]+0[^0-9.]|[0-9.]{16}|[0-9.]+[eE])'
# Stands before a number that is parsed as text, and in no FHIR text by itself (private use).
_MARK = "\ue000"
_TOKENS = r'"((?:[^"\\]|\\.)*)"|(-?[0-9][0-9.eE+-]*)'


class DuckDb(Statement):
    """Writes a plan for DuckDB."""

    column_types: ClassVar = {
        "boolean": "boolean",
        "integer": "integer",
        "decimal": "double",
        "complex": "json",
    }
    inner_types: ClassVar = {**column_types, "integer": "bigint"}
    text_type: ClassVar = "varchar"

    def statement(self, source: Source) -> str:
        written = super().statement(source)
        if not self.needs_exact_numbers or self.numbers_are_text:
            return written
        # One path asks for the text of numbers, so they are parsed as text for all of them.
        return type(self)(self.plan, numbers_are_text=True).statement(source)

    @classmethod
    def hint_type(cls, hint: str) -> str | None:
        match = _HINT.fullmatch(hint.strip())
        if match is None:
            return None
        if match["exact"]:
            return f"decimal{(match['digits'] or '(38, 9)').lower()}"
        plain = match["plain"].lower()
        return _HINT_NAMES.get(plain, plain)

    # lists, structs, lambdas

    def let(self, sql: str, use: Callable[[str], str]) -> str:
        if isinstance(sql, Name):
            return use(sql)
        name = self.fresh("v")
        return f"{self.transform(self.array(sql), [name], use(name))}[1]"

    def array(self, *items: str) -> str:
        return f"[{', '.join(items)}]"

    def empty(self, type_: str) -> str:
        return f"cast([] as {type_}[])"

    def struct(self, fields: Sequence[tuple[str, str]]) -> str:
        inside = ", ".join(f"{quoted(name)}: {sql}" for name, sql in fields)
        return f"{{{inside}}}"

    def key(self, key: str) -> str:
        return key if key.isidentifier() else identifier(key)

    def transform(self, items: str, parameters: Sequence[str], body: str) -> str:
        return f"list_transform({items}, lambda {', '.join(parameters)}: {body})"

    def keep(self, items: str, parameters: Sequence[str], criterion: str) -> str:
        return f"list_filter({items}, lambda {', '.join(parameters)}: {criterion})"

    def flatten(self, lists: str) -> str:
        return f"flatten({lists})"

    def concatenate(self, lists: Sequence[str]) -> str:
        return lists[0] if len(lists) == 1 else f"list_concat({', '.join(lists)})"

    def length(self, items: str) -> str:
        return f"len({items})"

    def item(self, items: str, place: int | str) -> str:
        text = f"{items}[{place}]"
        return (
            Name(text) if isinstance(items, Name) and isinstance(place, int) and place > 0 else text
        )

    def part(self, items: str, start: str = "", end: str = "") -> str:
        return f"{items}[{start}:{end}]"

    def holds(self, items: str, value: str) -> str:
        return f"list_contains({items}, {value})"

    def first_place(self, items: str, value: str) -> str:
        return f"list_position({items}, {value})"

    def sorted_list(self, items: str) -> str:
        return f"list_sort({items})"

    def unnest(self, items: str) -> str:
        return f"unnest({items})"

    # JSON

    def struct_type(self, shape: Shape) -> str:
        parts = []
        for key in sorted(shape.fields):
            entry = shape.fields[key]
            if entry.leaf is not None:
                inner = '"VARCHAR"' if entry.leaf == "text" else '"JSON"'
            elif entry.shape is not None and entry.shape.is_struct:
                inner = self.struct_type(entry.shape)
            else:
                inner = '"JSON"'
            parts.append(f'"{key}":{f"[{inner}]" if entry.many else inner}')
        if not parts:
            # Only whether it is there matters: any struct says so, and JSON text costs more.
            parts = ['"id":"VARCHAR"']
        return "{" + ",".join(parts) + "}"

    def opened(self, text: str, shape: Shape) -> str:
        return f"from_json({text}, {quoted(self.struct_type(shape))})"

    def document(self, text: str, shape: Shape) -> str:
        document = text
        if self.needs_exact_numbers:
            document = (
                f"case when regexp_matches({text}, {quoted(_INEXACT)}) "
                f"then replace(regexp_replace({text}, {quoted(_TOKENS)}, "
                f"'\"\\1{_MARK}\\2\"', 'g'), '{_MARK}\"', '\"') else {text} end"
            )
        return f"case when random() >= 0 then try({self.opened(document, shape)}) end"

    def text_holds(self, text: str, part: str) -> str:
        return f"contains({text}, {quoted(part)})"

    def json_text(self, sql: str, key: str) -> str:
        return f"json_extract_string({sql}, '$.{key}')"

    def decoded(self, type_: str, sql: str, *, exact: bool, plain: bool) -> str:
        kind = kind_of(type_)
        if kind == "boolean":
            return f"case cast({sql} as varchar) when 'true' then true when 'false' then false end"
        if kind == "integer":
            return self.let(
                self._number_text(sql),
                lambda v: (
                    f"case when regexp_full_match({v}, '-?[0-9]+') then try_cast({v} as bigint) end"
                ),
            )
        if kind == "decimal":
            self.needs_exact_numbers = self.needs_exact_numbers or exact
            text = self._number_text(sql)
            if not exact:
                return within_range(f"try_cast({text} as double)")
            return self.let(
                text, lambda v: f"case when isfinite(try_cast({v} as double)) then {v} end"
            )
        if kind == "complex":
            return sql
        return sql if plain else self._text_leaf(sql)

    def _number_text(self, sql: str) -> str:
        text = f"cast({sql} as varchar)"
        return f"trim({text}, '\"{_MARK}')" if self.numbers_are_text else text

    def json_value(self, sql: str) -> str:
        if not self.numbers_are_text:
            return sql
        text = f"cast({sql} as varchar)"
        return (
            f"case when contains({text}, '{_MARK}') then regexp_replace({text}, "
            f"'\"{_MARK}([^\"]*)\"', '\\1', 'g') else {text} end"
        )

    def _text_leaf(self, sql: str) -> str:
        """Primitive text; an object or list in its place gives null.

        from_json gives those as JSON text, so text that starts as JSON does is looked up in the
        resource: a string stands there in quotes, escaped as to_json does it, or, once json() has
        read it, whatever escapes the source chose. (Comparing with '[' and '{' is three times
        faster than LIKE or starts_with, and this is done for every value.)
        """
        self.needs_text = True
        return self.let(
            sql,
            lambda v: (
                f"case when {v} >= '[' and ({v} < '\\' or {v} >= '{{') and json_valid({v}) "
                f"and not contains(_text, to_json({v})) "
                f"and not contains(cast(json(_text) as varchar), to_json({v})) "
                f"then null else {v} end"
            ),
        )

    # values

    def failure(self, before: str, number: str, after: str, value: str) -> str:
        return f"error({quoted(before)} || {number} || {quoted(after)} || {value})"

    def try_cast(self, sql: str, type_: str) -> str:
        return f"try_cast({sql} as {type_})"

    def finite(self, sql: str) -> str:
        # The texts NaN and Infinity are no numbers, and JSON cannot say them.
        return self.let(sql, lambda v: f"case when isfinite({v}) then {v} end")

    def whole(self, sql: str) -> str:
        return self.let(
            sql, lambda v: f"case when {v} = trunc({v}) then try_cast({v} as integer) end"
        )

    def folded(self, sql: str) -> str:
        return f"lower(regexp_replace({sql}, '\\s+', ' ', 'g'))"

    def arithmetic(self, operator: str, left: str, right: str, *, integers: bool) -> str:
        if integers and operator != "/":
            sides = f"cast({left} as hugeint)", f"cast({right} as hugeint)"
            if operator == "div":
                return f"try_cast({sides[0]} // nullif({sides[1]}, 0) as bigint)"
            if operator == "mod":
                return f"try_cast({sides[0]} % nullif({sides[1]}, 0) as bigint)"
            return f"try_cast({sides[0]} {operator} {sides[1]} as bigint)"
        if operator == "/":
            return finite(f"cast({left} as double) / nullif(cast({right} as double), 0)")
        if operator in ("div", "mod"):
            sides = exact_number(left), f"nullif({exact_number(right)}, 0)"
            rest = f"{sides[0]} % {sides[1]}"
            if operator == "mod":
                return f"cast({rest} as double)"
            return f"try_cast(round(({sides[0]} - {rest}) / {sides[1]}) as bigint)"
        if operator == "*":
            return finite(f"cast({left} as double) * cast({right} as double)")
        # Binary fractions must not show: 0.1 + 0.2 is 0.3.
        return finite(f"round(cast({left} as double) {operator} cast({right} as double), 10)")

    def call(self, expr: Call, base: str, arguments: Sequence[str]) -> str:
        template = CALLS[expr.function]
        if expr.function in WITH_PATTERN:
            if isinstance(expr.arguments[0], Constant):
                self._check_pattern(str(expr.arguments[0].value))
            else:
                template = f"try({template})"
        if template.count("{0}") > 1:
            return self.let(base, lambda v: template.format(v, *arguments, *["null"] * 2))
        return template.format(base, *arguments, *["null"] * 2)

    def _check_pattern(self, pattern: str) -> None:
        """RE2, which DuckDB has, reads less than every regular expression: better said now."""
        try:
            duckdb.execute("select regexp_matches('', ?)", [pattern])
        except duckdb.Error as error:
            why = str(error).splitlines()[0]
            raise ViewDefinitionError(
                f"{pattern!r} is no regular expression that can be used: {why}",
                view=self.plan.view,
                where=f"column {self.label!r}",
            ) from None

    def join(self, items: str, separator: str) -> str:
        return f"list_aggregate({items}, 'string_agg', {separator})"

    def split(self, text: str, separator: str) -> str:
        return f"string_split({text}, {separator})"

    def constant_moment(self, constant: Constant) -> str:
        return quoted(values.sort_key(str(constant.value), constant.kind))

    def moment(self, value: str, kind: str) -> str:
        return values.sort_key_sql(value, kind)

    def compare_moments(self, operator: str, left: str, right: str) -> str:
        return values.compare_sql(operator, left, right)

    def boundary(self, value: str, kind: str, *, high: bool, precision: int | None) -> str:
        return values.boundary_sql(value, kind, high, precision)

    def reference_key(self, text: str, type_text: str, own_id: str, wanted: str | None) -> str:
        return values.reference_key_sql(text, type_text, own_id, wanted)

    # repeat

    def walk(self, expr: Repeat) -> str:
        """Breadth first by level, each node with its path of positions; sorted by it at the end.

        How often the elements occur in the text bounds the depth; few resources are deep, so the
        walk goes down a few levels first, and on only where it has not come to the end.
        """
        self.needs_text = True
        seeds = self.list_of(expr.seeds)
        one, place = self.fresh("e"), self.fresh("i")
        start = (
            f"list_transform({seeds}, lambda {one}, {place}: {{'path': [{place}], 'node': {one}}})"
        )
        depth = " + ".join(
            f"(length(_text) - length(replace(_text, {quoted(chr(34) + key + chr(34))}, ''))) "
            f"// {len(key) + 2}"
            for key in expr.keys
        )
        few = f"least({depth}, {_FEW_LEVELS})"
        walked = self.let(
            self._walked(f"[{start}]", few, "0", expr),
            lambda v: (
                f"case when len({v}[-1].path) > {_FEW_LEVELS} then "
                f"{self._walked(f'[{v}]', f'({depth}) - {_FEW_LEVELS}', str(_FEW_LEVELS), expr)} "
                f"else {v} end"
            ),
        )
        found = self.fresh("found")
        read = self.parse(f"{found}.node", self.shape(expr))
        return f"list_transform(list_sort({walked}), lambda {found}: {read})"

    def _walked(self, start: str, levels: str, above: str, expr: Repeat) -> str:
        """The nodes of `start` and those of so many levels below, the newest last."""
        reached, level, unused = self.fresh("reached"), self.fresh("level"), self.fresh("unused")
        parent, child, place = self.fresh("parent"), self.fresh("child"), self.fresh("i")
        self.names[expr.node] = self.parse(Name(f"{parent}.node"), self.shape(expr.node))
        children = self.list_of(expr.children)
        grown = (
            f"list_concat({reached}, flatten(list_transform("
            f"list_filter({reached}, lambda {parent}: len({parent}.path) = {level} - 1 + {above}), "
            f"lambda {parent}: list_transform({children}, lambda {child}, {place}: "
            f"{{'path': list_append({parent}.path, {place}), 'node': {child}}}))))"
        )
        return (
            f"list_reduce(list_resize({start}, {levels} + 1), "
            f"lambda {reached}, {unused}, {level}: {grown})"
        )
