"""The rules, read from YAML: ``suites/<layer>/<table>.yml``. Nothing of Great Expectations here.

A rule names what must hold, how bad it is when it does not, and why the rule is there. Its kind is
one of

========== =============================================== ==========================================
kind       keys                                            holds when
========== =============================================== ==========================================
row_count  minimum, maximum                                the table has that many rows
not_null   column                                          the column has a value
unique     columns                                         no two rows agree in all of the columns
between    column (or list), minimum, maximum              the value is absent or inside
dates      column, earliest, latest                        the date is absent or inside
accepted   column, values                                  the value is absent or one of them
share      condition, at_least or at_most                  that share of rows meets the condition
ratio      numerator, denominator, at_most                 the quotient of two aggregates is no more
same_count other, other_where                              the other table has as many rows
========== =============================================== ==========================================

Common keys: ``name`` (default from kind and column), ``severity`` (``error`` or ``warning``),
``where`` (rows in scope), ``tolerance`` (share of rows that may break it), ``minimum_rows`` (rows in
scope from which that share can be an error), ``when`` (the rule is skipped while this is false),
``why``, ``source`` (of the rule) and ``advice`` (what to do when it is broken).
``limits: {warning: 0, error: 0.05}`` instead of severity and tolerance (of a share: instead of
``at_least``) makes two rules of one. ``list`` is an SQL expression that gives a list of numbers per
row; ``earliest`` and ``latest`` are dates as far as they are written (``"1880"``), or ``today``.

An error of Bronze or Silver is judged on the rows of each submission that a build takes in
(:attr:`Rule.by_submission`): the one that breaks it is held, the others go on. An error of a whole
table, and of Gold and the marts, stops the publish.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from lakehouse.errors import QualityError

Layer = Literal["bronze", "silver", "gold", "marts", "published"]
Severity = Literal["error", "warning"]
Database = Literal["lake", "metadata", "marts"]

#: In the order in which they are checked.
LAYERS: tuple[Layer, ...] = ("bronze", "silver", "gold", "marts", "published")

#: Rows in scope below which a share that is too large is a warning: one of three says little.
MINIMUM_ROWS = 30

#: Layers whose rows name their submission; what came from whom is not told apart in later ones.
_OF_SUBMISSIONS: frozenset[Layer] = frozenset({"bronze", "silver"})

#: Newest validations of each suite that Data Docs show; ``check_result`` holds all history.
VALIDATIONS_KEPT = 5

_FOLDER = Path(__file__).parent

#: Kind → (keys it must have, keys it may have).
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "row_count": (set(), {"minimum", "maximum"}),
    "not_null": ({"column"}, set()),
    "unique": ({"columns"}, set()),
    "between": (set(), {"column", "list", "minimum", "maximum"}),
    "dates": ({"column"}, {"earliest", "latest"}),
    "accepted": ({"column", "values"}, set()),
    "share": ({"condition"}, {"at_least", "at_most", "column"}),
    "ratio": ({"numerator", "denominator", "at_most"}, {"column"}),
    "same_count": ({"other"}, {"other_where"}),
}
#: Keys that some kinds have.
_OF_KINDS = frozenset(key for must, may in _KEYS.values() for key in must | may)
_COMMON = {
    *("kind", "name", "severity", "limits", "where", "tolerance", "minimum_rows", "when"),
    *("why", "source", "advice"),
}


#: Kinds of which ``tolerance`` says how many rows may break them.
_TOLERANT = frozenset({"not_null", "unique", "between", "dates", "accepted"})


@dataclass(frozen=True)
class Rule:
    """One rule of one table. ``tolerance`` is the share of rows in scope that may break it.

    ``family`` is the name that both rules have which ``limits`` makes of one.
    """

    layer: Layer
    table: str
    name: str
    family: str
    kind: str
    severity: Severity
    why: str
    source: str | None = None
    advice: str | None = None
    column: str | None = None
    columns: tuple[str, ...] = ()
    list: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    earliest: str | None = None
    latest: str | None = None
    values: tuple[str | int | float | bool, ...] = ()
    condition: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    numerator: str | None = None
    denominator: str | None = None
    other: str | None = None
    other_where: str | None = None
    where: str | None = None
    when: str | None = None
    tolerance: float = 0.0
    minimum_rows: int = MINIMUM_ROWS

    @property
    def by_submission(self) -> bool:
        """Whether each submission's own rows can be judged."""
        return (
            self.layer in _OF_SUBMISSIONS
            and self.kind not in ("row_count", "same_count")
            and self.when is None
        )

    @property
    def is_share(self) -> bool:
        """Whether some rows may break the rule, so that a few rows cannot decide it."""
        return self.allowed_share > 0 and self.kind not in ("row_count", "same_count")

    @property
    def allowed_share(self) -> float:
        """Share of rows in scope that may break the rule."""
        if self.kind == "share" and self.at_least is not None:
            return round(1 - self.at_least, 9)
        if self.at_most is not None:
            return self.at_most
        return self.tolerance

    @property
    def needed_columns(self) -> tuple[str, ...]:
        return self.columns or ((self.column,) if self.column else ())

    @property
    def requirement(self) -> str:
        """What must hold, in words."""
        words = _IN_WORDS[self.kind](self)
        if self.where:
            words += f", where {self.where}"
        if self.kind in _TOLERANT and self.tolerance:
            words += f" (at most {self.tolerance:.4g} of them break it)"
        return words


@dataclass(frozen=True)
class Suite:
    """The rules of one table. ``optional``: the table may be absent, and then nothing is checked."""

    layer: Layer
    table: str
    rules: tuple[Rule, ...]
    database: Database = "lake"
    optional: bool = False
    description: str = ""

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.table}"


def rules(layer: Layer) -> list[Rule]:
    """Every rule of a layer, by table and in the order of its file."""
    return [rule for suite in load(layer) for rule in suite.rules]


@cache
def load(layer: Layer) -> tuple[Suite, ...]:
    """The suites of a layer, by table. Raises :class:`QualityError` naming the file and rule."""
    if layer not in LAYERS:
        raise QualityError(f"There is no layer {layer}.", hint=f"Layers: {', '.join(LAYERS)}.")
    return tuple(read(file, layer) for file in sorted((_FOLDER / layer).glob("*.yml")))


def read(file: Path, layer: Layer) -> Suite:
    """One suite from its file; the table has the file's name."""
    place = f"{layer}/{file.name}"
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise QualityError(f"Suite {place} is not YAML{line}.") from error
    if not isinstance(document, dict) or not isinstance(document.get("rules"), list):
        raise QualityError(f"Suite {place} has no list `rules`.")
    unknown = set(document) - {"rules", "database", "optional", "description"}
    if unknown:
        raise QualityError(f"Suite {place} has unknown keys: {', '.join(sorted(unknown))}.")
    found = parse_rules(document["rules"], layer, file.stem, place)
    return Suite(
        layer=layer,
        table=file.stem,
        rules=tuple(found),
        database=document.get("database", "marts" if layer == "published" else "lake"),
        optional=bool(document.get("optional", False)),
        description=str(document.get("description", "")).strip(),
    )


def parse_rules(entries: list[Any], layer: Layer, table: str, place: str) -> list[Rule]:
    """Rules from YAML. Raises :class:`QualityError` naming the place and the rule."""
    found: list[Rule] = []
    for number, entry in enumerate(entries, start=1):
        found.extend(_rules(entry, layer, table, f"{place}, rule {number}"))
    names = [rule.name for rule in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise QualityError(f"Suite {place} names a rule twice: {', '.join(twice)}.")
    return found


def refuse_impossible(rule: Rule) -> None:
    """Raises :class:`QualityError` where a changed rule has a value that it cannot have."""
    given = {key: value for key, value in asdict(rule).items() if value not in (None, ())}
    _refuse_impossible({**given, "kind": rule.kind}, rule.kind, f"{rule.layer}.{rule.table}")
    must, may = _KEYS[rule.kind]
    alien = sorted((set(given) & _OF_KINDS) - must - may)
    if alien:
        raise QualityError(f"a rule of kind {rule.kind} has no {', '.join(alien)}")


def _rules(entry: Any, layer: Layer, table: str, place: str) -> list[Rule]:
    if not isinstance(entry, dict) or entry.get("kind") not in _KEYS:
        raise QualityError(f"Suite {place}: `kind` is none of {', '.join(_KEYS)}.")
    kind = entry["kind"]
    must, may = _KEYS[kind]
    missing = (must | {"why"}) - set(entry)
    unknown = set(entry) - must - may - _COMMON
    if missing or unknown:
        raise QualityError(
            f"Suite {place} ({kind}): "
            + "; ".join(
                f"{label} {', '.join(sorted(keys))}"
                for label, keys in (("missing", missing), ("unknown", unknown))
                if keys
            )
            + "."
        )
    _refuse_impossible(entry, kind, place)
    values = dict(entry)
    limits: Mapping[str, float] | None = values.pop("limits", None)
    values.setdefault("name", _default_name(entry))
    values["family"] = values["name"]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", values["name"]):
        raise QualityError(f"Suite {place}: the name may hold a-z, 0-9 and _ only.")
    for key in ("values", "columns"):
        if key in values:
            values[key] = tuple(values[key])
    for key in ("earliest", "latest"):
        if key in values:
            values[key] = str(values[key])
    for key in ("why", "advice", "where", "condition", "when", "list"):
        if isinstance(values.get(key), str):
            values[key] = " ".join(values[key].split())
    if limits is None:
        return [Rule(layer=layer, table=table, **values)]
    return [
        Rule(
            layer=layer,
            table=table,
            **{
                **values,
                "severity": severity,
                **_allowance(kind, float(limit)),
                "name": values["name"] + ("" if severity == "warning" else "_mostly"),
            },
        )
        for severity, limit in sorted(limits.items(), reverse=True)
    ]


def _allowance(kind: str, limit: float) -> dict[str, float]:
    """The share of rows that may break a rule, as its kind names it."""
    return {"at_least": round(1 - limit, 9)} if kind == "share" else {"tolerance": limit}


def _refuse_impossible(entry: Mapping[str, Any], kind: str, place: str) -> None:
    limits = entry.get("limits")
    if limits is not None and (
        set(limits) != {"warning", "error"} or "severity" in entry or "tolerance" in entry
    ):
        raise QualityError(
            f"Suite {place}: `limits` has a warning and an error, and replaces severity and "
            "tolerance."
        )
    if limits is None and entry.get("severity") not in ("error", "warning"):
        raise QualityError(f"Suite {place}: `severity` is neither error nor warning.")
    if kind in ("row_count", "between") and not {"minimum", "maximum"} & set(entry):
        raise QualityError(f"Suite {place}: neither `minimum` nor `maximum` is given.")
    if kind == "dates":
        _refuse_no_dates(entry, place)
    if kind == "between" and len({"column", "list"} & set(entry)) != 1:
        raise QualityError(f"Suite {place}: give `column` or `list`.")
    if kind == "share" and len({"at_least", "at_most", "limits"} & set(entry)) != 1:
        raise QualityError(f"Suite {place}: give `at_least`, `at_most` or `limits`.")
    for key in ("tolerance", "at_least", "at_most"):
        if key in entry and not isinstance(entry[key], int | float):
            raise QualityError(f"Suite {place}: `{key}` is no number.")
        if key in entry and not 0 <= entry[key] <= 1:
            raise QualityError(f"Suite {place}: `{key}` is a share between 0 and 1.")


def _refuse_no_dates(entry: Mapping[str, Any], place: str) -> None:
    given = [str(entry[key]) for key in ("earliest", "latest") if key in entry]
    if not given:
        raise QualityError(f"Suite {place}: neither `earliest` nor `latest` is given.")
    for text in given:
        if not re.fullmatch(r"today|\d{4}(-\d{2}(-\d{2})?)?", text):
            raise QualityError(f"Suite {place}: {text} is no date (YYYY, YYYY-MM or YYYY-MM-DD).")


def _default_name(entry: Mapping[str, Any]) -> str:
    parts = [str(entry["kind"])]
    if entry.get("column"):
        parts.append(str(entry["column"]))
    parts.extend(str(column) for column in entry.get("columns", ()))
    if entry.get("other"):
        parts.append(str(entry["other"]).replace(".", "_"))
    return "_".join(parts)


def _bounds(rule: Rule) -> str:
    if rule.minimum is None:
        return f"at most {rule.maximum:g}"
    if rule.maximum is None:
        return f"at least {rule.minimum:g}"
    if rule.minimum == rule.maximum:
        return f"exactly {rule.minimum:g}"
    return f"between {rule.minimum:g} and {rule.maximum:g}"


def _span(rule: Rule) -> str:
    if rule.earliest is None:
        return f"not after {rule.latest}"
    if rule.latest is None:
        return f"not before {rule.earliest}"
    return f"between {rule.earliest} and {rule.latest}"


def _share_in_words(rule: Rule) -> str:
    bound = (
        f"at least {rule.at_least:.4g}"
        if rule.at_least is not None
        else f"at most {rule.at_most:.4g}"
    )
    return f"{bound} of the rows meet: {rule.condition}"


_IN_WORDS: dict[str, Callable[[Rule], str]] = {
    "row_count": lambda rule: f"the number of rows is {_bounds(rule)}",
    "not_null": lambda rule: f"{rule.column} has a value",
    "unique": lambda rule: f"{', '.join(rule.columns)} is unique",
    "between": lambda rule: f"{rule.column or rule.list} is {_bounds(rule)}",
    "dates": lambda rule: f"{rule.column} is {_span(rule)}",
    "accepted": lambda rule: f"{rule.column} is one of {', '.join(map(str, rule.values))}",
    "share": _share_in_words,
    "ratio": lambda rule: f"{rule.numerator} / {rule.denominator} is at most {rule.at_most:.4g}",
    "same_count": lambda rule: (
        f"as many rows as {rule.other}" + (f" where {rule.other_where}" if rule.other_where else "")
    ),
}
