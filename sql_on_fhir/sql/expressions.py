"""Logical plan -> one DuckDB SELECT.

How the statement is built:

* One `from_json` with an explicit struct reads everything a view needs, so each resource is
  parsed once, however many columns there are. The `random() >= 0` around it is always true: it
  keeps DuckDB from pushing filters below the projection, which would parse a second time.
* A forEach is an `unnest` in the select list, a unionAll a list of row structs that is unnested:
  no join, so rows stream and memory stays flat.
* A collection is a LIST without nulls (or NULL, which is empty); a single value is NULL if empty.
* Primitive text is read as VARCHAR; booleans and numbers as JSON, so that `"1"` is not a number.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb

from sql_on_fhir.definitions import kind_of
from sql_on_fhir.duckdb import values as boundaries
from sql_on_fhir.duckdb.values import quoted
from sql_on_fhir.errors import ViewDefinitionError
from sql_on_fhir.ir.expressions import (
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
    Logic,
    Map,
    Not,
    Nothing,
    Pick,
    Present,
    ReferenceKey,
    Repeat,
    RowCell,
    SetOperation,
    Single,
    Slice,
    Split,
    Test,
    Truth,
    Variable,
)
from sql_on_fhir.ir.rows import Cell, Iterate, IterateRows, Plan, Rows
from sql_on_fhir.ir.shape import Shape

_FEW_LEVELS = 5
CARDINALITY = "several values where one is allowed"
_SIMPLE = re.compile(r"[\w.\"]+(\[\d+\][\w.\"]*)*")
_SQL_TYPES = {"boolean": "boolean", "integer": "integer", "decimal": "double", "complex": "json"}
_INNER_TYPES = {**_SQL_TYPES, "integer": "bigint"}
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
_TOKENS = r'"((?:[^"\\]|\\.)*)"|(-?[0-9][0-9.eE+-]*)'


def hint_type(hint: str) -> str | None:
    """The DuckDB type that an `ansi/type` tag asks for; None where there is no such type."""
    match = _HINT.fullmatch(hint.strip())
    if match is None:
        return None
    if match["exact"]:
        return f"decimal{(match['digits'] or '(38, 9)').lower()}"
    plain = match["plain"].lower()
    return _HINT_NAMES.get(plain, plain)


def column_type(cell: Cell) -> str:
    """The DuckDB type of one value of a column."""
    hint = cell.definition.sql_type and hint_type(cell.definition.sql_type)
    return hint or _SQL_TYPES.get(kind_of(cell.type), "varchar")


@dataclass(frozen=True)
class Source:
    """What the statement reads: a relation as text, its resource column, columns to carry."""

    relation: str
    resource_column: str
    passthrough: tuple[str, ...]
    assume_type: bool


def write(plan: Plan, source: Source) -> str:
    """The statement: the view's columns in their order, then the passthrough columns."""
    writer = _Writer(plan)
    statement = writer.statement(source)
    if not writer.needs_exact_numbers:
        return statement
    # One path asks for the text of numbers, so they are parsed as text for all of them.
    return _Writer(plan, numbers_are_text=True).statement(source)


def identifier(name: str) -> str:
    """A quoted SQL name."""
    return '"' + name.replace('"', '""') + '"'


class _Writer:
    """Writes one plan. `names` holds the SQL text of each variable in scope."""

    def __init__(self, plan: Plan, *, numbers_are_text: bool = False) -> None:
        self.plan = plan
        self.numbers_are_text = numbers_are_text
        self.names: dict[Variable, str] = {plan.resource: "_resource"}
        self.places: dict[Variable, str] = {}
        self.counter = 0
        self.needs_text = False
        self.needs_exact_numbers = False
        self.label = ""
        self.firsts: dict[str, str] | None = None

    # the statement

    def statement(self, source: Source) -> str:
        filters = [self._filter(expr) for expr in self.plan.filters]
        steps = [self._step(step) for step in self.plan.steps]
        columns = []
        self.firsts = {}
        for cell in self.plan.cells:
            self.label = cell.definition.name
            columns.append(f"{self._output(cell)} as {identifier(cell.definition.name)}")
        carried = [identifier(name) for name in source.passthrough]
        ctes = [("parsed", self._parsed(source))]
        conditions = [] if source.assume_type else [self._has_type()]
        conditions += filters
        if conditions:
            where = "\n    and ".join(conditions)
            ctes.append(("matching", f"  select *\n  from parsed\n  where {where}"))
        for (name, sql), step in zip(steps, self.plan.steps, strict=True):
            item = self._column(step.item)
            body = f"  select\n    *,\n    unnest({sql}) as {item}\n  from {ctes[-1][0]}"
            ctes.append((name, body))
        if self.firsts:
            taken = ",\n".join(f"    {place} as {name}" for place, name in self.firsts.items())
            ctes.append(("firsts", f"  select\n    *,\n{taken}\n  from {ctes[-1][0]}"))
        with_ = ",\n\n".join(f"{name} as (\n{body}\n)" for name, body in ctes)
        selected = ",\n  ".join([*columns, *carried])
        return f"with {with_}\n\nselect\n  {selected}\nfrom {ctes[-1][0]}"

    @staticmethod
    def _column(item: Variable) -> str:
        return f"_{item.name}"

    def _has_type(self) -> str:
        return f"_resource.resourceType = {quoted(self.plan.resource_type)}"

    def _parsed(self, source: Source) -> str:
        text = f"cast(src.{identifier(source.resource_column)} as varchar)"
        document = text
        if self.needs_exact_numbers:
            document = (
                f"case when regexp_matches({text}, {quoted(_INEXACT)}) "
                f"then regexp_replace({text}, {quoted(_TOKENS)}, '\"\\1\\2\"', 'g') "
                f"else {text} end"
            )
        shape = self._struct(self._shape(self.plan.resource))
        lines = [
            f"    case when random() >= 0 then try(from_json({document}, {quoted(shape)})) end "
            "as _resource"
        ]
        if self.needs_text:
            lines.append(f"    {text} as _text")
        lines += [f"    src.{identifier(name)}" for name in source.passthrough]
        where = ""
        if not source.assume_type:
            # A cheap condition first, the exact one on the parsed resource.
            where = (
                f"\n  where contains({text}, {quoted(chr(34) + self.plan.resource_type + chr(34))})"
            )
        columns = ",\n".join(lines)
        return f"  select\n{columns}\n  from {source.relation} as src{where}"

    def _filter(self, expr: Expr) -> str:
        self.label = "where"
        return f"coalesce({self._condition(expr)}, false)"

    def _step(self, step: Iterate | IterateRows) -> tuple[str, str]:
        column = self._column(step.item)
        self.label = step.item.name
        if isinstance(step, IterateRows):
            items = self._concat([self._rows(branch) for branch in step.branches])
            self.names[step.item] = column
        else:
            items = self._list(step.over)
            self.names[step.item] = column
            if step.item in self.plan.indexed:
                one, place = self._fresh("e"), self._fresh("i")
                items = (
                    f"list_transform({items}, lambda {one}, {place}: "
                    f"{{'value': {one}, 'index': {place} - 1}})"
                )
                self.names[step.item] = f'{column}."value"'
                self.places[step.item] = f'coalesce({column}."index", 0)'
            if step.keep_empty:
                items = self._let(
                    items, lambda v: f"case when len({v}) > 0 then {v} else [null] end"
                )
        if step.blank is not None:
            items = f"case when {self._column(step.blank)} is null then [null] else {items} end"
        return step.item.name, items

    # output columns

    def _output(self, cell: Cell) -> str:
        """The value of a column in its SQL type."""
        value = cell.value
        if isinstance(value, RowCell):
            return f"{self.names[value.variable]}.{identifier(value.column)}"
        if isinstance(value, Present):
            inner = self._output(Cell(cell.definition, cell.type, value.base))
            if _follows(value.base, value.variable) and not cell.definition.collection:
                return inner
            return f"case when {self._column(value.variable)} is not null then {inner} end"
        type_ = column_type(cell)
        if isinstance(value, Nothing):
            return (
                f"cast([] as {type_}[])" if cell.definition.collection else f"cast(null as {type_})"
            )
        if not cell.definition.collection:
            return self._converted(value, cell, self._sql(value, exact=self._exact(cell, value)))
        items = self._list(value, exact=self._exact(cell, value))
        one = self._fresh("e")
        converted = self._converted(value, cell, one)
        if converted != one:
            items = f"list_transform({items}, lambda {one}: {converted})"
        return f"coalesce({items}, cast([] as {type_}[]))"

    @staticmethod
    def _exact(cell: Cell, value: Expr) -> bool:
        return value.kind == "decimal" and column_type(cell) not in ("double", "integer")

    def _converted(self, value: Expr, cell: Cell, sql: str) -> str:
        type_ = column_type(cell)
        if self._exact(cell, value):
            return sql if type_ == "varchar" else f"try_cast({sql} as {type_})"
        kind = value.kind
        if kind == "decimal" and type_ == "integer":
            return self._let(
                sql, lambda v: f"case when {v} = trunc({v}) then try_cast({v} as integer) end"
            )
        if _INNER_TYPES.get(kind, "varchar") == type_ and kind != "complex":
            return sql
        if type_ in ("double", "float", "real"):
            # The texts NaN and Infinity are no numbers, and JSON cannot say them.
            return self._let(
                f"try_cast({sql} as {type_})", lambda v: f"case when isfinite({v}) then {v} end"
            )
        return f"try_cast({sql} as {type_})"

    # rows inside a row

    def _rows(self, rows: Rows) -> str:
        if rows.iterate is None:
            return self._product(rows)
        step = rows.iterate
        item, place = self._fresh("item"), self._fresh("i")
        items = self._list(step.over)
        self.names[step.item] = item
        self.places[step.item] = f"({place} - 1)"
        parameters = f"{item}, {place}" if step.item in self.plan.indexed else item
        made = f"flatten(list_transform({{items}}, lambda {parameters}: {self._product(rows)}))"
        if not step.keep_empty:
            return made.replace("{items}", items, 1)
        nulls = [(cells[0], self._blank(cells)) for cells in rows.columns()]
        blank = f"[{self._struct_of(nulls)}]"
        return self._let(
            items,
            lambda v: (
                f"case when len({v}) > 0 then {made.replace('{items}', v, 1)} else {blank} end"
            ),
        )

    @staticmethod
    def _blank(cells: Sequence[Cell]) -> str:
        """The value in a blank row: null, or 0 for the %rowIndex of a forEachOrNull."""
        cell = cells[0]
        if cell.zero_if_blank and len(cells) == 1:
            return f"cast(0 as {column_type(cell)})"
        return f"cast(null as {column_type(cell)}{'[]' if cell.definition.collection else ''})"

    @staticmethod
    def _struct_of(cells: Sequence[tuple[Cell, str]]) -> str:
        inside = ", ".join(f"{quoted(cell.definition.name)}: {sql}" for cell, sql in cells)
        return f"{{{inside}}}"

    def _product(self, rows: Rows) -> str:
        own = []
        for cell in rows.cells:
            self.label = cell.definition.name
            own.append((cell, f"cast({self._output(cell)} as {self._full_type(cell)})"))
        parts = [(part.all_cells(), self._rows(part)) for part in rows.products]
        parts += [
            (union[0].all_cells(), self._concat([self._rows(branch) for branch in union]))
            for union in rows.unions
        ]
        if not parts:
            return f"[{self._struct_of(own)}]"
        if len(parts) == 1 and not own:
            return parts[0][1]
        cells = list(own)
        opened = []
        for inner_cells, sql in parts:
            one = self._fresh("r")
            opened.append((one, sql))
            cells += [(c, f"{one}.{identifier(c.definition.name)}") for c in inner_cells]
        made = f"[{self._struct_of(cells)}]"
        for one, sql in reversed(opened):
            made = f"flatten(list_transform({sql}, lambda {one}: {made}))"
        return made

    @staticmethod
    def _full_type(cell: Cell) -> str:
        return column_type(cell) + ("[]" if cell.definition.collection else "")

    @staticmethod
    def _concat(lists: Sequence[str]) -> str:
        return lists[0] if len(lists) == 1 else f"list_concat({', '.join(lists)})"

    # the struct that from_json reads

    def _shape(self, expr: Expr) -> Shape:
        if expr.shape is None:
            raise AssertionError(f"{expr.type} has no shape")
        return expr.shape

    def _struct(self, shape: Shape) -> str:
        parts = []
        for key in sorted(shape.fields):
            entry = shape.fields[key]
            if entry.leaf is not None:
                inner = '"VARCHAR"' if entry.leaf == "text" else '"JSON"'
            else:
                inner = self._read(entry.shape)
            parts.append(f'"{key}":{f"[{inner}]" if entry.many else inner}')
        if not parts:
            # Only whether it is there matters: any struct says so, and JSON text costs more.
            parts = ['"id":"VARCHAR"']
        return "{" + ",".join(parts) + "}"

    def _read(self, shape: Shape | None) -> str:
        return self._struct(shape) if shape is not None and shape.is_struct else '"JSON"'

    def _from_json(self, sql: str, shape: Shape) -> str:
        return f"from_json({sql}, {quoted(self._struct(shape))})" if shape.is_struct else sql

    # helpers for expressions

    def _fresh(self, stem: str) -> str:
        self.counter += 1
        return f"{stem}_{self.counter}"

    def _let(self, sql: str, use: Callable[[str], str]) -> str:
        """`use` of a value that is computed once, also where it is needed several times."""
        if _SIMPLE.fullmatch(sql):
            return use(sql)
        name = self._fresh("v")
        return f"list_transform([{sql}], lambda {name}: {use(name)})[1]"

    def _present(self, items: str) -> str:
        one = self._fresh("e")
        return f"list_filter({items}, lambda {one}: {one} is not null)"

    def _list(self, expr: Expr, *, exact: bool = False) -> str:
        """Any expression as a list."""
        sql = self._sql(expr, exact=exact)
        if expr.many:
            return sql
        if isinstance(expr, Nothing):
            return "cast([] as varchar[])"
        if isinstance(expr, Constant):
            return f"[{sql}]"
        return self._let(sql, lambda v: f"case when {v} is not null then [{v}] end")

    def _text_leaf(self, sql: str) -> str:
        """Primitive text; an object or list in its place gives null.

        from_json gives those as JSON text, so text that starts as JSON does is looked up in the
        resource: a string stands there in quotes, escaped as to_json does it, or, once json() has
        read it, whatever escapes the source chose. (Comparing with '[' and '{' is three times
        faster than LIKE or starts_with, and this is done for every value.)
        """
        self.needs_text = True
        return self._let(
            sql,
            lambda v: (
                f"case when {v} >= '[' and ({v} < '\\' or {v} >= '{{') and json_valid({v}) "
                f"and not contains(_text, to_json({v})) "
                f"and not contains(cast(json(_text) as varchar), to_json({v})) "
                f"then null else {v} end"
            ),
        )

    def _decoded(self, type_: str, sql: str, *, exact: bool, plain: bool) -> str:
        """A primitive of the parsed struct as a SQL value."""
        kind = kind_of(type_)
        if kind == "boolean":
            return f"case cast({sql} as varchar) when 'true' then true when 'false' then false end"
        if kind == "integer":
            text = self._number_text(sql)
            return self._let(
                text,
                lambda v: (
                    f"case when regexp_full_match({v}, '-?[0-9]+') then try_cast({v} as bigint) end"
                ),
            )
        if kind == "decimal":
            self.needs_exact_numbers = self.needs_exact_numbers or exact
            text = self._number_text(sql)
            if not exact:
                return _within_range(f"try_cast({text} as double)")
            return self._let(
                text,
                lambda v: f"case when isfinite(try_cast({v} as double)) then {v} end",
            )
        if kind == "complex":
            return sql
        return sql if plain else self._text_leaf(sql)

    def _number_text(self, sql: str) -> str:
        text = f"cast({sql} as varchar)"
        return f"trim({text}, '\"')" if self.numbers_are_text else text

    # expressions

    def _sql(self, expr: Expr, *, exact: bool = False, plain: bool = False) -> str:
        """SQL of an expression: a LIST if it has many values, else one value.

        With `exact`, decimals are text as written in the resource; with `plain`, text is not
        checked for objects in its place (where it is compared with a constant).
        """
        if isinstance(expr, Constant):
            return self._constant(expr, exact=exact)
        if isinstance(expr, Nothing):
            type_ = _INNER_TYPES.get(expr.kind, "varchar")
            return f"cast([] as {type_}[])" if expr.many else f"cast(null as {type_})"
        if isinstance(expr, Variable):
            return self.names[expr]
        if isinstance(expr, Field):
            return self._field(expr, exact=exact, plain=plain)
        written = self._kept(expr, exact=exact)
        if written is None:
            written = _WRITERS[type(expr)](self, expr)
            if exact and expr.kind == "decimal":
                written = f"cast({written} as varchar)"
        return written

    def _constant(self, expr: Constant, *, exact: bool) -> str:
        if isinstance(expr.value, bool):
            return "true" if expr.value else "false"
        if expr.kind == "integer":
            return f"({expr.value})" if expr.value.startswith("-") else expr.value
        if expr.kind == "decimal" and not exact:
            return f"cast({quoted(expr.value)} as double)"
        return quoted(expr.value)

    def _field(self, expr: Field, *, exact: bool, plain: bool) -> str:
        base = self._sql(expr.base)

        def read(one: str) -> str:
            shape = self._shape(expr.base)
            owner = one if shape.is_struct else f"from_json({one}, {quoted(self._struct(shape))})"
            return f"{owner}.{_key(expr.key)}"

        def decoded(one: str) -> str:
            return self._decoded(expr.type, one, exact=exact, plain=plain)

        if not expr.base.many and not expr.repeats:
            return decoded(read(base))
        one = self._fresh("e")
        if not expr.base.many:
            items = read(base)
        elif expr.repeats:
            items = f"flatten(list_transform({base}, lambda {one}: {read(one)}))"
        else:
            return self._present(f"list_transform({base}, lambda {one}: {decoded(read(one))})")
        inner = self._fresh("e")
        body = decoded(inner)
        if body != inner:
            items = f"list_transform({items}, lambda {inner}: {body})"
        has_nulls = expr.leaf is not None or expr.key.startswith("_")
        return self._present(items) if has_nulls else items

    def _kept(self, expr: Expr, *, exact: bool) -> str | None:
        """Expressions that hand on the value of their base unchanged."""
        if isinstance(expr, Pick):
            return self._first(expr, exact=exact) or self._pick(
                expr, self._sql(expr.base, exact=exact)
            )
        if isinstance(expr, Guarded):
            criterion = self._condition(expr.criterion)
            return f"case when {criterion} then {self._sql(expr.base, exact=exact)} end"
        if isinstance(expr, Filter):
            parameters, criterion = self._lambda(expr.item, expr.criterion, criterion=True)
            base = self._sql(expr.base, exact=exact)
            return f"list_filter({base}, lambda {parameters}: {criterion})"
        if isinstance(expr, Single):
            return self._single(expr, exact=exact)
        if isinstance(expr, Present):
            inner = self._sql(expr.base, exact=exact)
            return f"case when {self._column(expr.variable)} is not null then {inner} end"
        if isinstance(expr, Choose):
            then, otherwise = (
                self._list(e, exact=exact) if expr.many else self._sql(e, exact=exact)
                for e in (expr.then, expr.otherwise)
            )
            return f"case when {self._sql(expr.criterion)} then {then} else {otherwise} end"
        if isinstance(expr, Coalesce):
            return self._coalesce(expr, exact=exact)
        return None

    def _coalesce(self, expr: Coalesce, *, exact: bool) -> str:
        if not expr.many:
            parts = ", ".join(self._sql(part, exact=exact) for part in expr.parts)
            return f"coalesce({parts})"
        return self._concat([self._list(part, exact=exact) for part in expr.parts])

    def _lambda(self, item: Variable, body: Expr, *, criterion: bool = False) -> tuple[str, str]:
        """Parameters and body of a lambda over the items of a list."""
        name, place = self._fresh("x"), self._fresh("i")
        self.names[item] = name
        self.places[item] = f"({place} - 1)"
        sql = self._condition(body) if body.type == "boolean" and criterion else self._sql(body)
        uses_place = re.search(rf"\b{place}\b", sql) is not None
        return (f"{name}, {place}" if uses_place else name), sql

    def _first(self, expr: Pick, *, exact: bool) -> str | None:
        """`first()` after several repeating elements, without building their lists.

        The first item of each list on the way is the first of all, if it is there. If it is not,
        a further one can only be there where one of these lists has more than one item.
        """
        field = expr.base
        if expr.at != "first" or not isinstance(field, Field) or not field.base.many:
            return None
        lists: list[str] = []
        place = self._first_place(field, lists)
        if place is None:
            return None
        first = self._decoded(field.type, place, exact=exact, plain=False)
        further = " or ".join(f"len({items}) > 1" for items in lists)
        picked = self._pick(expr, self._sql(field, exact=exact))
        return f"coalesce({first}, case when {further} then {picked} end)"

    def _first_place(self, expr: Expr, lists: list[str]) -> str | None:
        """The first item of each list on a path of elements; notes these lists."""
        if isinstance(expr, Variable):
            return self.names[expr]
        if not isinstance(expr, Field) or not self._shape(expr.base).is_struct:
            return None
        owner = self._first_place(expr.base, lists)
        if owner is None:
            return None
        place = f"{owner}.{_key(expr.key)}"
        if not expr.repeats:
            return place
        lists.append(place)
        return self._first_of(expr, f"{place}[1]") if expr.leaf is None else f"{place}[1]"

    def _first_of(self, expr: Field, place: str) -> str:
        """The first element of a list, taken once for all columns that look into it."""
        root: Expr = expr
        while isinstance(root, Field):
            root = root.base
        is_row = isinstance(root, Variable) and root.is_row
        if self.firsts is None or not is_row or not self._shape(expr).is_struct:
            return place
        full = place
        for known, name in self.firsts.items():
            full = full.replace(f"{name}.", f"{known}.", 1) if full.startswith(f"{name}.") else full
        if full not in self.firsts:
            words = re.sub(r"[^A-Za-z0-9]+", "_", full.removeprefix("_resource").replace("[1]", ""))
            self.firsts[full] = f"_first{words}"
        return self.firsts[full]

    def _pick(self, expr: Pick, base: str) -> str:
        if expr.at == "first":
            field = expr.base
            if isinstance(field, Field) and field.leaf is None and _SIMPLE.fullmatch(base):
                return self._first_of(field, f"{base}[1]")
            return f"{base}[1]"
        if expr.at == "last":
            return f"{base}[-1]"
        if isinstance(expr.at, Constant) and str(expr.at.value).isdigit():
            return f"{base}[{int(str(expr.at.value)) + 1}]"
        at = self._sql(expr.at) if isinstance(expr.at, Expr) else "0"
        return self._let(at, lambda v: f"case when {v} >= 0 then {base}[{v} + 1] end")

    def _single(self, expr: Single, *, exact: bool) -> str:
        """ViewDefinition.select.column.collection: several values are an error."""
        where = f"view {self.plan.view}, column {self.label}, {expr.label}"
        resource = f"{self.plan.resource_type}/"
        key = "coalesce(_resource.id, '(without id)')"
        return self._let(
            self._sql(expr.base, exact=exact),
            lambda v: (
                f"case when len({v}) > 1 then error({quoted(f'{CARDINALITY}: {where}, ')} || "
                f"len({v}) || {quoted(f' values in {resource}')} || {key}) else {v}[1] end"
            ),
        )

    def _as_resource(self, expr: AsResource) -> str:
        base, shape = self._sql(expr.base), self._shape(expr)

        def is_wanted(one: str) -> str:
            wanted = quoted(expr.resource or "")
            return f"json_extract_string({one}, '$.resourceType') = {wanted}"

        if not expr.many:
            read = self._from_json(base, shape)
            return f"case when {is_wanted(base)} then {read} end" if expr.resource else read
        if expr.resource:
            one = self._fresh("e")
            base = f"list_filter({base}, lambda {one}: {is_wanted(one)})"
        one = self._fresh("e")
        return f"list_transform({base}, lambda {one}: {self._from_json(one, shape)})"

    def _index(self, expr: IndexOf) -> str:
        return self.places[expr.variable]

    def _slice(self, expr: Slice) -> str:
        base = self._sql(expr.base)
        if expr.function == "tail" or expr.number is None:
            return f"{base}[2:]"
        number = self._sql(expr.number)
        if expr.function == "skip":
            return f"{base}[greatest({number}, 0) + 1:]"
        return f"{base}[1:greatest({number}, 0)]"

    def _map(self, expr: Map) -> str:
        base = self._sql(expr.base)
        parameters, body = self._lambda(expr.item, expr.body)
        mapped = f"list_transform({base}, lambda {parameters}: {body})"
        return self._present(f"flatten({mapped})" if expr.body.many else mapped)

    def _exists(self, expr: Exists) -> str:
        base = self._sql(expr.base)
        if expr.base.many:
            return f"coalesce(len({base}) > 0, false)"
        return f"({base} is not null)"

    def _count(self, expr: Count) -> str:
        base = self._sql(expr.base)
        if expr.base.many:
            return f"coalesce(len({base}), 0)"
        return f"(case when {base} is not null then 1 else 0 end)"

    def _test(self, expr: Test) -> str:
        holds = f"coalesce({self._condition(expr.base)}, false)"
        return holds if expr.wanted else f"(not {holds})"

    def _not(self, expr: Not) -> str:
        return f"(not {self._sql(expr.base)})"

    def _logic(self, expr: Logic) -> str:
        left, right = self._sql(expr.left), self._sql(expr.right)
        if expr.operator == "xor":
            return f"({left} <> {right})"
        if expr.operator == "implies":
            return f"(not {left} or {right})"
        return f"({left} {expr.operator} {right})"

    def _truth(self, expr: Truth) -> str:
        return f"(case when {self._sql(expr.base)} is not null then true end)"

    def _condition(self, expr: Expr) -> str:
        """A boolean of which only matters whether it is true: false and empty are one."""
        if isinstance(expr, Logic) and expr.operator in ("and", "or"):
            left, right = self._condition(expr.left), self._condition(expr.right)
            return f"({left} {expr.operator} {right})"
        if isinstance(expr, Equal):
            return self._equal(expr, plain=_is_plain(expr.left, expr.right))
        if isinstance(expr, Exists) and expr.base.many:
            return f"len({self._sql(expr.base)}) > 0"
        return self._sql(expr)

    def _equal(self, expr: Equal, *, plain: bool = False) -> str:
        left, right = expr.left, expr.right
        if left.many and right.many:
            return self._equal_lists(expr)
        if left.many or right.many:
            many, one = (left, right) if left.many else (right, left)
            other = self._sql(one)
            return self._let(
                self._sql(many),
                lambda v: (
                    f"case when len({v}) > 1 then ({other} is not null and false) "
                    f"else {self._equal_values(f'{v}[1]', other, expr)} end"
                ),
            )
        return self._equal_values(self._sql(left, plain=plain), self._sql(right, plain=plain), expr)

    def _equal_lists(self, expr: Equal) -> str:
        left, right = self._sql(expr.left), self._sql(expr.right)
        if expr.equivalent:
            return f"(list_sort(coalesce({left}, [])) = list_sort(coalesce({right}, [])))"
        return self._let(
            left,
            lambda a: self._let(
                right, lambda b: f"case when len({a}) > 0 and len({b}) > 0 then {a} = {b} end"
            ),
        )

    def _equal_values(self, left: str, right: str, expr: Equal) -> str:
        kinds = {expr.left.kind, expr.right.kind}
        if expr.equivalent:
            if kinds == {"text"}:
                folded = [f"lower(regexp_replace({s}, '\\s+', ' ', 'g'))" for s in (left, right)]
                return f"({folded[0]} is not distinct from {folded[1]})"
            if len(kinds) > 1 and not kinds <= {"integer", "decimal"}:
                return f"({left} is null and {right} is null)"
            return f"({left} is not distinct from {right})"
        if kinds <= {"date", "dateTime"} or kinds == {"time"}:
            return self._dates("=", left, right, expr.left, expr.right)
        if len(kinds) == 1 or kinds <= {"integer", "decimal"}:
            return f"({left} = {right})"
        return f"(case when {left} is not null and {right} is not null then false end)"

    def _compare(self, expr: Compare) -> str:
        left, right = self._sql(expr.left), self._sql(expr.right)
        if expr.left.kind in ("date", "dateTime", "time"):
            return self._dates(expr.operator, left, right, expr.left, expr.right)
        return f"({left} {expr.operator} {right})"

    def _dates(self, operator: str, left: str, right: str, one: Expr, other: Expr) -> str:
        keys = [self._sort_key(left, one), self._sort_key(right, other)]
        return self._let(
            keys[0],
            lambda a: self._let(keys[1], lambda b: boundaries.compare_sql(operator, a, b)),
        )

    def _sort_key(self, sql: str, expr: Expr) -> str:
        if isinstance(expr, Constant):
            return quoted(boundaries.sort_key(str(expr.value), expr.kind))
        return self._let(sql, lambda v: boundaries.sort_key_sql(v, expr.kind))

    def _arithmetic(self, expr: Arithmetic) -> str:
        left, right = self._sql(expr.left), self._sql(expr.right)
        operator = expr.operator
        if operator == "&":
            return f"(coalesce({left}, '') || coalesce({right}, ''))"
        if expr.type == "string":
            return f"({left} || {right})"
        if {expr.left.kind, expr.right.kind} == {"integer"} and operator != "/":
            sides = f"cast({left} as hugeint)", f"cast({right} as hugeint)"
            if operator == "div":
                return f"try_cast({sides[0]} // nullif({sides[1]}, 0) as bigint)"
            if operator == "mod":
                return f"try_cast({sides[0]} % nullif({sides[1]}, 0) as bigint)"
            return f"try_cast({sides[0]} {operator} {sides[1]} as bigint)"
        if operator == "/":
            return _finite(f"cast({left} as double) / nullif(cast({right} as double), 0)")
        if operator in ("div", "mod"):
            sides = _exact_number(left), f"nullif({_exact_number(right)}, 0)"
            rest = f"{sides[0]} % {sides[1]}"
            if operator == "mod":
                return f"cast({rest} as double)"
            return f"try_cast(round(({sides[0]} - {rest}) / {sides[1]}) as bigint)"
        if operator == "*":
            return _finite(f"cast({left} as double) * cast({right} as double)")
        # Binary fractions must not show: 0.1 + 0.2 is 0.3.
        return _finite(f"round(cast({left} as double) {operator} cast({right} as double), 10)")

    def _combine(self, expr: Combine) -> str:
        type_ = _INNER_TYPES.get(expr.kind, "varchar")
        lists = []
        for part in expr.parts:
            items = self._list(part)
            if expr.kind == "decimal" and part.kind == "integer":
                items = f"cast({items} as {type_}[])"
            lists.append(items)
        combined = self._concat(lists)
        return self._distinct_list(combined) if expr.distinct else combined

    def _distinct_list(self, items: str) -> str:
        one, place = self._fresh("e"), self._fresh("i")
        return self._let(
            items,
            lambda v: (
                f"list_filter({v}, lambda {one}, {place}: list_position({v}, {one}) = {place})"
            ),
        )

    def _distinct(self, expr: Distinct) -> str:
        base = self._sql(expr.base)
        return self._distinct_list(base) if expr.base.many else base

    def _includes(self, expr: Includes) -> str:
        item = self._sql(expr.item)
        items = self._list(expr.collection)
        return self._let(
            item,
            lambda v: (
                f"case when {v} is not null then coalesce(list_contains({items}, {v}), false) end"
            ),
        )

    def _set(self, expr: SetOperation) -> str:
        left, right = self._list(expr.left), self._list(expr.right)
        if expr.function == "supersetOf":
            left, right = right, left
        one = self._fresh("e")
        inside = f"coalesce(list_contains({right}, {one}), false)"
        if expr.function == "intersect":
            return self._distinct_list(f"list_filter({left}, lambda {one}: {inside})")
        outside = f"list_filter({left}, lambda {one}: not {inside})"
        if expr.function == "exclude":
            return outside
        return f"(coalesce(len({outside}), 0) = 0)"

    def _boundary(self, expr: Boundary) -> str:
        base = self._sql(expr.base, exact=True)
        if expr.base.kind == "integer":
            base = f"cast({base} as varchar)"
        return self._let(
            base,
            lambda v: boundaries.boundary_sql(v, expr.base.kind, expr.high, expr.precision),
        )

    def _join(self, expr: Join) -> str:
        items, separator = self._list(expr.base, exact=True), self._sql(expr.separator)
        return f"list_aggregate({items}, 'string_agg', {separator})"

    def _split(self, expr: Split) -> str:
        return f"string_split({self._sql(expr.base)}, {self._sql(expr.separator)})"

    def _reference_key(self, expr: ReferenceKey) -> str:
        own = self._sql(expr.resource_id)
        text, type_ = self._sql(expr.reference), self._sql(expr.type_text)
        return self._let(text, lambda v: boundaries.reference_key_sql(v, type_, own, expr.wanted))

    def _call(self, expr: Call) -> str:
        base = self._sql(expr.base, exact=expr.function == "toString")
        arguments = [self._sql(argument) for argument in expr.arguments]
        template = _CALLS[expr.function]
        if expr.function in _WITH_PATTERN:
            if isinstance(expr.arguments[0], Constant):
                self._check_pattern(str(expr.arguments[0].value))
            else:
                template = f"try({template})"
        if "{0}" in template and template.count("{0}") > 1:
            return self._let(base, lambda v: template.format(v, *arguments, *["null"] * 2))
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

    def _repeat(self, expr: Repeat) -> str:
        """Breadth first by level, each node with its path of positions; sorted by it at the end.

        How often the elements occur in the text bounds the depth; few resources are deep, so the
        walk goes down a few levels first, and on only where it has not come to the end.
        """
        self.needs_text = True
        seeds = self._list(expr.seeds)
        one, place = self._fresh("e"), self._fresh("i")
        start = (
            f"list_transform({seeds}, lambda {one}, {place}: {{'path': [{place}], 'node': {one}}})"
        )
        depth = " + ".join(
            f"(length(_text) - length(replace(_text, {quoted(chr(34) + key + chr(34))}, ''))) "
            f"// {len(key) + 2}"
            for key in expr.keys
        )
        few = f"least({depth}, {_FEW_LEVELS})"
        walked = self._let(
            self._walked(f"[{start}]", few, "0", expr),
            lambda v: (
                f"case when len({v}[-1].path) > {_FEW_LEVELS} then "
                f"{self._walked(f'[{v}]', f'({depth}) - {_FEW_LEVELS}', str(_FEW_LEVELS), expr)} "
                f"else {v} end"
            ),
        )
        found = self._fresh("found")
        read = self._from_json(f"{found}.node", self._shape(expr))
        return f"list_transform(list_sort({walked}), lambda {found}: {read})"

    def _walked(self, start: str, levels: str, above: str, expr: Repeat) -> str:
        """The nodes of `start` and those of so many levels below, the newest last."""
        reached, level, unused = self._fresh("reached"), self._fresh("level"), self._fresh("unused")
        parent, child, place = self._fresh("parent"), self._fresh("child"), self._fresh("i")
        self.names[expr.node] = self._from_json(f"{parent}.node", self._shape(expr.node))
        children = self._list(expr.children)
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

    def _row_cell(self, expr: RowCell) -> str:
        return f"{self.names[expr.variable]}.{identifier(expr.column)}"


def _within_range(sql: str) -> str:
    """A double; empty where the number is too large for one."""
    return f"nullif(nullif({sql}, 'infinity'), '-infinity')"


def _exact_number(sql: str) -> str:
    """A double as the decimal that it stands for; FHIRPath's has 8 places at most (N1, Decimal)."""
    return f"try_cast({sql} as decimal(38, 10))"


def _finite(sql: str) -> str:
    """A double with 15 digits, which are those that it surely has; empty where there is none.

    FHIRPath has neither infinity nor NaN, and 1.1 * 1.1 is 1.21.
    """
    return (
        f"list_transform([{sql}], lambda n: "
        "case when isfinite(n) then cast(printf('%.15g', n) as double) end)[1]"
    )


def _key(key: str) -> str:
    return key if key.isidentifier() else identifier(key)


def _is_plain(left: Expr, right: Expr) -> bool:
    """Text beside a constant: an object in the text's place cannot equal it."""
    constants = [e for e in (left, right) if isinstance(e, Constant)]
    return bool(constants) and all(str(e.value)[:1] not in ("{", "[") for e in constants)


def _follows(expr: Expr, item: Variable) -> bool:
    """True where the value is null whenever the item is."""
    while isinstance(expr, Field | Pick | Single | Boundary):
        expr = expr.base
    return expr is item


_WITH_PATTERN = ("matches", "matchesFull", "replaceMatches")
_CALLS = {
    "negate": "(- {0})",
    "toString": "cast({0} as varchar)",
    "toInteger": "case when regexp_full_match(cast({0} as varchar), '[+-]?[0-9]+|true|false') "
    "then coalesce(try_cast({0} as bigint), cast(try_cast({0} as boolean) as bigint)) end",
    "toDecimal": "case when regexp_full_match(cast({0} as varchar), "
    r"'[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false') "
    "then coalesce("
    + _within_range("try_cast({0} as double)")
    + ", cast(try_cast({0} as boolean) as double)) end",
    "toBoolean": "case when lower(cast({0} as varchar)) in "
    "('true', 't', 'yes', 'y', '1', '1.0') then true "
    "when lower(cast({0} as varchar)) in ('false', 'f', 'no', 'n', '0', '0.0') then false end",
    "toDate": r"nullif(regexp_extract({0}, '^(\d{{4}}(-\d\d(-\d\d)?)?)(T.*)?$', 1), '')",
    "toDateTime": r"nullif(regexp_extract({0}, '^\d{{4}}(-\d\d(-\d\d(T.*)?)?)?$'), '')",
    "toTime": r"nullif(regexp_extract({0}, '^\d\d(:\d\d(:\d\d(\.\d+)?)?)?$'), '')",
    "startsWith": "starts_with({0}, {1})",
    "endsWith": "ends_with({0}, {1})",
    "contains": "contains({0}, {1})",
    "matches": "regexp_matches({0}, {1}, 's')",
    "matchesFull": "regexp_full_match({0}, {1}, 's')",
    # An empty pattern is found before and after each character.
    "replace": "case when {1} = '' then regexp_replace({0}, '', replace({2}, '\\', '\\\\'), 'gs') "
    "else replace({0}, {1}, {2}) end",
    # $1 is \\1 in DuckDB, and a backslash stands for itself.
    "replaceMatches": "regexp_replace({0}, {1}, regexp_replace(replace({2}, '\\', '\\\\'), "
    r"'\$([0-9])', '\\\1', 'g'), 'gs')",
    "indexOf": "(strpos({0}, {1}) - 1)",
    "substring": "case when {1} >= 0 and {1} < length({0}) "
    "then substr({0}, {1} + 1, coalesce({2}, length({0}))) end",
    "length": "length({0})",
    "upper": "upper({0})",
    "lower": "lower({0})",
    "trim": "trim({0})",
    "abs": "abs({0})",
    "ceiling": "try_cast(ceil({0}) as bigint)",
    "floor": "try_cast(floor({0}) as bigint)",
    "truncate": "try_cast(trunc({0}) as bigint)",
    "round": "cast(round("
    + _exact_number("{0}")
    + ", cast(coalesce({1}, 0) as integer)) as double)",
    "sqrt": _finite("case when {0} >= 0 then sqrt({0}) end"),
    "exp": _finite("exp({0})"),
    "ln": _finite("case when {0} > 0 then ln({0}) end"),
    "log": _finite("case when {0} > 0 and {1} > 0 then ln({0}) / nullif(ln({1}), 0) end"),
    "power": _finite("pow({0}, {1})"),
}
_WRITERS: dict[type[Expr], Callable[..., str]] = {
    AsResource: _Writer._as_resource,
    IndexOf: _Writer._index,
    Slice: _Writer._slice,
    Map: _Writer._map,
    Exists: _Writer._exists,
    Count: _Writer._count,
    Test: _Writer._test,
    Not: _Writer._not,
    Logic: _Writer._logic,
    Truth: _Writer._truth,
    Equal: _Writer._equal,
    Compare: _Writer._compare,
    Arithmetic: _Writer._arithmetic,
    Combine: _Writer._combine,
    Distinct: _Writer._distinct,
    Includes: _Writer._includes,
    SetOperation: _Writer._set,
    Boundary: _Writer._boundary,
    Join: _Writer._join,
    Split: _Writer._split,
    ReferenceKey: _Writer._reference_key,
    Call: _Writer._call,
    Repeat: _Writer._repeat,
    RowCell: _Writer._row_cell,
}
