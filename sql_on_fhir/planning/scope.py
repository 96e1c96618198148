"""What names mean at one place of a path, and what a function is called with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from sql_on_fhir.definitions import Element
from sql_on_fhir.ir.expressions import Constant, Expr, IndexOf, Variable
from sql_on_fhir.parsing import fhirpath


@dataclass(frozen=True)
class Scope:
    """What names mean at one place: `$this`, `$index`, `%context`, `%rowIndex`."""

    this: Expr
    index: Expr | None
    context: Expr
    row_index: Expr


@dataclass(frozen=True)
class Choice:
    """A choice element (`value[x]`) before a type is chosen."""

    base: Expr
    element: Element


Planned: TypeAlias = Expr | Choice


@dataclass(frozen=True)
class Invocation:
    """One function call while it is planned."""

    call: fhirpath.Call
    base: Planned
    scope: Scope
    settle: Callable[[Planned, fhirpath.Node], Expr]

    def argument(self, number: int) -> fhirpath.Node:
        return self.call.arguments[number]

    def __len__(self) -> int:
        return len(self.call.arguments)

    def value(self) -> Expr:
        """What the function is called on; an error where that is a choice of types."""
        return self.settle(self.base, self.call)

    def inside(self, this: Expr) -> Scope:
        """The scope of an argument that is planned for each item."""
        index: Expr = Constant("integer", "0")
        if isinstance(this, Variable):
            index = IndexOf(this)
        return Scope(this, index, self.scope.context, self.scope.row_index)
