"""Syntax tree of a view -> logical plan: gives every path its FHIR type and cardinality.

The row semantics follow the specification's processing model
(https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html, "Processing Algorithm").
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sql_on_fhir import definitions
from sql_on_fhir.errors import FhirPathError, SqlOnFhirError, ViewDefinitionError
from sql_on_fhir.ir.expressions import (
    Constant,
    Expr,
    IndexOf,
    Nothing,
    Present,
    Repeat,
    RowCell,
    Variable,
)
from sql_on_fhir.ir.rows import Cell, Iterate, IterateRows, Plan, Rows
from sql_on_fhir.ir.shape import Shape
from sql_on_fhir.parsing import fhirpath
from sql_on_fhir.parsing.tree import ColumnDefinition, Path, Select, View
from sql_on_fhir.parsing.view import collect
from sql_on_fhir.planning.paths import PathPlanner
from sql_on_fhir.planning.scope import Scope


def plan(view: Mapping[str, Any] | str | bytes | View) -> Plan:
    """The logical plan of a view.

    Raises ViewDefinitionError or FhirPathError for the first rule that is broken.
    """
    tree, problems = (view, []) if isinstance(view, View) else collect(view)
    if tree is not None and not problems:
        planner = _ViewPlanner(tree)
        planned = planner.plan()
        problems = planner.problems
    if problems:
        raise problems[0]
    return planned


def problems_of(tree: View) -> tuple[list[SqlOnFhirError], list[str]]:
    """Every error, and every warning, that planning a view meets."""
    planner = _ViewPlanner(tree)
    planner.plan()
    return planner.problems, planner.warnings


@dataclass(frozen=True)
class _Blankable:
    """A scope, and the forEachOrNull item whose absence makes its columns null."""

    scope: Scope
    blank: Variable | None
    in_rows: bool
    keeps_empty: bool = False


class _ViewPlanner:
    """Plans one view; keeps what is wrong with it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.problems: list[SqlOnFhirError] = []
        self.warnings: list[str] = list(view.warnings)
        self.names = 0
        self.seen: set[str] = set()
        shape = Shape()
        shape.read("resourceType", many=False, leaf="text")
        self.resource = Variable(view.resource, "resource", True, shape)
        self.paths = PathPlanner(view, self.resource, self._new_name, self.warnings)

    def _new_name(self, stem: str) -> str:
        self.names += 1
        return f"{stem}{self.names}"

    def plan(self) -> Plan:
        zero = Constant("integer", "0")
        scope = _Blankable(Scope(self.resource, None, self.resource, zero), None, False)
        filters = [self._filter(path, scope.scope) for path in self.view.where]
        steps: list[Iterate | IterateRows] = []
        cells: list[Cell] = []
        for select in self.view.selects:
            cells += self._steps(select, scope, steps)
        self._check_names(cells)
        return Plan(
            self.view.name,
            self.resource,
            self.view.resource,
            filters,
            steps,
            cells,
            self.warnings,
            frozenset(self.paths.indexed),
        )

    def _check_names(self, cells: list[Cell]) -> None:
        """Processing model, "Validate Columns": names are unique; here without regard to case."""
        seen: dict[str, str] = {}
        for cell in cells:
            name = cell.definition.name
            if name.lower() in seen:
                self._note(f"the column {name!r} is defined twice", cell.definition.where)
            seen[name.lower()] = name

    def _note(self, message: str, where: str) -> None:
        self.problems.append(ViewDefinitionError(message, view=self.view.name, where=where))

    def _path(self, path: Path, scope: Scope, type_: str | None = None) -> Expr:
        try:
            return self.paths.plan(path.tree, path.text, scope, type_)
        except FhirPathError as error:
            self.problems.append(error.located(self.view.name, path.where))
            return Nothing("string")

    def _filter(self, path: Path, scope: Scope) -> Expr:
        """ViewDefinition.where: the path must give a boolean."""
        expr = self._path(path, scope, "boolean")
        if expr.type != "boolean" and not isinstance(expr, Nothing):
            self._note(f"where needs a boolean: {path.text!r} gives {expr.type}", path.where)
        return self.paths.one(expr, f"path {path.text}")

    # rows, step by step

    def _iteration(self, select: Select, at: _Blankable) -> Iterate | None:
        if select.repeat:
            over = self._repeat(select, at.scope)
        elif select.for_each:
            over = self._path(select.for_each, at.scope)
        else:
            return None
        item = Variable(over.type, self._new_name("item"), not at.in_rows, over.shape)
        return Iterate(item, over, select.keep_empty, at.blank)

    def _inside(self, iterate: Iterate | None, at: _Blankable) -> _Blankable:
        if iterate is None:
            return at
        item = iterate.item
        scope = Scope(item, None, item, IndexOf(item))
        blank = item if iterate.keep_empty or at.blank else None
        return _Blankable(scope, blank, at.in_rows, iterate.keep_empty)

    def _repeat(self, select: Select, scope: Scope) -> Expr:
        """`repeat`: depth-first, each node before its children, paths in their order."""
        first = [self._path(path, scope) for path in select.repeat]
        known = [expr for expr in first if not isinstance(expr, Nothing)]
        if not known:
            return Nothing("string", True)
        type_ = known[0].type
        for expr, path in zip(first, select.repeat, strict=True):
            if not isinstance(expr, Nothing) and (expr.type != type_ or expr.shape is None):
                self._note(
                    f"repeat needs paths to complex elements of one type: {path.text!r} gives "
                    f"{expr.type}, not {type_}",
                    path.where,
                )
                return Nothing("string", True)
        node = Variable(type_, self._new_name("node"), shape=Shape())
        inner = Scope(node, None, node, scope.row_index)
        then = [self._path(path, inner) for path in select.repeat]
        for expr in (*first, *then):
            if expr.shape is not None:
                expr.shape.read_whole()
        keys = {path: fhirpath.element_names(path.tree) for path in select.repeat}
        for path, names in keys.items():
            if not names:
                self._note(f"repeat needs elements: {path.text!r} goes down to none", path.where)
        elements = tuple(sorted({name for names in keys.values() for name in names}))
        seeds, children = self.paths.combine(first), self.paths.combine(then)
        return Repeat(type_, seeds, node, children, elements, Shape())

    def _steps(
        self, select: Select, at: _Blankable, steps: list[Iterate | IterateRows]
    ) -> list[Cell]:
        iterate = self._iteration(select, at)
        if iterate is not None:
            steps.append(iterate)
        inner = self._inside(iterate, at)
        cells = [self._cell(column, inner) for column in select.columns]
        for nested in select.selects:
            cells += self._steps(nested, inner, steps)
        if select.union_all:
            cells += self._union_step(select, inner, steps)
        return cells

    def _union_step(
        self, select: Select, at: _Blankable, steps: list[Iterate | IterateRows]
    ) -> list[Cell]:
        branches = self._branches(select, _Blankable(at.scope, at.blank, True, at.keeps_empty))
        if not branches:
            return []
        item = Variable("row", self._new_name("row"), True)
        steps.append(IterateRows(item, branches, at.blank))
        return [
            Cell(
                cell.definition,
                cell.type,
                RowCell(cell.type, item, cell.definition.name, cell.definition.collection),
            )
            for cell in branches[0].all_cells()
        ]

    # rows inside a row: the branches of a union

    def _branches(self, select: Select, at: _Blankable) -> list[Rows]:
        branches = [self._rows(branch, at) for branch in select.union_all]
        self._unify(select, branches)
        return branches

    def _rows(self, select: Select, at: _Blankable) -> Rows:
        iterate = self._iteration(select, at)
        inner = self._inside(iterate, at)
        inner = dataclasses.replace(inner, blank=None)
        rows = Rows(iterate, [self._cell(column, inner) for column in select.columns], [], [])
        rows.products += [self._rows(nested, inner) for nested in select.selects]
        if select.union_all:
            rows.unions.append(self._branches(select, inner))
        self._check_names(rows.all_cells() if self._has_branches(rows) else [])
        return rows

    @staticmethod
    def _has_branches(rows: Rows) -> bool:
        return all(union for union in rows.unions)

    def _unify(self, select: Select, branches: list[Rows]) -> None:
        """ "Unions": each branch has the same columns, in the same order, of the same types."""
        if not branches:
            return
        first = branches[0].all_cells()
        names = [cell.definition.name for cell in first]
        for number, branch in enumerate(branches[1:], 1):
            where = f"{select.where}.unionAll[{number}]"
            cells = branch.all_cells()
            found = [cell.definition.name for cell in cells]
            if found != names:
                self._note(
                    "the branches of unionAll need the same columns in the same order: "
                    f"{', '.join(names)}; here: {', '.join(found)}",
                    where,
                )
                continue
            for one, other in zip(first, cells, strict=True):
                self._unify_cells(one, other, where)
        for same in zip(*(branch.columns() for branch in branches), strict=False):
            for cell in (cell for cells in same for cell in cells):
                cell.type = same[0][0].type

    def _unify_cells(self, one: Cell, other: Cell, where: str) -> None:
        name = one.definition.name
        if one.definition.collection != other.definition.collection:
            self._note(f"the column {name!r} is a collection in one branch only", where)
        if isinstance(one.value, Nothing) and one.definition.type is None:
            one.type = other.type
        elif isinstance(other.value, Nothing) and other.definition.type is None:
            return
        elif not definitions.compatible(one.type, other.type):
            self._note(
                f"the column {name!r} is {one.type} in the first branch, {other.type} here",
                where,
            )
        elif {one.type, other.type} != {one.type} and "decimal" in (one.type, other.type):
            one.type = "decimal"

    # columns

    def _cell(self, column: ColumnDefinition, at: _Blankable) -> Cell:
        value = self._path(column.path, at.scope, column.type)
        type_ = column.type or value.type
        if not isinstance(value, Nothing):
            type_ = self._type_of(column, value)
        if value.many and not column.collection:
            value = self.paths.one(value, f"path {column.path.text}")
        # %rowIndex is 0, not null, in the blank row of its own forEachOrNull.
        zero = at.keeps_empty and isinstance(value, IndexOf)
        if at.blank is not None and not at.in_rows and not zero:
            value = Present(at.blank, value)
        return Cell(column, type_, value, zero)

    def _type_of(self, column: ColumnDefinition, value: Expr) -> str:
        """ "Column Types": complex values need a type, and the type should fit the path.

        Where the declared type is another, the values decide: they would be lost in it.
        """
        if value.kind == "complex":
            if column.type is None:
                self._note(
                    f"the path {column.path.text!r} gives {value.type}, which is not primitive: "
                    "give the column this type, or go on to one of its elements",
                    column.where,
                )
            if value.shape is not None:
                value.shape.read_whole()
        if column.type is None or column.type == value.type:
            return value.type
        wanted = definitions.kind_of(column.type)
        if value.kind == "complex" or wanted == "complex":
            fits = column.type in definitions.ancestors(value.type) and value.kind == wanted
        else:
            fits = wanted == "text" or definitions.compatible(column.type, value.type)
        fits = fits and (wanted, value.kind) != ("integer", "decimal")
        if fits and (wanted == value.kind or (wanted, value.kind) == ("decimal", "integer")):
            return column.type
        holds = f"the text of {value.type}" if fits else value.type
        self.warnings.append(
            f"{column.where}.type: the column is declared {column.type}, but the path "
            f"{column.path.text!r} gives {value.type}: it holds {holds}"
        )
        return column.type if fits else value.type
