"""Expressions of a plan -> SQL, in the words of a dialect."""

from collections.abc import Callable, Mapping
from typing import ClassVar

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
from sql_on_fhir.sql.dialect import CARDINALITY
from sql_on_fhir.sql.equality import Equality


class Expressions(Equality):
    """Writes the expressions of one plan."""

    def sql(self, expr: Expr, *, exact: bool = False, plain: bool = False) -> str:
        """SQL of an expression: a list if it has many values, else one value.

        `exact` and `plain` are those of `decoded`.
        """
        if isinstance(expr, Constant):
            return self._constant(expr, exact=exact)
        if isinstance(expr, Nothing):
            type_ = self.inner_type(expr.kind)
            return self.empty(type_) if expr.many else f"cast(null as {type_})"
        if isinstance(expr, Variable):
            return self.names[expr]
        if isinstance(expr, Field):
            return self._field(expr, exact=exact, plain=plain)
        keeps = self._KEEPS.get(type(expr))
        if keeps is not None:
            return keeps(self, expr, exact)
        written = self._WRITES[type(expr)](self, expr)
        if exact and expr.kind == "decimal":
            written = f"cast({written} as {self.text_type})"
        return written

    def list_of(self, expr: Expr, *, exact: bool = False) -> str:
        sql = self.sql(expr, exact=exact)
        if expr.many:
            return sql
        if isinstance(expr, Nothing):
            return self.empty(self.text_type)
        if isinstance(expr, Constant):
            return self.array(sql)
        return self.let(sql, lambda v: f"case when {v} is not null then {self.array(v)} end")

    def condition(self, expr: Expr) -> str:
        """A boolean of which only matters whether it is true: false and empty are one."""
        if isinstance(expr, Logic) and expr.operator in ("and", "or"):
            left, right = self.condition(expr.left), self.condition(expr.right)
            return f"({left} {expr.operator} {right})"
        if isinstance(expr, Equal):
            return self._equal(expr, plain=_is_plain(expr.left, expr.right))
        if isinstance(expr, Exists) and expr.base.many:
            return f"{self.length(self.sql(expr.base))} > 0"
        return self.sql(expr)

    def _guarded(self, expr: Guarded, exact: bool) -> str:
        criterion = self.condition(expr.criterion)
        return f"case when {criterion} then {self.sql(expr.base, exact=exact)} end"

    def _filter(self, expr: Filter, exact: bool) -> str:
        parameters, criterion = self._lambda(expr.item, expr.criterion, criterion=True)
        return self.keep(self.sql(expr.base, exact=exact), parameters, criterion)

    def _lambda(
        self, item: Variable, body: Expr, *, criterion: bool = False
    ) -> tuple[list[str], str]:
        """Parameters and body of a lambda over the items of a list."""
        name, place = self.fresh("x"), self.fresh("i")
        self.names[item] = name
        self.places[item] = f"({place} - 1)"
        sql = self.condition(body) if body.type == "boolean" and criterion else self.sql(body)
        return ([name, place] if item in self.placed else [name]), sql

    def _single(self, expr: Single, exact: bool) -> str:
        """ViewDefinition.select.column.collection: several values are an error."""
        where = f"view {self.plan.view}, column {self.label}, {expr.label}"
        resource = f"{self.plan.resource_type}/"
        key = "coalesce(_resource.id, '(without id)')"

        def only(items: str) -> str:
            count = self.length(items)
            failure = self.failure(
                f"{CARDINALITY}: {where}, ", count, f" values in {resource}", key
            )
            return f"case when {count} > 1 then {failure} else {self.item(items, 1)} end"

        return self.let(self.sql(expr.base, exact=exact), only)

    def _present_item(self, expr: Present, exact: bool) -> str:
        inner = self.sql(expr.base, exact=exact)
        return f"case when {self.column(expr.variable)} is not null then {inner} end"

    @staticmethod
    def column(item: Variable) -> str:
        """The column that holds the item of a step."""
        return f"_{item.name}"

    def _choose(self, expr: Choose, exact: bool) -> str:
        then, otherwise = (
            self.list_of(e, exact=exact) if expr.many else self.sql(e, exact=exact)
            for e in (expr.then, expr.otherwise)
        )
        return f"case when {self.sql(expr.criterion)} then {then} else {otherwise} end"

    def _coalesce(self, expr: Coalesce, exact: bool) -> str:
        if not expr.many:
            parts = ", ".join(self.sql(part, exact=exact) for part in expr.parts)
            return f"coalesce({parts})"
        return self.concatenate([self.list_of(part, exact=exact) for part in expr.parts])

    def _slice(self, expr: Slice) -> str:
        base = self.sql(expr.base)
        if expr.function == "tail" or expr.number is None:
            return self.part(base, start="2")
        number = f"greatest({self.sql(expr.number)}, 0)"
        if expr.function == "skip":
            return self.part(base, start=f"{number} + 1")
        return self.part(base, start="1", end=number)

    def _map(self, expr: Map) -> str:
        base = self.sql(expr.base)
        parameters, body = self._lambda(expr.item, expr.body)
        mapped = self.transform(base, parameters, body)
        return self._present(self.flatten(mapped) if expr.body.many else mapped)

    def _exists(self, expr: Exists) -> str:
        base = self.sql(expr.base)
        if expr.base.many:
            return f"coalesce({self.length(base)} > 0, false)"
        return f"({base} is not null)"

    def _count(self, expr: Count) -> str:
        base = self.sql(expr.base)
        if expr.base.many:
            return f"coalesce({self.length(base)}, 0)"
        return f"(case when {base} is not null then 1 else 0 end)"

    def _combine(self, expr: Combine) -> str:
        lists = []
        for part in expr.parts:
            items = self.list_of(part)
            if expr.kind == "decimal" and part.kind == "integer":
                items = f"cast({items} as {self.inner_type('decimal')}[])"
            lists.append(items)
        combined = self.concatenate(lists)
        return self._without_repetitions(combined, expr.kind) if expr.distinct else combined

    def _test(self, expr: Test) -> str:
        holds = f"coalesce({self.condition(expr.base)}, false)"
        return holds if expr.wanted else f"(not {holds})"

    def _not(self, expr: Not) -> str:
        return f"(not {self.sql(expr.base)})"

    def _logic(self, expr: Logic) -> str:
        left, right = self.sql(expr.left), self.sql(expr.right)
        if expr.operator == "xor":
            return f"({left} <> {right})"
        if expr.operator == "implies":
            return f"(not {left} or {right})"
        return f"({left} {expr.operator} {right})"

    def _truth(self, expr: Truth) -> str:
        return f"(case when {self.sql(expr.base)} is not null then true end)"

    def _index(self, expr: IndexOf) -> str:
        return self.place_of(expr.variable)

    def _arithmetic(self, expr: Arithmetic) -> str:
        left, right = self.sql(expr.left), self.sql(expr.right)
        if expr.operator == "&":
            return f"(coalesce({left}, '') || coalesce({right}, ''))"
        if expr.type == "string":
            return f"({left} || {right})"
        integers = {expr.left.kind, expr.right.kind} == {"integer"}
        return self.arithmetic(expr.operator, left, right, integers=integers)

    def _boundary(self, expr: Boundary) -> str:
        base = self.sql(expr.base, exact=True)
        if expr.base.kind == "integer":
            base = f"cast({base} as {self.text_type})"
        return self.let(
            base,
            lambda v: self.boundary(v, expr.base.kind, high=expr.high, precision=expr.precision),
        )

    def _join(self, expr: Join) -> str:
        items, separator = self.list_of(expr.base, exact=True), self.sql(expr.separator)
        return self.join(items, separator)

    def _split(self, expr: Split) -> str:
        return self.split(self.sql(expr.base), self.sql(expr.separator))

    def _reference_key(self, expr: ReferenceKey) -> str:
        own = self.sql(expr.resource_id)
        text, type_ = self.sql(expr.reference), self.sql(expr.type_text)
        return self.let(text, lambda v: self.reference_key(v, type_, own, expr.wanted))

    def _call(self, expr: Call) -> str:
        base = self.sql(expr.base, exact=expr.function == "toString")
        return self.call(expr, base, [self.sql(argument) for argument in expr.arguments])

    def _repeat(self, expr: Repeat) -> str:
        return self.walk(expr)

    _KEEPS: ClassVar[Mapping[type[Expr], Callable[..., str]]] = {
        Pick: Equality._pick,
        Guarded: _guarded,
        Filter: _filter,
        Single: _single,
        Present: _present_item,
        Choose: _choose,
        Coalesce: _coalesce,
    }
    _WRITES: ClassVar[Mapping[type[Expr], Callable[..., str]]] = {
        AsResource: Equality._as_resource,
        IndexOf: _index,
        Slice: _slice,
        Map: _map,
        Exists: _exists,
        Count: _count,
        Test: _test,
        Not: _not,
        Logic: _logic,
        Truth: _truth,
        Equal: Equality._equal,
        Compare: Equality._compare,
        Arithmetic: _arithmetic,
        Combine: _combine,
        Distinct: Equality._distinct,
        Includes: Equality._includes,
        SetOperation: Equality._set,
        Boundary: _boundary,
        Join: _join,
        Split: _split,
        ReferenceKey: _reference_key,
        Call: _call,
        Repeat: _repeat,
        RowCell: Equality._row_cell,
    }


def _is_plain(left: Expr, right: Expr) -> bool:
    """Text beside a constant: an object in the text's place cannot equal it."""
    constants = [e for e in (left, right) if isinstance(e, Constant)]
    return bool(constants) and all(str(e.value)[:1] not in ("{", "[") for e in constants)
