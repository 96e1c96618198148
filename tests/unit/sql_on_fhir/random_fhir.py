"""Random resources and random views over them, drawn from the table of FHIR types.

About one value in twelve breaks its definition: text for a number, a list for one value, null.
"""

import random
from typing import Any

from sql_on_fhir import definitions

_TEXTS = ["official", "a", "B c", "{x}", "[lb_av]", "[1]", '{"a":2}', "", "ü\"'\\", "10.5", "GT"]
_TEXTS += ['["caf\u00e9"]', '{"url":"http://x/y"}']
_VALUES: dict[str, list[Any]] = {
    "boolean": [True, False],
    "integer": [0, 1, 2, -3],
    "decimal": [1, 1.5, -0.25, 120, 3.0],
    "date": ["2020", "2020-02", "2020-02-29", "1999-12-31"],
    "dateTime": [
        "2020",
        "2020-02",
        "2020-02-29",
        "2020-02-29T10:00:00Z",
        "2020-02-29T10:00:00.123+02:00",
        "2020-02-29T23:30:00-05:00",
    ],
    "time": ["10:00:00", "10:00:00.5", "23:59:59"],
    "text": _TEXTS,
}
_REFERENCES = [
    "Patient/p1",
    "http://example.org/fhir/Patient/p2/_history/3",
    "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7",
    "#contained",
    "#",
    "Practitioner?identifier=sys|1",
    "Encounter/e1",
    "nonsense",
]
_URLS = ["http://example.org/race", "http://example.org/sex"]
# What a random resource consists of: enough to meet every kind of element.
_ELEMENTS = {
    "Patient": "id active name birthDate deceased gender contact telecom managingOrganization "
    "extension multipleBirth maritalStatus generalPractitioner contained",
    "Observation": "id status code value effective issued component subject category "
    "referenceRange hasMember",
    "QuestionnaireResponse": "id status item authored subject",
    "QuestionnaireResponse.item": "linkId text item answer",
    "QuestionnaireResponse.item.answer": "value item",
    "Extension": "url value extension",
    "HumanName": "use family given period",
    "ContactPoint": "system value rank period",
    "CodeableConcept": "coding text",
    "Coding": "system code userSelected",
    "Quantity": "value unit code",
    "Period": "start end",
    "Reference": "reference type display",
    "Range": "low high",
    "Patient.contact": "relationship name telecom gender organization",
    "Observation.component": "code value",
    "Observation.referenceRange": "low high text",
}
_CHOICES = {
    "Extension": ["string", "code", "boolean", "Coding", "decimal", "dateTime"],
    "QuestionnaireResponse.item.answer": ["string", "boolean", "integer", "Coding", "date"],
}
_ROOTS = ["Patient", "Observation", "QuestionnaireResponse"]


def elements_of(type_: str) -> list[definitions.Element]:
    names = _ELEMENTS.get(type_, "").split()
    return [e for e in (definitions.element(type_, name) for name in names) if e is not None]


def types_of(owner: str, element: definitions.Element) -> list[str]:
    known = [t for t in element.types if definitions.kind_of(t) != "complex" or t in _ELEMENTS]
    return _CHOICES.get(owner, known) if element.is_choice else list(element.types)


class RandomFhir:
    """Draws from one source of randomness."""

    def __init__(self, source: random.Random) -> None:
        self.random = source

    def _often(self, chance: float) -> bool:
        return self.random.random() < chance

    # resources

    def resource(self, type_: str, depth: int = 4) -> dict[str, Any]:
        return {"resourceType": type_, **self._complex(type_, depth)}

    def _complex(self, type_: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for element in elements_of(type_):
            if depth == 0 or not self._often(0.6):
                continue
            types = types_of(type_, element)
            if not types:
                continue
            chosen = self.random.choice(types)
            key = (
                definitions.choice_key(element.name, chosen) if element.is_choice else element.name
            )
            made[key] = (
                self._broken() if self._often(0.04) else self._element(element, chosen, depth)
            )
            if definitions.kind_of(chosen) != "complex" and self._often(0.1):
                made[f"_{key}"] = (
                    [{"extension": [{"url": _URLS[0], "valueCode": "x"}]}]
                    if (element.many)
                    else {"id": "i", "extension": [{"url": _URLS[1], "valueString": "y"}]}
                )
        return made

    def _element(self, element: definitions.Element, type_: str, depth: int) -> Any:
        if not element.many:
            return self._value(type_, depth, element.name)
        count = self.random.choice([0, 1, 1, 2, 3])
        items = [self._value(type_, depth, element.name) for _ in range(count)]
        if definitions.kind_of(type_) != "complex" and self._often(0.1):
            items.append(None)
        return items

    def _value(self, type_: str, depth: int, name: str) -> Any:
        kind = definitions.kind_of(type_)
        if type_ == "Resource":
            return self.resource(self.random.choice(_ROOTS[1:]), depth=1)
        if kind == "complex":
            return self._complex(type_, depth - 1)
        if name == "reference":
            return self.random.choice(_REFERENCES)
        if name == "url":
            return self.random.choice(_URLS)
        if type_ == "instant":
            return self.random.choice(_VALUES["dateTime"][3:])
        return self.random.choice(_VALUES[kind])

    def _broken(self) -> Any:
        return self.random.choice(
            ["text", 7, 2.5, True, None, [], {}, ["a", "b"], {"a": 1}, [{"x": "y"}], "true", [[1]]]
        )

    # views

    def view(self) -> dict[str, Any]:
        type_ = self.random.choice(_ROOTS)
        self.names = 0
        view: dict[str, Any] = {
            "name": "random_view",
            "resource": type_,
            "constant": [
                {"name": "text", "valueString": "official"},
                {"name": "number", "valueInteger": 1},
                {"name": "day", "valueDate": "2020-02-29"},
            ],
            "select": [self._select(type_, 2) for _ in range(self.random.choice([1, 1, 2]))],
        }
        if self._often(0.3):
            view["where"] = [{"path": self._boolean(type_, 2)}]
        return view

    def _select(self, type_: str, depth: int) -> dict[str, Any]:
        select: dict[str, Any] = {}
        here = type_
        if depth < 2 or self._often(0.4):
            path, here, _ = self._walk(type_, 2, complex_end=True)
            if path == "$this":
                here = type_
            elif type_.startswith("Questionnaire") and self._often(0.3):
                select["repeat"] = ["item", "answer.item"] if self._often(0.5) else ["item"]
                here = "QuestionnaireResponse.item"
            else:
                select[self.random.choice(["forEach", "forEachOrNull"])] = path
        select["column"] = [self._column(here) for _ in range(self.random.choice([1, 2]))]
        if depth and self._often(0.4):
            select["select"] = [self._select(here, depth - 1)]
        if depth and self._often(0.3):
            names = [self._name(), self._name()]
            select["unionAll"] = [self._branch(here, names), self._branch(here, names)]
        return select

    def _name(self) -> str:
        self.names += 1
        return f"c{self.names}"

    def _branch(self, type_: str, names: list[str]) -> dict[str, Any]:
        branch: dict[str, Any] = {}
        path, end, _ = self._walk(type_, 2, complex_end=True)
        if path != "$this" and self._often(0.7):
            branch[self.random.choice(["forEach", "forEachOrNull"])] = path
            type_ = end
        paths = ["%rowIndex", self._boolean(type_, 1)]
        branch["column"] = [
            {"name": name, "path": path} for name, path in zip(names, paths, strict=True)
        ]
        return branch

    def _column(self, type_: str) -> dict[str, Any]:
        path, _, many = self._value_path(type_)
        column: dict[str, Any] = {"name": self._name(), "path": path}
        if many:
            column["collection"] = True
        return column

    def _value_path(self, type_: str) -> tuple[str, str, bool]:
        roll = self.random.random()
        if roll < 0.15:
            return self._boolean(type_, 2), "boolean", False
        if roll < 0.2:
            return "%rowIndex", "integer", False
        if roll < 0.3 and type_ == "Patient":
            inside = ["id", "where(resourceType = 'Observation').id", "ofType(Observation).status"]
            return f"contained.{self.random.choice(inside)}", "string", True
        path, end, many = self._walk(type_, 3, complex_end=False)
        if end == "Reference":
            wanted = self.random.choice(["", "Patient", "Practitioner"])
            return f"{path}.getReferenceKey({wanted})", "string", many
        if definitions.kind_of(end) == "complex":
            return self.random.choice([f"{path}.exists()", f"{path}.count()"]), "integer", False
        kind = definitions.kind_of(end)
        if self._often(0.1):
            ending = self.random.choice(["hasValue()", "getValue()"])
            return f"{path}.{ending}", "boolean" if ending == "hasValue()" else end, False
        if kind == "text" and self._often(0.2):
            other = self.random.choice(["{}", "'a'", "1", "('a' | 'GT')"])
            function = self.random.choice(["exclude", "intersect"])
            return f"{path}.{function}({other})", end, True
        if kind == "text" and not many and self._often(0.2):
            return f"{path}.replaceMatches('([a-z])([A-Za-z])', '<$2$1>')", "string", False
        if many and self._often(0.3):
            ending = self.random.choice(["first()", "last()", "count()", "exists()", "empty()"])
            return f"{path}.{ending}", end, False
        if many and kind == "text" and self._often(0.3):
            return f"{path}.join(', ')", "string", False
        if not many and kind in ("date", "dateTime", "time", "decimal") and self._often(0.4):
            return f"{path}.{self.random.choice(['low', 'high'])}Boundary()", end, False
        if not many and kind in ("integer", "decimal") and self._often(0.3):
            if self._often(0.2):
                return f"{path}.power({self.random.choice(['2', '0.5', '1000'])})", end, False
            operator = self.random.choice(["+", "-", "*", "/", "div", "mod"])
            return f"{path} {operator} {self.random.choice(['2', '0.7'])}", end, False
        return path, end, many

    def _walk(self, type_: str, depth: int, *, complex_end: bool) -> tuple[str, str, bool]:
        """A path from a type, the type at its end, and whether it may give several values."""
        steps: list[str] = []
        many = False
        for _ in range(depth):
            elements = [
                e
                for e in elements_of(type_)
                if any(
                    definitions.kind_of(t) == "complex" or not complex_end
                    for t in types_of(type_, e)
                )
            ]
            if not elements:
                break
            element = self.random.choice(elements)
            types = [
                t
                for t in types_of(type_, element)
                if not complex_end or definitions.kind_of(t) == "complex"
            ]
            chosen = self.random.choice(types)
            step = element.name
            if element.name == "extension" and self._often(0.7):
                step = f"extension('{self.random.choice(_URLS)}')"
            if element.is_choice:
                step += f".ofType({chosen})"
            many = many or element.many
            type_ = chosen
            if many and self._often(0.25):
                step += self.random.choice([".first()", "[0]", "[1]", ".last()"])
                many = False
            elif many and type_ in _ELEMENTS and self._often(0.3):
                step += f".where({self._boolean(type_, 1)})"
            steps.append(step)
            if definitions.kind_of(type_) != "complex" or self._often(0.3):
                break
        return ".".join(steps) or "$this", type_, many

    def _boolean(self, type_: str, depth: int) -> str:
        """A criterion that cannot meet several values."""
        if depth and self._often(0.3):
            operator = self.random.choice(["and", "or", "xor", "implies"])
            return f"({self._boolean(type_, 0)} {operator} {self._boolean(type_, 0)})"
        path, end, many = self._walk(type_, 2, complex_end=False)
        kind = definitions.kind_of(end)
        if kind == "complex" or path == "$this":
            return self.random.choice(
                [f"{path}.exists()", f"{path}.empty()", f"{path}.exists().not()"]
            )
        literal = {
            "boolean": ["true", "false"],
            "integer": ["1", "%number", "2"],
            "decimal": ["1.5", "1", "%number"],
            "date": ["@2020", "@2020-02-29", "%day", "@2020-03"],
            "dateTime": ["@2020-02-29T10:00:00Z", "@2020", "@2020-02-29", "%day"],
            "time": ["@T10:00:00", "@T10"],
            "text": ["'official'", "'a'", "%text", "'[1]'", "''", "'GT'"],
        }[kind]
        value = self.random.choice(literal)
        if many or kind == "boolean":
            return f"{path} {self.random.choice(['=', '!='])} {value}"
        if kind == "time" and value == "@T10":
            value = "@T10:00:00"
        return f"{path} {self.random.choice(['=', '!=', '<', '>=', '>', '<='])} {value}"
