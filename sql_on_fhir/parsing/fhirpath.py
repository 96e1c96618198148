"""FHIRPath text -> syntax tree. Grammar and precedence: https://hl7.org/fhirpath/N1/#grammar.

Nothing here knows FHIR types or SQL; plan.py gives the tree its types.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from sql_on_fhir.errors import FhirPathError


@dataclass(frozen=True)
class Literal:
    """A literal; `kind` is boolean, string, integer, decimal, date, dateTime, time or quantity."""

    kind: str
    text: str
    at: int
    unit: str = ""


@dataclass(frozen=True)
class EmptySet:
    """`{}`."""

    at: int


@dataclass(frozen=True)
class This:
    """`$this`, `$index` or `$total`."""

    name: str
    at: int


@dataclass(frozen=True)
class External:
    """`%name`."""

    name: str
    at: int


@dataclass(frozen=True)
class Member:
    """`base.name`; without a base, `name` on the input."""

    base: "Node | None"
    name: str
    at: int


@dataclass(frozen=True)
class Call:
    """`base.name(arguments)`."""

    base: "Node | None"
    name: str
    arguments: "tuple[Node, ...]"
    at: int


@dataclass(frozen=True)
class Indexer:
    """`base[index]`."""

    base: "Node"
    index: "Node"
    at: int


@dataclass(frozen=True)
class Unary:
    """`-operand` or `+operand`."""

    operator: str
    operand: "Node"
    at: int


@dataclass(frozen=True)
class Binary:
    """`left operator right`; for `is` and `as` the right side is a type name in a Member."""

    operator: str
    left: "Node"
    right: "Node"
    at: int


Node = Literal | EmptySet | This | External | Member | Call | Indexer | Unary | Binary

# Loosest first: https://hl7.org/fhirpath/N1/#operator-precedence
_BINARY = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "~", "!=", "!~"),
    ("<=", "<", ">", ">="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
)
_WORD_OPERATORS = {"implies", "or", "xor", "and", "in", "contains", "is", "as", "div", "mod"}
# Words that may also name an element: https://hl7.org/fhirpath/N1/#keywords
_ALSO_NAMES = {"as", "contains", "in", "is"}
_CALENDAR_UNITS = {
    plural
    for unit in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for plural in (unit, f"{unit}s")
}
_CLOCK = re.compile(r"(\d\d)(?::(\d\d)(?::(\d\d))?)?")
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "f": "\f"}
_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<time>@T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)
  | (?P<datetime>@\d{4}(?:-\d\d(?:-\d\d)?)?T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?
        (?:Z|[+-]\d\d:\d\d)?)?)
  | (?P<date>@\d{4}(?:-\d\d(?:-\d\d)?)?)
  | (?P<decimal>\d+\.\d+)
  | (?P<integer>\d+)
  | (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<quoted>`(?:[^`\\]|\\.)*`)
  | (?P<external>%(?:[A-Za-z_][A-Za-z0-9_]*(?:-[A-Za-z][A-Za-z0-9_]*)*
        |`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'))
  | (?P<this>\$[A-Za-z]+)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<symbol><=|>=|!=|!~|[.\[\](){},|&+\-*/<>=~])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(path: str) -> Node:
    """The syntax tree of one expression.

    Raises FhirPathError with the position of the first character that does not fit.
    """
    return _Parser(path).parse()


def is_moment(text: str, *, is_time: bool = False) -> bool:
    """Whether the day and hour of a date, dateTime or time exist: month 13 does not.

    The form is the grammar's part and not looked at.
    """
    day, clock = ("", text) if is_time else text.partition("T")[::2]
    numbers = [int(number) for number in day.split("-") if number]
    year, month, number = [*numbers, 1, 1, 1][:3] if numbers else (1, 1, 1)
    found = _CLOCK.match(clock)
    hour, minute, second = (int(n or 0) for n in found.groups()) if found else (0, 0, 0)
    try:
        datetime(year, month, number, hour, minute, second)
    except ValueError:
        return False
    return True


def element_names(node: Node) -> set[str]:
    """The names of the elements that an expression goes through, its criteria left out."""
    if isinstance(node, Member):
        return {node.name} | (element_names(node.base) if node.base else set())
    if isinstance(node, Call):
        below = {"extension"} if node.name == "extension" else set()
        return below | (element_names(node.base) if node.base else set())
    if isinstance(node, Indexer):
        return element_names(node.base)
    if isinstance(node, Binary):
        return element_names(node.left) | element_names(node.right)
    return set()


def _unescape(text: str, path: str, at: int) -> str:
    def one(match: re.Match[str]) -> str:
        body = match.group(1)
        if body[0] == "u":
            if not re.fullmatch(r"u[0-9A-Fa-f]{4}", body):
                raise FhirPathError(r"\u needs four hex digits", path=path, position=at)
            return chr(int(body[1:], 16))
        return _ESCAPES.get(body, body)

    plain = re.sub(r"\\(u[0-9A-Fa-f]{0,4}|.)", one, text, flags=re.DOTALL)
    try:
        # Two escapes may be the halves of one character beyond U+FFFF, as in JSON.
        return plain.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise FhirPathError(r"\u gives half a character", path=path, position=at) from None


class _Parser:
    """Recursive descent over the tokens of one path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.tokens = self._tokens()
        self.next = 0

    def _tokens(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self.path):
            match = _TOKEN.match(self.path, at)
            if match is None:
                raise self._error(f"{self.path[at]!r} does not belong here", at)
            if match.lastgroup != "space":
                tokens.append(_Token(str(match.lastgroup), match.group(), at))
            at = match.end()
        return [*tokens, _Token("end", "", len(self.path))]

    def _error(self, message: str, at: int) -> FhirPathError:
        return FhirPathError(message, path=self.path, position=at)

    @property
    def _here(self) -> _Token:
        return self.tokens[self.next]

    def _take(self) -> _Token:
        token = self._here
        self.next += 1
        return token

    def _is_symbol(self, text: str) -> bool:
        return self._here.kind == "symbol" and self._here.text == text

    def _expect(self, text: str) -> _Token:
        if not self._is_symbol(text):
            found = repr(self._here.text) if self._here.text else "the end"
            raise self._error(f"expected {text!r}, found {found}", self._here.at)
        return self._take()

    def parse(self) -> Node:
        node = self._expression(0)
        if self._here.kind != "end":
            raise self._error(f"{self._here.text!r} does not belong here", self._here.at)
        return node

    def _expression(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._unary()
        left = self._expression(level + 1)
        while True:
            token = self._here
            word = token.kind == "name" and token.text in _WORD_OPERATORS
            if not (token.kind == "symbol" or word) or token.text not in _BINARY[level]:
                return left
            self._take()
            is_type = token.text in ("is", "as")
            right = self._type_name() if is_type else self._expression(level + 1)
            left = Binary(token.text, left, right, token.at)

    def _type_name(self) -> Node:
        node: Node | None = None
        while True:
            token = self._take()
            if token.kind not in ("name", "quoted"):
                raise self._error("expected the name of a type", token.at)
            node = Member(node, self._name(token), token.at)
            if not self._is_symbol("."):
                return node
            self._take()

    def _unary(self) -> Node:
        if self._is_symbol("-") or self._is_symbol("+"):
            token = self._take()
            return Unary(token.text, self._unary(), token.at)
        return self._postfix()

    def _postfix(self) -> Node:
        node = self._term()
        while True:
            if self._is_symbol("."):
                self._take()
                node = self._invocation(node)
            elif self._is_symbol("["):
                at = self._take().at
                index = self._expression(0)
                self._expect("]")
                node = Indexer(node, index, at)
            else:
                return node

    def _name(self, token: _Token) -> str:
        if token.kind == "quoted":
            return _unescape(token.text[1:-1], self.path, token.at)
        return token.text

    def _invocation(self, base: Node | None) -> Node:
        token = self._take()
        if token.kind == "this":
            return self._this(token)
        reserved = token.text in _WORD_OPERATORS - _ALSO_NAMES
        if token.kind not in ("name", "quoted") or (token.kind == "name" and reserved):
            found = repr(token.text) if token.text else "the end"
            raise self._error(f"expected a name, found {found}", token.at)
        name = self._name(token)
        if not self._is_symbol("("):
            return Member(base, name, token.at)
        self._take()
        arguments: list[Node] = []
        if not self._is_symbol(")"):
            arguments.append(self._expression(0))
            while self._is_symbol(","):
                self._take()
                arguments.append(self._expression(0))
        self._expect(")")
        return Call(base, name, tuple(arguments), token.at)

    def _this(self, token: _Token) -> This:
        if token.text not in ("$this", "$index", "$total"):
            raise self._error(f"{token.text} is unknown; $this, $index and $total exist", token.at)
        return This(token.text[1:], token.at)

    def _term(self) -> Node:
        token = self._here
        if token.kind == "symbol" and token.text == "(":
            self._take()
            inner = self._expression(0)
            self._expect(")")
            return inner
        if token.kind == "symbol" and token.text == "{":
            self._take()
            self._expect("}")
            return EmptySet(token.at)
        if token.kind in ("integer", "decimal"):
            return self._number()
        if token.kind == "external":
            self._take()
            name = token.text[1:]
            if name[0] in "`'":
                name = _unescape(name[1:-1], self.path, token.at)
            return External(name, token.at)
        if token.kind == "this":
            return self._this(self._take())
        if token.kind == "name" and token.text in ("true", "false"):
            self._take()
            return Literal("boolean", token.text, token.at)
        if token.kind == "string":
            self._take()
            return Literal("string", _unescape(token.text[1:-1], self.path, token.at), token.at)
        if token.kind in ("date", "datetime", "time"):
            return self._moment()
        return self._invocation(None)

    def _moment(self) -> Node:
        """`@2020`, `@2020T` (a dateTime known to the year), `@2020-01-01T12:00Z`, `@T12:00`."""
        token = self._take()
        if token.kind == "time":
            text, kind = token.text.removeprefix("@T"), "time"
        elif token.kind == "datetime":
            text, kind = token.text.removeprefix("@").removesuffix("T"), "dateTime"
        else:
            text, kind = token.text.removeprefix("@"), "date"
        if not is_moment(text, is_time=kind == "time"):
            raise self._error(f"there is no such {kind}: {token.text}", token.at)
        return Literal(kind, text, token.at)

    def _number(self) -> Node:
        token = self._take()
        unit = self._here
        if unit.kind == "string":
            self._take()
            return Literal(
                "quantity", token.text, token.at, _unescape(unit.text[1:-1], self.path, unit.at)
            )
        if unit.kind == "name" and unit.text in _CALENDAR_UNITS:
            self._take()
            return Literal("quantity", token.text, token.at, unit.text)
        return Literal(token.kind, token.text, token.at)
