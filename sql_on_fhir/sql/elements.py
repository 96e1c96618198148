"""Elements and items of values -> SQL: where in the parsed struct they are."""

from abc import abstractmethod

from sql_on_fhir.ir.expressions import AsResource, Constant, Expr, Field, Pick, RowCell, Variable
from sql_on_fhir.ir.rows import Plan
from sql_on_fhir.ir.shape import Shape
from sql_on_fhir.sql.dialect import Dialect, Name, identifier, quoted


class Elements(Dialect):
    """Knows the plan that is written, and the SQL text of each variable in scope."""

    def __init__(self, plan: Plan, *, numbers_are_text: bool = False) -> None:
        super().__init__()
        self.plan = plan
        self.numbers_are_text = numbers_are_text
        self.names: dict[Variable, str] = {plan.resource: Name("_resource")}
        self.places: dict[Variable, str] = {}
        self.placed: set[Variable] = set()
        self.label = ""
        #: First items of lists that columns look into, by their elements: place and name.
        self.firsts: dict[tuple[Variable, tuple[str, ...]], tuple[str, Name]] | None = None

    @abstractmethod
    def sql(self, expr: Expr, *, exact: bool = False, plain: bool = False) -> str:
        """SQL of an expression: a list if it has many values, else one value.

        `exact` and `plain` are those of `decoded`.
        """

    def place_of(self, variable: Variable) -> str:
        """0-based position of a variable's item."""
        self.placed.add(variable)
        return self.places[variable]

    @staticmethod
    def shape(expr: Expr) -> Shape:
        if expr.shape is None:
            raise AssertionError(f"{expr.type} has no shape")
        return expr.shape

    def _constant(self, expr: Constant, *, exact: bool) -> str:
        if isinstance(expr.value, bool):
            return Name("true" if expr.value else "false")
        if expr.kind == "integer":
            return f"({expr.value})" if expr.value.startswith("-") else Name(expr.value)
        if expr.kind == "decimal" and not exact:
            return f"cast({quoted(expr.value)} as {self.inner_type('decimal')})"
        return quoted(expr.value)

    def _element(self, owner: str, key: str) -> str:
        """A field of a struct; of one that is there already it is there too."""
        text = f"{owner}.{self.key(key)}"
        return Name(text) if isinstance(owner, Name) else text

    def _field(self, expr: Field, *, exact: bool, plain: bool) -> str:
        base = self.sql(expr.base)

        def read(one: str) -> str:
            shape = self.shape(expr.base)
            if not shape.is_struct:
                return f"{self.opened(one, shape)}.{self.key(expr.key)}"
            return self._element(one, expr.key)

        def decoded(one: str) -> str:
            return self.decoded(expr.type, one, exact=exact, plain=plain)

        if not expr.base.many and not expr.repeats:
            return decoded(read(base))
        one = self.fresh("e")
        if not expr.base.many:
            items = read(base)
        elif expr.repeats:
            items = self.flatten(self.transform(base, [one], read(one)))
        else:
            return self._present(self.transform(base, [one], decoded(read(one))))
        inner = self.fresh("e")
        body = decoded(inner)
        if body != inner:
            items = self.transform(items, [inner], body)
        has_nulls = expr.leaf is not None or expr.key.startswith("_")
        return self._present(items) if has_nulls else items

    def _present(self, items: str) -> str:
        one = self.fresh("e")
        return self.keep(items, [one], f"{one} is not null")

    def _pick(self, expr: Pick, exact: bool) -> str:
        return self._first(expr, exact=exact) or self._picked(
            expr, self.sql(expr.base, exact=exact)
        )

    def _first(self, expr: Pick, *, exact: bool) -> str | None:
        """`first()` after several repeating elements, without building their lists.

        The first item of each list on the way is the first of all, if it is there. If it is not,
        a further one can only be there where one of these lists has more than one item.
        """
        field = expr.base
        if expr.at != "first" or not isinstance(field, Field) or not field.base.many:
            return None
        lists: list[str] = []
        place = self._first_on_the_way(field, lists)
        if place is None:
            return None
        first = self.decoded(field.type, place, exact=exact, plain=False)
        further = " or ".join(f"{self.length(items)} > 1" for items in lists)
        picked = self._picked(expr, self.sql(field, exact=exact))
        return f"coalesce({first}, case when {further} then {picked} end)"

    def _first_on_the_way(self, expr: Expr, lists: list[str]) -> str | None:
        """The first item of each list on a path of elements; notes these lists."""
        if isinstance(expr, Variable):
            return self.names[expr]
        if not isinstance(expr, Field) or not self.shape(expr.base).is_struct:
            return None
        owner = self._first_on_the_way(expr.base, lists)
        if owner is None:
            return None
        place = self._element(owner, expr.key)
        if not expr.repeats:
            return place
        lists.append(place)
        item = self.item(place, 1)
        return self._first_of(expr, item) if expr.leaf is None else item

    def _first_of(self, expr: Field, place: str) -> str:
        """The first element of a list, taken once for all columns that look into it."""
        fields: list[Field] = []
        root: Expr = expr
        while isinstance(root, Field):
            fields.insert(0, root)
            root = root.base
        if self.firsts is None or not isinstance(root, Variable) or not root.is_row:
            return place
        if not self.shape(expr).is_struct:
            return place
        path = (root, tuple(field.key for field in fields))
        if path not in self.firsts:
            full = self.names[root]
            for field in fields:
                full = self._element(full, field.key)
                full = self.item(full, 1) if field.repeats else full
            above = [] if root is self.plan.resource else [root.name]
            words = "_".join([*above, *(field.key.strip("_") for field in fields)])
            self.firsts[path] = (full, Name(f"_first_{words}"))
        return self.firsts[path][1]

    def _picked(self, expr: Pick, base: str) -> str:
        if expr.at == "first":
            field = expr.base
            if isinstance(field, Field) and field.leaf is None and isinstance(base, Name):
                return self._first_of(field, self.item(base, 1))
            return self.item(base, 1)
        if expr.at == "last":
            return self.item(base, -1)
        if isinstance(expr.at, Constant) and str(expr.at.value).isdigit():
            return self.item(base, int(str(expr.at.value)) + 1)
        at = self.sql(expr.at) if isinstance(expr.at, Expr) else Name("0")
        return self.let(at, lambda v: f"case when {v} >= 0 then {self.item(base, f'{v} + 1')} end")

    def _as_resource(self, expr: AsResource) -> str:
        base, shape = self.sql(expr.base), self.shape(expr)

        def is_wanted(one: str) -> str:
            return f"{self.json_text(one, 'resourceType')} = {quoted(expr.resource or '')}"

        if not expr.many:
            read = self.parse(base, shape)
            return f"case when {is_wanted(base)} then {read} end" if expr.resource else read
        if expr.resource:
            one = self.fresh("e")
            base = self.keep(base, [one], is_wanted(one))
        one = self.fresh("e")
        return self.transform(base, [one], self.parse(one, shape))

    def _row_cell(self, expr: RowCell) -> str:
        return f"{self.names[expr.variable]}.{identifier(expr.column)}"
