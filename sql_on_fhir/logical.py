"""The logical plan of a view: typed expressions and row steps, without a word of SQL.

plan.py builds it, duckdb_sql.py writes it out; another dialect would read the same tree.

An expression has a FHIR type, may have many values or at most one, and, where it is complex,
a `Shape`: the parts of it that the view reads. All shapes together say what one parse of the
resource must extract.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sql_on_fhir import definitions
from sql_on_fhir.view import ColumnDefinition

Leaf = Literal["text", "json"]


class Shape:
    """The elements of one complex value that a view reads, and whether it reads it whole.

    Two shapes whose values meet in one collection are united: they then are one shape.
    """

    def __init__(self) -> None:
        self._united: Shape | None = None
        self._fields: dict[str, FieldShape] = {}
        self._whole = False

    def _found(self) -> "Shape":
        shape = self
        while shape._united is not None:
            shape = shape._united
        return shape

    @property
    def fields(self) -> "dict[str, FieldShape]":
        return self._found()._fields

    @property
    def whole(self) -> bool:
        return self._found()._whole

    @property
    def is_struct(self) -> bool:
        """True where the parse gives a struct of the elements; else it gives JSON text."""
        return not self.whole

    def read_whole(self) -> None:
        self._found()._whole = True

    def read(self, key: str, *, many: bool, leaf: Leaf | None) -> "FieldShape":
        """Notes that the element `key` is read, as a primitive (`leaf`) or as a complex value."""
        fields = self.fields
        if key not in fields:
            fields[key] = FieldShape(many, leaf, None if leaf else Shape())
        return fields[key]

    def unite(self, other: "Shape") -> None:
        mine, theirs = self._found(), other._found()
        if mine is theirs:
            return
        theirs._united = mine
        mine._whole = mine._whole or theirs._whole
        for key, entry in theirs._fields.items():
            own = mine._fields.setdefault(key, entry)
            if own is not entry and own.shape is not None and entry.shape is not None:
                own.shape.unite(entry.shape)


@dataclass(frozen=True)
class FieldShape:
    """One element inside a shape: text or JSON for a primitive, a shape for the rest."""

    many: bool
    leaf: Leaf | None
    shape: Shape | None


@dataclass(eq=False)
class Expr:
    """Base of all expressions: FHIR type, many or one, and the shape of a complex value."""

    type: str
    many: bool
    shape: Shape | None = field(default=None, kw_only=True)

    @property
    def kind(self) -> str:
        return definitions.kind_of(self.type)


@dataclass(eq=False)
class Constant(Expr):
    """A literal or the value of a `%constant`."""

    value: str | bool


@dataclass(eq=False)
class Nothing(Expr):
    """The empty collection: `{}`, or an element that the type does not have."""


@dataclass(eq=False)
class Variable(Expr):
    """The resource, the item of an iteration, or the item of a criterion."""

    name: str
    is_row: bool = False
    indexed: bool = False


@dataclass(eq=False)
class IndexOf(Expr):
    """0-based position of a variable's item in what it iterates over."""

    variable: Variable


@dataclass(eq=False)
class Field(Expr):
    """An element of a complex value; `repeats` says whether this step alone is a list."""

    base: Expr
    key: str
    repeats: bool
    leaf: Leaf | None


@dataclass(eq=False)
class AsResource(Expr):
    """Resources inside a resource (`contained`, `entry.resource`), kept where of that type."""

    base: Expr
    resource: str | None


@dataclass(eq=False)
class Pick(Expr):
    """One item: `first()`, `last()` or `[index]`."""

    base: Expr
    at: "Expr | Literal['first', 'last']"


@dataclass(eq=False)
class Slice(Expr):
    """`tail()`, `skip(n)`, `take(n)`."""

    base: Expr
    function: str
    number: Expr | None


@dataclass(eq=False)
class Filter(Expr):
    """The items for which the criterion is true."""

    base: Expr
    item: Variable
    criterion: Expr


@dataclass(eq=False)
class Guarded(Expr):
    """A single value, kept where the criterion is true."""

    base: Expr
    criterion: Expr


@dataclass(eq=False)
class Map(Expr):
    """The body for each item, flattened, without empty results."""

    base: Expr
    item: Variable
    body: Expr


@dataclass(eq=False)
class Exists(Expr):
    """True where there is at least one value."""

    base: Expr


@dataclass(eq=False)
class Count(Expr):
    """How many values."""

    base: Expr


@dataclass(eq=False)
class Test(Expr):
    """Whether a boolean is (`wanted`) or is not true; never empty."""

    base: Expr
    wanted: bool


@dataclass(eq=False)
class Not(Expr):
    """Three-valued negation."""

    base: Expr


@dataclass(eq=False)
class Logic(Expr):
    """and, or, xor, implies on booleans, three-valued."""

    operator: str
    left: Expr
    right: Expr


@dataclass(eq=False)
class Equal(Expr):
    """`=` and `~`; empty where a side is empty, unless `equivalent`."""

    left: Expr
    right: Expr
    equivalent: bool = False


@dataclass(eq=False)
class Compare(Expr):
    """`<`, `<=`, `>`, `>=` on single values of the same kind."""

    operator: str
    left: Expr
    right: Expr


@dataclass(eq=False)
class Arithmetic(Expr):
    """`+`, `-`, `*`, `/`, `div`, `mod` on numbers; `+` and `&` on text."""

    operator: str
    left: Expr
    right: Expr


@dataclass(eq=False)
class Combine(Expr):
    """All values of several expressions; `distinct` for `|`."""

    parts: Sequence[Expr]
    distinct: bool


@dataclass(eq=False)
class Coalesce(Expr):
    """The first part that is not empty: the variants of a choice element."""

    parts: Sequence[Expr]


@dataclass(eq=False)
class Distinct(Expr):
    """Each value once, in order."""

    base: Expr


@dataclass(eq=False)
class Includes(Expr):
    """`in` and `contains`."""

    collection: Expr
    item: Expr


@dataclass(eq=False)
class SetOperation(Expr):
    """intersect, exclude, subsetOf, supersetOf over primitive values."""

    function: str
    left: Expr
    right: Expr


@dataclass(eq=False)
class Call(Expr):
    """A function of single values: substring, round, toInteger, …"""

    function: str
    base: Expr
    arguments: Sequence[Expr]


@dataclass(eq=False)
class Boundary(Expr):
    """lowBoundary() or highBoundary()."""

    base: Expr
    high: bool
    precision: int | None


@dataclass(eq=False)
class Join(Expr):
    """join(separator): empty for an empty collection."""

    base: Expr
    separator: Expr


@dataclass(eq=False)
class Split(Expr):
    """split(separator)."""

    base: Expr
    separator: Expr


@dataclass(eq=False)
class Choose(Expr):
    """iif(criterion, then, otherwise)."""

    criterion: Expr
    then: Expr
    otherwise: Expr


@dataclass(eq=False)
class ReferenceKey(Expr):
    """getReferenceKey([type]) of one Reference."""

    reference: Expr
    type_text: Expr
    resource_id: Expr
    wanted: str | None


@dataclass(eq=False)
class Single(Expr):
    """The only value of a collection; several are an error at run time, with `label`."""

    base: Expr
    label: str


@dataclass(eq=False)
class Truth(Expr):
    """A value where a boolean is expected: present means true (singleton evaluation)."""

    base: Expr


@dataclass(eq=False)
class Present(Expr):
    """The value, or empty where the variable is the blank item of a forEachOrNull."""

    variable: Variable
    base: Expr


@dataclass(eq=False)
class Repeat(Expr):
    """`repeat`: everything reached from `seeds` by applying `children` again and again.

    The seeds and children are JSON text; the result is read by the shape of this expression.
    """

    seeds: Expr
    node: Variable
    children: Expr
    keys: tuple[str, ...]


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
class RowCell(Expr):
    """A column of the current row of an IterateRows."""

    variable: Variable
    column: str


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
