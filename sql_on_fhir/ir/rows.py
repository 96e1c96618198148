"""Rows of a view: the steps that multiply them, their columns, and the whole plan."""

from dataclasses import dataclass

from sql_on_fhir.ir.expressions import Expr, Variable
from sql_on_fhir.parsing.tree import ColumnDefinition


@dataclass(eq=False)
class Cell:
    """One output column with its value; `zero_if_blank` for the %rowIndex of a forEachOrNull."""

    definition: ColumnDefinition
    type: str
    value: Expr
    zero_if_blank: bool = False


@dataclass(eq=False)
class Iterate:
    """One row for each item; with `keep_empty` one blank row where there is none.

    `blank` is the enclosing forEachOrNull item: where that is blank, so is this one.
    """

    item: Variable
    over: Expr
    keep_empty: bool
    blank: Variable | None


@dataclass(eq=False)
class Rows:
    """Rows made inside one outer row: the branches of a unionAll and what they contain."""

    iterate: Iterate | None
    cells: list[Cell]
    products: "list[Rows]"
    unions: "list[list[Rows]]"

    def columns(self) -> "list[list[Cell]]":
        """The columns of these rows in their order, each with every cell that may fill it.

        A column of a union is filled by one cell of each branch.
        """
        columns = [[cell] for cell in self.cells]
        for product in self.products:
            columns += product.columns()
        for union in self.unions:
            branches = [branch.columns() for branch in union]
            columns += [
                [cell for cells in same for cell in cells] for same in zip(*branches, strict=False)
            ]
        return columns

    def all_cells(self) -> list[Cell]:
        """One cell for each column."""
        return [cells[0] for cells in self.columns()]


@dataclass(eq=False)
class IterateRows:
    """One row for each row of the branches of a unionAll; the item is a struct of cells."""

    item: Variable
    branches: list[Rows]
    blank: Variable | None


@dataclass(eq=False)
class Plan:
    """A whole view: filter the resources, multiply rows step by step, then give the columns."""

    view: str
    resource: Variable
    resource_type: str
    filters: list[Expr]
    steps: "list[Iterate | IterateRows]"
    cells: list[Cell]
    warnings: list[str]
    #: Items whose position is asked for.
    indexed: frozenset[Variable]
