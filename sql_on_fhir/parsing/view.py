"""ViewDefinition JSON -> typed syntax tree, with every structural rule of the specification.

https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html. Paths are parsed here;
their types are given in planning.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from sql_on_fhir import definitions
from sql_on_fhir.errors import FhirPathError, SqlOnFhirError, ViewDefinitionError
from sql_on_fhir.parsing import fhirpath
from sql_on_fhir.parsing.keys import (
    COLUMN_KEYS,
    CONSTANT_KEYS,
    SELECT_KEYS,
    TAG_KEYS,
    VIEW_KEYS,
    WHERE_KEYS,
)
from sql_on_fhir.parsing.tree import ColumnDefinition, Constant, Path, Select, View

_SQL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# Names as in URLs, which many published views have: usable in SQL, in quotes.
_HYPHENATED = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# SUSHI writes the canonical URL of a logical model as the resourceType of its instances.
_CANONICAL_TYPE = re.compile(r"https?://\S+/StructureDefinition/ViewDefinition(\|\S+)?")
_TYPE_PREFIX = "http://hl7.org/fhir/StructureDefinition/"
# ViewDefinition.constant.value[x]
CONSTANT_TYPES = [
    "base64Binary",
    "boolean",
    "canonical",
    "code",
    "date",
    "dateTime",
    "decimal",
    "id",
    "instant",
    "integer",
    "integer64",
    "oid",
    "positiveInt",
    "string",
    "time",
    "unsignedInt",
    "uri",
    "url",
    "uuid",
]
_DATE_FORMS = {
    "date": r"\d{4}(-\d\d(-\d\d)?)?",
    "dateTime": r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    "instant": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "time": r"\d\d:\d\d(:\d\d(\.\d+)?)?",
}


def parse_view(view: Mapping[str, Any] | str | bytes) -> View:
    """The typed tree of a ViewDefinition.

    Raises ViewDefinitionError or FhirPathError for the first rule that is broken;
    `collect` gives them all.
    """
    tree, problems = collect(view)
    if problems:
        raise problems[0]
    if tree is None:
        raise ViewDefinitionError("there is no view")
    return tree


def collect(view: Mapping[str, Any] | str | bytes) -> tuple[View | None, list[SqlOnFhirError]]:
    """The typed tree, as far as it can be read, and every error met on the way."""
    if isinstance(view, str | bytes):
        try:
            view = json.loads(view)
        except ValueError as error:
            return None, [ViewDefinitionError(f"this is not JSON: {error}")]
    if not isinstance(view, Mapping):
        return None, [ViewDefinitionError("a view is a JSON object")]
    reader = _Reader(view)
    return reader.view(), reader.problems


class _Broken(Exception):
    """Reading of one part stopped; its error is already noted."""


class _Reader:
    """Reads one view and notes what is wrong instead of stopping at the first error."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        name = document.get("name")
        self.name = name if isinstance(name, str) and name else None
        self.problems: list[SqlOnFhirError] = []
        self.warnings: list[str] = []

    def _warn(self, message: str, where: str) -> None:
        self.warnings.append(f"{where}: {message}")

    def _known(self, item: Mapping[str, Any], keys: frozenset[str], where: str) -> None:
        """An unknown key may be what somebody meant by another: it is not passed over.

        `_name` holds the extensions of a primitive `name` (json.html#primitive).
        """
        for key in item:
            is_value = keys is CONSTANT_KEYS and key.startswith("value")  # judged by itself
            if key.removeprefix("_") not in keys and not is_value:
                near = difflib.get_close_matches(key, keys, 1)
                hint = f"; {near[0]!r} is" if near else ""
                self._note(f"{key!r} is not an element of a ViewDefinition here{hint}", where)

    def _is_name(self, name: object, where: str) -> bool:
        """ViewDefinition, invariant sql-name; a hyphen is accepted."""
        if not isinstance(name, str) or not _HYPHENATED.fullmatch(name):
            return False
        if not _SQL_NAME.fullmatch(name):
            self._warn(f"{name!r} has a hyphen: SQL needs it in quotes", where)
        return True

    def _note(self, message: str, where: str) -> None:
        self.problems.append(ViewDefinitionError(message, view=self.name, where=where))

    def _fail(self, message: str, where: str) -> NoReturn:
        self._note(message, where)
        raise _Broken

    def view(self) -> View | None:
        document = self.document
        kind = document.get("resourceType", "ViewDefinition")
        if isinstance(kind, str) and _CANONICAL_TYPE.fullmatch(kind):
            self._warn("this is the URL of the type, its name is 'ViewDefinition'", "resourceType")
        elif kind != "ViewDefinition":
            self._note(f"resourceType is {kind!r}, not 'ViewDefinition'", "resourceType")
        self._known(document, VIEW_KEYS, "")
        name = document.get("name")
        if name is not None and not self._is_name(name, "name"):
            self._note(f"{name!r} is not a name for a table: letters, digits, _", "name")
        resource = document.get("resource")
        if resource is None:
            self._note("resource is missing: it names the FHIR resource type", "resource")
        elif not isinstance(resource, str) or not definitions.is_concrete_resource(resource):
            self._note(f"{resource!r} is not a resource type of FHIR R4", "resource")
        constants = self._constants()
        filters = tuple(
            path
            for where, item in self._objects(document, "where", "", WHERE_KEYS)
            for path in self._optional_path(item, "path", where, required=True)
        )
        if "select" not in document or document["select"] == []:
            self._note("select is missing: a view has at least one", "select")
        selects = self._selects(document, "select", "")
        if not isinstance(resource, str):
            return None
        warnings = tuple(self.warnings)
        return View(self.name or "view", resource, selects, filters, constants, warnings)

    def _objects(
        self, parent: Mapping[str, Any], key: str, where: str, keys: frozenset[str]
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        place = f"{where}.{key}" if where else key
        items = parent.get(key, [])
        if not isinstance(items, list):
            self._note(f"{key} is a list of objects", place)
            return
        for number, item in enumerate(items):
            if isinstance(item, Mapping):
                self._known(item, keys, f"{place}[{number}]")
                yield f"{place}[{number}]", item
            else:
                self._note("this is not an object", f"{place}[{number}]")

    def _path(self, text: Any, where: str) -> Path:
        if not isinstance(text, str):
            self._fail(f"{text!r} is not a FHIRPath expression: it must be text", where)
        try:
            return Path(text, fhirpath.parse(text), where)
        except FhirPathError as error:
            self.problems.append(error.located(self.name, where))
            raise _Broken from error

    def _optional_path(
        self, parent: Mapping[str, Any], key: str, where: str, *, required: bool = False
    ) -> list[Path]:
        if key not in parent:
            if required:
                self._note(f"{key} is missing", where)
            return []
        try:
            return [self._path(parent[key], f"{where}.{key}")]
        except _Broken:
            return []

    def _constants(self) -> dict[str, Constant]:
        constants: dict[str, Constant] = {}
        for where, item in self._objects(self.document, "constant", "", CONSTANT_KEYS):
            name = item.get("name")
            if not isinstance(name, str) or not self._is_name(name, f"{where}.name"):
                self._note(f"{name!r} is not a name for a constant: letters, digits, _", where)
                continue
            if name in constants:
                self._note(f"the constant %{name} is defined twice", where)
                continue
            constant = self._constant(name, item, where)
            if constant is not None:
                constants[name] = constant
        return constants

    def _constant(self, name: str, item: Mapping[str, Any], where: str) -> Constant | None:
        values = [key for key in item if key.startswith("value")]
        if len(values) != 1:
            self._note(
                f"the constant %{name} needs exactly one value: valueString, valueInteger, …",
                where,
            )
            return None
        types = {definitions.choice_key("value", type_): type_ for type_ in CONSTANT_TYPES}
        type_ = types.get(values[0])
        if type_ is None:
            allowed = ", ".join(sorted(types))
            self._note(f"{values[0]} is not allowed for a constant; allowed: {allowed}", where)
            return None
        value = self._number(item[values[0]], type_, f"{where}.{values[0]}")
        kind = definitions.kind_of(type_)
        fits = {
            "boolean": isinstance(value, bool),
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "decimal": isinstance(value, int | float) and not isinstance(value, bool),
        }.get(kind, isinstance(value, str))
        if fits and type_ in _DATE_FORMS:
            fits = re.fullmatch(_DATE_FORMS[type_], value) is not None and fhirpath.is_moment(
                value, is_time=type_ == "time"
            )
        if not fits:
            self._note(f"the constant %{name}: {value!r} is not a {type_}", where)
            return None
        return Constant(name, type_, value if isinstance(value, bool) else str(value))

    def _number(self, value: Any, type_: str, where: str) -> Any:
        """A number that the view gives as text, which JSON must not, is accepted as that number."""
        kind = definitions.kind_of(type_)
        pattern = {"integer": r"-?\d+", "decimal": r"-?\d+(\.\d+)?"}.get(kind)
        if pattern is None or not isinstance(value, str) or not re.fullmatch(pattern, value):
            return value
        self._warn(f"{value!r} is text: a {type_} is written without quotes", where)
        return int(value) if kind == "integer" else float(value)

    def _selects(self, parent: Mapping[str, Any], key: str, where: str) -> tuple[Select, ...]:
        items = self._objects(parent, key, where, SELECT_KEYS)
        return tuple(self._select(item, at) for at, item in items)

    def _select(self, item: Mapping[str, Any], where: str) -> Select:
        given = [key for key in ("forEach", "forEachOrNull", "repeat") if key in item]
        if len(given) > 1:
            self._note(f"{' and '.join(given)} exclude each other", where)
        used = ("column", "select", "unionAll")
        if not any(item.get(key) for key in used):
            self._note("a select has column, select or unionAll", where)
        for_each = [
            *self._optional_path(item, "forEach", where),
            *self._optional_path(item, "forEachOrNull", where),
        ]
        return Select(
            where,
            tuple(
                column
                for at, definition in self._objects(item, "column", where, COLUMN_KEYS)
                for column in self._column(definition, at)
            ),
            for_each[0] if for_each else None,
            "forEachOrNull" in item,
            self._repeat(item, where),
            self._selects(item, "select", where),
            self._selects(item, "unionAll", where),
        )

    def _repeat(self, item: Mapping[str, Any], where: str) -> tuple[Path, ...]:
        if "repeat" not in item:
            return ()
        texts = item["repeat"]
        if not isinstance(texts, list) or not texts:
            self._note("repeat is a list of paths, at least one", f"{where}.repeat")
            return ()
        paths = []
        for number, text in enumerate(texts):
            try:
                paths.append(self._path(text, f"{where}.repeat[{number}]"))
            except _Broken:
                continue
        return tuple(paths)

    def _column(self, item: Mapping[str, Any], where: str) -> list[ColumnDefinition]:
        name = item.get("name")
        if not self._is_name(name, f"{where}.name"):
            self._note(f"{name!r} is not a column name: a letter, then letters, digits, _", where)
        collection = item.get("collection", False)
        if not isinstance(collection, bool):
            self._note("collection is true or false", f"{where}.collection")
        type_ = item.get("type")
        if type_ is not None and not isinstance(type_, str):
            self._note("type is the name of a FHIR type", f"{where}.type")
            type_ = None
        if type_ is not None:
            type_ = type_.removeprefix(_TYPE_PREFIX)
            if definitions.lookup(type_) is None:
                self._warn(f"{type_!r} is not a type of FHIR R4: the path says it", f"{where}.type")
                type_ = None
        paths = self._optional_path(item, "path", where, required=True)
        if not paths or not isinstance(name, str):
            return []
        description = item.get("description")
        return [
            ColumnDefinition(
                name,
                paths[0],
                type_,
                collection is True,
                self._sql_type(item, where),
                description if isinstance(description, str) else None,
                where,
            )
        ]

    def _sql_type(self, item: Mapping[str, Any], where: str) -> str | None:
        """The `ansi/type` tag (ViewDefinition, 'Type Hinting with Tags')."""
        for _, tag in self._objects(item, "tag", where, TAG_KEYS):
            if tag.get("name") == "ansi/type" and isinstance(tag.get("value"), str):
                return str(tag["value"])
        return None
