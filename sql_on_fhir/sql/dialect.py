"""What SQL dialects differ in: lists, structs, lambdas, JSON, and FHIR's own values.

A collection is a list without nulls (or null, which is empty); a single value is null if empty.
Primitive text is read as text; booleans and numbers as JSON, so that `"1"` is not a number.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from sql_on_fhir.ir.expressions import Call, Constant, Expr, Repeat
from sql_on_fhir.ir.shape import Shape

CARDINALITY = "several values where one is allowed"


class Name(str):
    """SQL of a value that is there already: written several times, it is not computed again."""

    __slots__ = ()


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A quoted SQL name."""
    return '"' + name.replace('"', '""') + '"'


class Dialect(ABC):
    """How one database writes what SQL has no common words for."""

    #: FHIR kind of a column → its SQL type; `text_type` for the others.
    column_types: ClassVar[Mapping[str, str]]
    #: The same inside the statement, where numbers need room.
    inner_types: ClassVar[Mapping[str, str]]
    text_type: ClassVar[str]

    #: The texts of numbers are needed, so they are parsed as text for all paths.
    numbers_are_text: bool = False
    needs_text: bool = False
    needs_exact_numbers: bool = False

    def __init__(self) -> None:
        self.counter = 0

    def fresh(self, stem: str) -> Name:
        """A name that nothing else in the statement has."""
        self.counter += 1
        return Name(f"{stem}_{self.counter}")

    @classmethod
    @abstractmethod
    def hint_type(cls, hint: str) -> str | None:
        """The type that an `ansi/type` tag asks for; None where the dialect has no such type."""

    def inner_type(self, kind: str) -> str:
        return self.inner_types.get(kind, self.text_type)

    # lists, structs, lambdas

    @abstractmethod
    def let(self, sql: str, use: Callable[[str], str]) -> str:
        """`use` of a value that is computed once, also where it is needed several times."""

    @abstractmethod
    def array(self, *items: str) -> str: ...

    @abstractmethod
    def empty(self, type_: str) -> str:
        """A list of that type without items."""

    @abstractmethod
    def struct(self, fields: Sequence[tuple[str, str]]) -> str: ...

    @abstractmethod
    def key(self, key: str) -> str:
        """The name of a struct's field."""

    @abstractmethod
    def transform(self, items: str, parameters: Sequence[str], body: str) -> str:
        """Each item as `body` says; the second parameter is the item's place from 1."""

    @abstractmethod
    def keep(self, items: str, parameters: Sequence[str], criterion: str) -> str:
        """The items for which the criterion is true; parameters as of `transform`."""

    @abstractmethod
    def flatten(self, lists: str) -> str: ...

    @abstractmethod
    def concatenate(self, lists: Sequence[str]) -> str: ...

    @abstractmethod
    def length(self, items: str) -> str: ...

    @abstractmethod
    def item(self, items: str, place: int | str) -> str:
        """One item by its place from 1, -1 for the last; null where there is none."""

    @abstractmethod
    def part(self, items: str, start: str = "", end: str = "") -> str:
        """The items from `start` to `end`, places from 1."""

    @abstractmethod
    def holds(self, items: str, value: str) -> str:
        """Whether a list has the value; null for no list."""

    @abstractmethod
    def first_place(self, items: str, value: str) -> str: ...

    @abstractmethod
    def sorted_list(self, items: str) -> str: ...

    @abstractmethod
    def unnest(self, items: str) -> str:
        """One row for each item, in the select list."""

    # JSON

    @abstractmethod
    def struct_type(self, shape: Shape) -> str:
        """What the parse of a complex value gives: the elements that are read of it."""

    @abstractmethod
    def opened(self, text: str, shape: Shape) -> str:
        """JSON text as the struct of a shape."""

    def parse(self, text: str, shape: Shape) -> str:
        """JSON text as the struct of a shape, or as it is where it is read whole."""
        return self.opened(text, shape) if shape.is_struct else text

    @abstractmethod
    def document(self, text: str, shape: Shape) -> str:
        """The resource, parsed once however often its elements are used; null where it is no JSON."""

    @abstractmethod
    def text_holds(self, text: str, part: str) -> str:
        """Whether a part stands anywhere in a text."""

    def json_value(self, sql: str) -> str:
        """A complex element as JSON that a column shows, where it is held in another form."""
        return sql

    @abstractmethod
    def json_text(self, sql: str, key: str) -> str:
        """The text of a key of JSON."""

    @abstractmethod
    def decoded(self, type_: str, sql: str, *, exact: bool, plain: bool) -> str:
        """A primitive of the parsed struct as a SQL value.

        With `exact`, decimals are text as written in the resource; with `plain`, text is not
        checked for objects in its place (where it is compared with a constant).
        """

    # values

    @abstractmethod
    def failure(self, before: str, number: str, after: str, value: str) -> str:
        """An error when the rows are computed; its text is these four, one after the other."""

    @abstractmethod
    def try_cast(self, sql: str, type_: str) -> str: ...

    @abstractmethod
    def finite(self, sql: str) -> str:
        """A number of a column that is a float; null where it is none."""

    @abstractmethod
    def whole(self, sql: str) -> str:
        """A decimal as an integer; null where it is none."""

    @abstractmethod
    def folded(self, sql: str) -> str:
        """Text as `~` compares it: without regard to case and the amount of white space."""

    @abstractmethod
    def arithmetic(self, operator: str, left: str, right: str, *, integers: bool) -> str: ...

    @abstractmethod
    def call(self, expr: Call, base: str, arguments: Sequence[str]) -> str:
        """A function of single values."""

    @abstractmethod
    def join(self, items: str, separator: str) -> str: ...

    @abstractmethod
    def split(self, text: str, separator: str) -> str: ...

    @abstractmethod
    def constant_moment(self, constant: Constant) -> str:
        """A date, dateTime or time constant as `moment` gives a value."""

    @abstractmethod
    def moment(self, value: str, kind: str) -> str:
        """A date, dateTime or time as it is compared."""

    @abstractmethod
    def compare_moments(self, operator: str, left: str, right: str) -> str:
        """https://hl7.org/fhirpath/N1/#datetime-comparison: null where precision does not decide."""

    @abstractmethod
    def boundary(self, value: str, kind: str, *, high: bool, precision: int | None) -> str: ...

    @abstractmethod
    def reference_key(self, text: str, type_text: str, own_id: str, wanted: str | None) -> str: ...

    @abstractmethod
    def walk(self, expr: Repeat) -> str:
        """`repeat`: each node before its children, in their order."""

    # what dialects write expressions with

    @abstractmethod
    def list_of(self, expr: Expr, *, exact: bool = False) -> str:
        """Any expression as a list."""
