"""A whole plan -> one SELECT.

* The resource is parsed once into a struct of exactly the elements that the view reads, however many
  columns there are.
* A forEach is an `unnest` in the select list, a unionAll a list of row structs that is unnested:
  no join, so rows stream and memory stays flat.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sql_on_fhir.definitions import kind_of
from sql_on_fhir.ir.expressions import (
    Boundary,
    Expr,
    Field,
    Nothing,
    Pick,
    Present,
    RowCell,
    Single,
    Variable,
)
from sql_on_fhir.ir.rows import Cell, Iterate, IterateRows, Rows
from sql_on_fhir.sql.dialect import Name, identifier, quoted
from sql_on_fhir.sql.expressions import Expressions


@dataclass(frozen=True)
class Source:
    """What the statement reads: a relation as text, its resource column, columns to carry."""

    relation: str
    resource_column: str
    passthrough: tuple[str, ...]
    assume_type: bool


class Statement(Expressions):
    """Writes one plan as a statement: the view's columns in their order, then the carried ones."""

    def statement(self, source: Source) -> str:
        filters = [self._where(expr) for expr in self.plan.filters]
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
            item = self.column(step.item)
            body = f"  select\n    *,\n    {self.unnest(sql)} as {item}\n  from {ctes[-1][0]}"
            ctes.append((name, body))
        if self.firsts:
            taken = ",\n".join(f"    {place} as {name}" for place, name in self.firsts.values())
            ctes.append(("firsts", f"  select\n    *,\n{taken}\n  from {ctes[-1][0]}"))
        with_ = ",\n\n".join(f"{name} as (\n{body}\n)" for name, body in ctes)
        selected = ",\n  ".join([*columns, *carried])
        return f"with {with_}\n\nselect\n  {selected}\nfrom {ctes[-1][0]}"

    @classmethod
    def column_type(cls, cell: Cell) -> str:
        """The SQL type of one value of a column."""
        hint = cell.definition.sql_type and cls.hint_type(cell.definition.sql_type)
        return hint or cls.column_types.get(kind_of(cell.type), cls.text_type)

    def _has_type(self) -> str:
        return f"_resource.resourceType = {quoted(self.plan.resource_type)}"

    def _parsed(self, source: Source) -> str:
        text = f"cast(src.{identifier(source.resource_column)} as {self.text_type})"
        lines = [f"    {self.document(text, self.shape(self.plan.resource))} as _resource"]
        if self.needs_text:
            lines.append(f"    {text} as _text")
        lines += [f"    src.{identifier(name)}" for name in source.passthrough]
        where = ""
        if not source.assume_type:
            # A cheap condition first, the exact one on the parsed resource.
            where = (
                f"\n  where {self.text_holds(text, chr(34) + self.plan.resource_type + chr(34))}"
            )
        columns = ",\n".join(lines)
        return f"  select\n{columns}\n  from {source.relation} as src{where}"

    def _where(self, expr: Expr) -> str:
        self.label = "where"
        return f"coalesce({self.condition(expr)}, false)"

    def _step(self, step: Iterate | IterateRows) -> tuple[str, str]:
        column = self.column(step.item)
        self.label = step.item.name
        if isinstance(step, IterateRows):
            items = self.concatenate([self._rows(branch) for branch in step.branches])
            self.names[step.item] = Name(column)
        else:
            items = self.list_of(step.over)
            self.names[step.item] = Name(column)
            if step.item in self.plan.indexed:
                one, place = self.fresh("e"), self.fresh("i")
                both = self.struct([("value", one), ("index", f"{place} - 1")])
                items = self.transform(items, [one, place], both)
                self.names[step.item] = Name(f'{column}."value"')
                self.places[step.item] = f'coalesce({column}."index", 0)'
            if step.keep_empty:
                items = self.let(
                    items,
                    lambda v: (
                        f"case when {self.length(v)} > 0 then {v} else {self.array('null')} end"
                    ),
                )
        if step.blank is not None:
            blank = self.column(step.blank)
            items = f"case when {blank} is null then {self.array('null')} else {items} end"
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
            return f"case when {self.column(value.variable)} is not null then {inner} end"
        type_ = self.column_type(cell)
        if isinstance(value, Nothing):
            return self.empty(type_) if cell.definition.collection else f"cast(null as {type_})"
        exact = self._is_exact(cell, value)
        if not cell.definition.collection:
            return self._converted(value, cell, self.sql(value, exact=exact))
        items = self.list_of(value, exact=exact)
        one = self.fresh("e")
        converted = self._converted(value, cell, one)
        if converted != one:
            items = self.transform(items, [one], converted)
        return f"coalesce({items}, {self.empty(type_)})"

    def _is_exact(self, cell: Cell, value: Expr) -> bool:
        inexact = (self.column_types["decimal"], self.column_types["integer"])
        return value.kind == "decimal" and self.column_type(cell) not in inexact

    def _converted(self, value: Expr, cell: Cell, sql: str) -> str:
        type_ = self.column_type(cell)
        if self._is_exact(cell, value):
            return sql if type_ == self.text_type else self.try_cast(sql, type_)
        kind = value.kind
        if kind == "decimal" and type_ == self.column_types["integer"]:
            return self.whole(sql)
        if self.inner_type(kind) == type_ and kind != "complex":
            return sql
        if type_ in ("double", "float", "real"):
            return self.finite(self.try_cast(sql, type_))
        return self.try_cast(self.json_value(sql) if kind == "complex" else sql, type_)

    # rows inside a row

    def _rows(self, rows: Rows) -> str:
        if rows.iterate is None:
            return self._product(rows)
        step = rows.iterate
        item, place = self.fresh("item"), self.fresh("i")
        items = self.list_of(step.over)
        self.names[step.item] = item
        self.places[step.item] = f"({place} - 1)"
        parameters = [item, place] if step.item in self.plan.indexed else [item]
        product = self._product(rows)

        def made(values: str) -> str:
            return self.flatten(self.transform(values, parameters, product))

        if not step.keep_empty:
            return made(items)
        nulls = [(cells[0], self._blank(cells)) for cells in rows.columns()]
        blank = self.array(self._struct_of(nulls))
        return self.let(
            items,
            lambda v: f"case when {self.length(v)} > 0 then {made(v)} else {blank} end",
        )

    def _blank(self, cells: Sequence[Cell]) -> str:
        """The value in a blank row: null, or 0 for the %rowIndex of a forEachOrNull."""
        cell = cells[0]
        if cell.zero_if_blank and len(cells) == 1:
            return f"cast(0 as {self.column_type(cell)})"
        return f"cast(null as {self._full_type(cell)})"

    def _struct_of(self, cells: Sequence[tuple[Cell, str]]) -> str:
        return self.struct([(cell.definition.name, sql) for cell, sql in cells])

    def _product(self, rows: Rows) -> str:
        own = []
        for cell in rows.cells:
            self.label = cell.definition.name
            own.append((cell, f"cast({self._output(cell)} as {self._full_type(cell)})"))
        parts = [(part.all_cells(), self._rows(part)) for part in rows.products]
        parts += [
            (union[0].all_cells(), self.concatenate([self._rows(branch) for branch in union]))
            for union in rows.unions
        ]
        if not parts:
            return self.array(self._struct_of(own))
        if len(parts) == 1 and not own:
            return parts[0][1]
        cells = list(own)
        opened = []
        for inner_cells, sql in parts:
            one = self.fresh("r")
            opened.append((one, sql))
            cells += [(c, f"{one}.{identifier(c.definition.name)}") for c in inner_cells]
        made = self.array(self._struct_of(cells))
        for one, sql in reversed(opened):
            made = self.flatten(self.transform(sql, [one], made))
        return made

    def _full_type(self, cell: Cell) -> str:
        return self.column_type(cell) + ("[]" if cell.definition.collection else "")


def _follows(expr: Expr, item: Variable) -> bool:
    """True where the value is null whenever the item is."""
    while isinstance(expr, Field | Pick | Single | Boundary):
        expr = expr.base
    return expr is item
