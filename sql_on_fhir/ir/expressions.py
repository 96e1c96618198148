"""Expressions of a plan. What is always so of an expression is a fact of its class: a count is one
integer, a filter has the type of what it filters. Only what differs from one to the next is given.

An expression has a FHIR type, may have many values or at most one, and, where it is complex, a
`Shape`: the parts of it that the view reads. (One long page, so that all kinds are seen together.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from sql_on_fhir import definitions
from sql_on_fhir.ir.shape import Leaf, Shape


class Expr:
    """Base of all expressions: FHIR type, many or one, and the shape of a complex value."""

    if TYPE_CHECKING:  # read only: a subclass may compute them, store them, or say them once

        @property
        def type(self) -> str: ...
        @property
        def many(self) -> bool: ...
        @property
        def shape(self) -> Shape | None: ...
    else:
        many = False
        shape = None

    @cached_property
    def kind(self) -> str:
        return definitions.kind_of(self.type)


class _Boolean(Expr):
    type = "boolean"


class _Text(Expr):
    type = "string"


class _OfBase(Expr):
    """Has the type and the shape of its base."""

    if TYPE_CHECKING:

        @property
        def base(self) -> Expr: ...

    @cached_property
    def type(self) -> str:
        return self.base.type

    @cached_property
    def shape(self) -> Shape | None:
        return self.base.shape


@dataclass(frozen=True, eq=False)
class Constant(Expr):
    """A literal or the value of a `%constant`."""

    type: str
    value: str | bool


@dataclass(frozen=True, eq=False)
class Nothing(Expr):
    """The empty collection: `{}`, or an element that the type does not have."""

    type: str
    many: bool = False


@dataclass(frozen=True, eq=False)
class Variable(Expr):
    """The resource, the item of an iteration (`is_row`), or the item of a criterion."""

    type: str
    name: str
    is_row: bool = False
    shape: Shape | None = None


@dataclass(frozen=True, eq=False)
class IndexOf(Expr):
    """0-based position of a variable's item in what it iterates over."""

    type = "integer"
    variable: Variable


@dataclass(frozen=True, eq=False)
class Field(Expr):
    """An element of a complex value; `repeats` says whether this step alone is a list."""

    type: str
    base: Expr
    key: str
    repeats: bool
    leaf: Leaf | None
    shape: Shape | None = None

    @cached_property
    def many(self) -> bool:
        return self.base.many or self.repeats


@dataclass(frozen=True, eq=False)
class AsResource(Expr):
    """Resources inside a resource (`contained`, `entry.resource`), kept where of that type."""

    type: str
    base: Expr
    resource: str | None
    shape: Shape | None

    @cached_property
    def many(self) -> bool:
        return self.base.many


@dataclass(frozen=True, eq=False)
class Pick(_OfBase):
    """One item: `first()`, `last()` or `[index]`."""

    base: Expr
    at: Expr | Literal["first", "last"]


@dataclass(frozen=True, eq=False)
class Slice(_OfBase):
    """`tail()`, `skip(n)`, `take(n)`."""

    many = True
    base: Expr
    function: str
    number: Expr | None


@dataclass(frozen=True, eq=False)
class Filter(_OfBase):
    """The items for which the criterion is true."""

    many = True
    base: Expr
    item: Variable
    criterion: Expr


@dataclass(frozen=True, eq=False)
class Guarded(_OfBase):
    """A single value, kept where the criterion is true."""

    base: Expr
    criterion: Expr


@dataclass(frozen=True, eq=False)
class Map(Expr):
    """The body for each item, flattened, without empty results."""

    many = True
    base: Expr
    item: Variable
    body: Expr

    @cached_property
    def type(self) -> str:
        return self.body.type

    @cached_property
    def shape(self) -> Shape | None:
        return self.body.shape


@dataclass(frozen=True, eq=False)
class Exists(_Boolean):
    """True where there is at least one value."""

    base: Expr


@dataclass(frozen=True, eq=False)
class Count(Expr):
    """How many values."""

    type = "integer"
    base: Expr


@dataclass(frozen=True, eq=False)
class Test(_Boolean):
    """Whether a boolean is (`wanted`) or is not true; never empty."""

    base: Expr
    wanted: bool


@dataclass(frozen=True, eq=False)
class Not(_Boolean):
    """Three-valued negation."""

    base: Expr


@dataclass(frozen=True, eq=False)
class Logic(_Boolean):
    """and, or, xor, implies on booleans, three-valued."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class Equal(_Boolean):
    """`=` and `~`; empty where a side is empty, unless `equivalent`."""

    left: Expr
    right: Expr
    equivalent: bool = False


@dataclass(frozen=True, eq=False)
class Compare(_Boolean):
    """`<`, `<=`, `>`, `>=` on single values of the same kind."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class Arithmetic(Expr):
    """`+`, `-`, `*`, `/`, `div`, `mod` on numbers; `+` and `&` on text."""

    type: str
    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class Combine(Expr):
    """All values of several expressions; `distinct` for `|`."""

    many = True
    type: str
    parts: Sequence[Expr]
    distinct: bool = False

    @cached_property
    def shape(self) -> Shape | None:
        return self.parts[0].shape


@dataclass(frozen=True, eq=False)
class Coalesce(Expr):
    """The first part that is not empty: the variants of a choice element."""

    parts: Sequence[Expr]

    @cached_property
    def type(self) -> str:
        return self.parts[0].type

    @cached_property
    def many(self) -> bool:
        return any(part.many for part in self.parts)

    @cached_property
    def shape(self) -> Shape | None:
        return self.parts[0].shape


@dataclass(frozen=True, eq=False)
class Distinct(_OfBase):
    """Each value once, in order."""

    base: Expr

    @cached_property
    def many(self) -> bool:
        return self.base.many


@dataclass(frozen=True, eq=False)
class Includes(_Boolean):
    """`in` and `contains`."""

    collection: Expr
    item: Expr


@dataclass(frozen=True, eq=False)
class SetOperation(Expr):
    """intersect, exclude, subsetOf, supersetOf over primitive values."""

    function: str
    left: Expr
    right: Expr

    @cached_property
    def type(self) -> str:
        return "boolean" if self.function.endswith("Of") else self.left.type

    @cached_property
    def many(self) -> bool:
        return not self.function.endswith("Of")


@dataclass(frozen=True, eq=False)
class Call(Expr):
    """A function of single values: substring, round, toInteger, …"""

    type: str
    function: str
    base: Expr
    arguments: Sequence[Expr] = ()


@dataclass(frozen=True, eq=False)
class Boundary(Expr):
    """lowBoundary() or highBoundary()."""

    base: Expr
    high: bool
    precision: int | None

    @cached_property
    def type(self) -> str:
        return "decimal" if self.base.kind in ("integer", "decimal") else self.base.type


@dataclass(frozen=True, eq=False)
class Join(_Text):
    """join(separator): empty for an empty collection."""

    base: Expr
    separator: Expr


@dataclass(frozen=True, eq=False)
class Split(_Text):
    """split(separator)."""

    many = True
    base: Expr
    separator: Expr


@dataclass(frozen=True, eq=False)
class Choose(Expr):
    """iif(criterion, then, otherwise)."""

    type: str
    criterion: Expr
    then: Expr
    otherwise: Expr

    @cached_property
    def many(self) -> bool:
        return self.then.many or self.otherwise.many

    @cached_property
    def shape(self) -> Shape | None:
        return self.then.shape or self.otherwise.shape


@dataclass(frozen=True, eq=False)
class ReferenceKey(_Text):
    """getReferenceKey([type]) of one Reference."""

    reference: Expr
    type_text: Expr
    resource_id: Expr
    wanted: str | None


@dataclass(frozen=True, eq=False)
class Single(_OfBase):
    """The only value of a collection; several are an error at run time, with `label`."""

    base: Expr
    label: str


@dataclass(frozen=True, eq=False)
class Truth(_Boolean):
    """A value where a boolean is expected: present means true (singleton evaluation)."""

    base: Expr


@dataclass(frozen=True, eq=False)
class Present(_OfBase):
    """The value, or empty where the variable is the blank item of a forEachOrNull."""

    variable: Variable
    base: Expr

    @cached_property
    def many(self) -> bool:
        return self.base.many


@dataclass(frozen=True, eq=False)
class Repeat(Expr):
    """`repeat`: everything reached from `seeds` by applying `children` again and again.

    The seeds and children are JSON text; the result is read by the shape of this expression.
    """

    many = True
    type: str
    seeds: Expr
    node: Variable
    children: Expr
    keys: tuple[str, ...]
    shape: Shape | None


@dataclass(frozen=True, eq=False)
class RowCell(Expr):
    """A column of the current row of a step over rows (`IterateRows`)."""

    type: str
    variable: Variable
    column: str
    many: bool
