"""Equality and order -> SQL, and what asks for them: `in`, sets, `distinct`."""

from sql_on_fhir.ir.expressions import (
    Compare,
    Constant,
    Distinct,
    Equal,
    Expr,
    Includes,
    SetOperation,
)
from sql_on_fhir.sql.elements import Elements

_DATES = frozenset({"date", "dateTime"})
_NUMBERS = frozenset({"integer", "decimal"})


class Equality(Elements):
    """Compares values as FHIRPath does: https://hl7.org/fhirpath/N1/#equality."""

    def _without_repetitions(self, items: str, kind: str) -> str:
        """Each value once: where it is first."""
        one, place = self.fresh("e"), self.fresh("i")

        def first_of_its_kind(values: str) -> str:
            if not _are_moments(kind, kind):
                found = f"{self.first_place(values, one)} = {place}"
            else:
                before = self.part(values, start="1", end=f"{place} - 1")
                found = f"not {self._is_in(one, kind, before, kind)}"
            return self.keep(values, [one, place], found)

        return self.let(items, first_of_its_kind)

    def _distinct(self, expr: Distinct) -> str:
        base = self.sql(expr.base)
        return self._without_repetitions(base, expr.kind) if expr.base.many else base

    def _is_in(self, value: str, kind: str, items: str, items_kind: str) -> str:
        """Whether a value is equal to one of a list, as `=` says: dates by instant and precision."""
        if not _are_moments(kind, items_kind):
            return f"coalesce({self.holds(items, value)}, false)"
        other = self.fresh("e")
        same = self.let(
            self.moment_of(value, kind),
            lambda a: self.let(
                self.moment_of(other, items_kind), lambda b: self.compare_moments("=", a, b)
            ),
        )
        return f"coalesce({self.length(self.keep(items, [other], same))} > 0, false)"

    def moment_of(self, sql: str, kind: str) -> str:
        return self.let(sql, lambda v: self.moment(v, kind))

    def _includes(self, expr: Includes) -> str:
        item = self.sql(expr.item)
        items = self.list_of(expr.collection)
        kinds = expr.item.kind, expr.collection.kind
        return self.let(
            item,
            lambda v: (
                f"case when {v} is not null then {self._is_in(v, kinds[0], items, kinds[1])} end"
            ),
        )

    def _set(self, expr: SetOperation) -> str:
        left, right = self.list_of(expr.left), self.list_of(expr.right)
        kinds = expr.left.kind, expr.right.kind
        if expr.function == "supersetOf":
            left, right, kinds = right, left, (kinds[1], kinds[0])
        one = self.fresh("e")
        inside = self._is_in(one, kinds[0], right, kinds[1])
        if expr.function == "intersect":
            return self._without_repetitions(self.keep(left, [one], inside), kinds[0])
        outside = self.keep(left, [one], f"not {inside}")
        if expr.function == "exclude":
            return outside
        return f"(coalesce({self.length(outside)}, 0) = 0)"

    def _equal(self, expr: Equal, *, plain: bool = False) -> str:
        left, right = expr.left, expr.right
        if left.many and right.many:
            return self._equal_lists(expr)
        if left.many or right.many:
            many, one = (left, right) if left.many else (right, left)
            other = self.sql(one)
            return self.let(
                self.sql(many),
                lambda v: (
                    f"case when {self.length(v)} > 1 then ({other} is not null and false) "
                    f"else {self._equal_values(self.item(v, 1), other, expr)} end"
                ),
            )
        return self._equal_values(self.sql(left, plain=plain), self.sql(right, plain=plain), expr)

    def _equal_lists(self, expr: Equal) -> str:
        left, right = self.sql(expr.left), self.sql(expr.right)
        if expr.equivalent:
            sides = [
                self.sorted_list(f"coalesce({side}, {self.array()})") for side in (left, right)
            ]
            return f"({sides[0]} = {sides[1]})"
        return self.let(
            left,
            lambda a: self.let(
                right,
                lambda b: (
                    f"case when {self.length(a)} > 0 and {self.length(b)} > 0 then {a} = {b} end"
                ),
            ),
        )

    def _equal_values(self, left: str, right: str, expr: Equal) -> str:
        kinds = {expr.left.kind, expr.right.kind}
        if expr.equivalent:
            if kinds == {"text"}:
                return f"({self.folded(left)} is not distinct from {self.folded(right)})"
            if len(kinds) > 1 and not kinds <= _NUMBERS:
                return f"({left} is null and {right} is null)"
            return f"({left} is not distinct from {right})"
        if _are_moments(*(side.kind for side in (expr.left, expr.right))):
            return self._moments("=", left, right, expr.left, expr.right)
        if len(kinds) == 1 or kinds <= _NUMBERS:
            return f"({left} = {right})"
        return f"(case when {left} is not null and {right} is not null then false end)"

    def _compare(self, expr: Compare) -> str:
        left, right = self.sql(expr.left), self.sql(expr.right)
        if expr.left.kind in ("date", "dateTime", "time"):
            return self._moments(expr.operator, left, right, expr.left, expr.right)
        return f"({left} {expr.operator} {right})"

    def _moments(self, operator: str, left: str, right: str, one: Expr, other: Expr) -> str:
        sides = [
            self.constant_moment(expr)
            if isinstance(expr, Constant)
            else self.moment_of(sql, expr.kind)
            for sql, expr in ((left, one), (right, other))
        ]
        return self.let(
            sides[0],
            lambda a: self.let(sides[1], lambda b: self.compare_moments(operator, a, b)),
        )


def _are_moments(kind: str, other: str) -> bool:
    return {kind, other} <= _DATES or kind == other == "time"
