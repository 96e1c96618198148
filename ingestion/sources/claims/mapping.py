"""Which column of a layout is which column of ``claim_row``: data (``mappings/*.yml``), read once.

A mapping names the system, the columns that make a claim's key, and for each layout what its rows are (its
``part``), the setting it stands for and its columns. A column is named, or the first filled one of a list,
or made: ``{join: […]}`` puts texts together, ``{sum: […]}`` adds numbers, ``{constant: …}`` is itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from ingestion.intake import layouts
from ingestion.intake.layouts import Layout
from ingestion.reasons import Reason
from ingestion.sources.claims.tables import CLAIM_ROW, DATES, NUMBERS, TEXTS
from ingestion.sources.delimited import Row
from lakehouse.errors import ConfigurationError, InputRejected

PARTS: Final = frozenset({"claim", "line", "claim_line", "code", "transaction", "set"})
_FOLDER: Final = Path(__file__).parent / "mappings"
_DIGITS: Final = Decimal("0.0001")
_LARGEST: Final = Decimal(10) ** 14
_EMPTY: Final[Mapping[str, object]] = {
    column.name: None for column in CLAIM_ROW.columns if column.name not in CLAIM_ROW.key
}

#: What a row gives for one column of ``claim_row``.
Value = Callable[["Reading"], object]


@dataclass(frozen=True, slots=True)
class CodeColumns:
    """Columns that hold one code: its kind, or the column that says it, and what is told with it."""

    kind: str | None
    kind_from: str | None
    sequence: int | str
    code: Sequence[str]
    version: str | None
    present: str | None
    performed_on: str | None


@dataclass(frozen=True)
class ClaimMapping:
    """How rows of one layout become rows of ``claim_row``."""

    system: str
    layout: Layout
    part: str
    setting: str | None
    claim_key: tuple[str, ...]
    row_key: tuple[str, ...]
    deleted: Mapping[str, frozenset[str]]
    missing: frozenset[str]
    values: Mapping[str, Value]
    modifiers: tuple[str, ...]
    codes: tuple[CodeColumns, ...]
    kinds: Mapping[str, str]
    code_version: tuple[str, Mapping[str, str]] | str | None

    def record(self, row: Row) -> dict[str, object]:
        """A row of ``claim_row``. Raises :class:`InputRejected` where a value is none of its type, or a
        required one is missing."""
        reading = Reading(row, self.missing)
        reading.check()
        made = dict(_EMPTY)
        made |= {name: value(reading) for name, value in self.values.items()}
        made["claim_id"] = f"{self.system}/" + "|".join(
            reading.text(name) or "" for name in self.claim_key
        )
        own = [reading.text(name) or "" for name in self.row_key]
        if not any(own) and self.part in ("line", "code"):
            own = [str(row.position)]
        made["row_key"] = "|".join([self.layout.name.removeprefix(f"{self.system}_"), *own])
        made["layout"] = self.layout.name
        made["layout_version"] = self.layout.version
        made["system"] = self.system
        made["part"] = self.part
        made["is_deleted"] = any(
            reading.text(name) in values for name, values in self.deleted.items()
        )
        made["service_setting"] = self.setting
        found = [text for name in self.modifiers if (text := reading.text(name))]
        made["modifiers"] = found or None
        made["codes"] = list(self._codes(reading)) or None
        made["record"] = written(row)
        return made

    def _codes(self, reading: Reading) -> Iterator[dict[str, object]]:
        for one in self.codes:
            code = reading.first(one.code)
            if code is None:
                continue
            kind = one.kind or self.kinds.get(reading.text(one.kind_from or "") or "", "other")
            sequence = (
                one.sequence
                if isinstance(one.sequence, int)
                else reading.integer(one.sequence) or 0
            )
            yield {
                "kind": kind,
                "sequence": sequence,
                "code": code,
                "version": self._version(one, reading),
                "present_on_admission": reading.text(one.present) if one.present else None,
                "performed_on": reading.day(one.performed_on) if one.performed_on else None,
            }

    def _version(self, one: CodeColumns, reading: Reading) -> str | None:
        if one.version is not None:
            return reading.text(one.version)
        if isinstance(self.code_version, tuple):
            column, values = self.code_version
            said = reading.text(column)
            return values.get(said.casefold()) if said else None
        return self.code_version


class Reading:
    """The values of one row: what the system writes for nothing is None."""

    def __init__(self, row: Row, missing: frozenset[str]) -> None:
        self._row = row
        self._missing = missing

    def check(self) -> None:
        """Raise :class:`InputRejected` where a required value is missing, or any is none of its type."""
        layout = self._row.layout
        for name in layout.required:
            self._row.text(name, required=True)
        for name, kind in layout.columns.items():
            text = self._row.texts.get(name)
            if kind == "string" or not text or text.strip() in self._missing:
                continue
            if kind == "date":
                self._row.date(name)
            elif kind == "integer":
                self._row.integer(name)
            elif kind == "decimal":
                self._row.decimal(name)

    def text(self, name: str) -> str | None:
        found = self._row.text(name)
        return None if found in self._missing else found

    def first(self, names: Sequence[str]) -> str | None:
        return next((text for name in names if (text := self.text(name))), None)

    def day(self, name: str) -> date | None:
        if self.text(name) is None:
            return None
        if self._row.layout.columns.get(name) == "timestamp":
            return self._day_of_time(name)
        return self._row.date(name)

    def _day_of_time(self, name: str) -> date | None:
        """The day of a time as it was written: a claim's day is where the care was given."""
        text = self.text(name) or ""
        try:
            return date.fromisoformat(text[:10])
        except ValueError:
            raise InputRejected(f"{name} is no time.", reason=Reason.INVALID_VALUE) from None

    def integer(self, name: str) -> int | None:
        return None if self.text(name) is None else self._row.integer(name, bits=32)

    def number(self, name: str) -> Decimal | None:
        if self.text(name) is None:
            return None
        found = self._row.decimal(name)
        if found is None:
            return None
        if abs(found) >= _LARGEST:
            raise InputRejected(f"{name} is too large.", reason=Reason.INVALID_VALUE)
        return found.quantize(_DIGITS, ROUND_HALF_UP)


def written(row: Row) -> str:
    """The filled columns of a row as JSON, as they were written."""
    filled = {
        name: text for texts in (row.texts, row.others) for name, text in texts.items() if text
    }
    return msgspec.json.encode(filled).decode()


@cache
def mappings() -> Mapping[str, ClaimMapping]:
    """Every mapping, by the name of its layout. Raises :class:`ConfigurationError` with the file at fault."""
    found: dict[str, ClaimMapping] = {}
    for path in sorted(_FOLDER.glob("*.yml")):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            for name, own in content["layouts"].items():
                for layout in (one for one in layouts.load() if one.name == name):
                    found[layout.name] = _mapping(content, own, layout)
        except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                f"The mapping {path.name} of claims is wrong: {error}.",
                hint="Compare it with plain.yml beside it.",
            ) from error
    return found


def _mapping(content: Mapping[str, Any], own: Mapping[str, Any], layout: Layout) -> ClaimMapping:
    part = own["part"]
    if part not in PARTS:
        raise ValueError(f"{layout.name} has the part {part}")
    columns = own.get("columns", {})
    claim_key = tuple(own.get("claim_key") or content["claim_key"])
    row_key = own.get("row_key")
    if row_key is None:
        row_key = (
            [columns["line_number"]] if part == "claim_line" and "line_number" in columns else []
        )
    version = content.get("code_version")
    return ClaimMapping(
        system=content["system"],
        layout=layout,
        part=part,
        setting=own.get("setting"),
        claim_key=_there(layout, claim_key),
        row_key=_there(layout, row_key),
        deleted={
            column: frozenset(values)
            for column, values in content.get("deleted", {}).items()
            if column in layout.columns
        },
        missing=frozenset(content.get("missing", ())),
        values={name: _value(name, given, layout) for name, given in columns.items()},
        modifiers=tuple(name for name in content.get("modifiers", ()) if name in layout.columns),
        codes=tuple(_codes(content.get("codes", ()), layout)),
        kinds=content.get("kinds", {}),
        code_version=(version["column"], version["values"])
        if isinstance(version, dict)
        else version,
    )


def _there(layout: Layout, names: Sequence[str]) -> tuple[str, ...]:
    missing = [name for name in names if name not in layout.columns]
    if missing:
        raise ValueError(f"{layout.name} has no column {', '.join(missing)}")
    return tuple(names)


def _value(name: str, given: Any, layout: Layout) -> Value:
    if isinstance(given, Mapping):
        return _made(name, given, layout)
    names = [one for one in ([given] if isinstance(given, str) else given) if one in layout.columns]
    if name in TEXTS:
        return lambda reading: reading.first(names)
    if name in DATES:
        return lambda reading: _first(reading.day, names)
    if name in NUMBERS:
        return lambda reading: _first(reading.number, names)
    raise ValueError(f"{name} is no column of claim_row")


def _made(name: str, given: Mapping[str, Any], layout: Layout) -> Value:
    (how, what), *more = given.items()
    if more or (how == "sum") != (name in NUMBERS):
        raise ValueError(f"{name} cannot be made by {', '.join(given)}")
    if how == "constant":
        return lambda _reading: str(what)
    names = [one for one in what if one in layout.columns]
    if how == "join":
        return lambda reading: "".join(reading.text(one) or "" for one in names) or None
    if how == "sum":
        return lambda reading: _sum(reading, names)
    raise ValueError(f"{name} cannot be made by {how}")


def _first(read: Callable[[str], object], names: Sequence[str]) -> object:
    for name in names:
        if (found := read(name)) is not None:
            return found
    return None


def _sum(reading: Reading, names: Sequence[str]) -> Decimal | None:
    found = [number for name in names if (number := reading.number(name)) is not None]
    return sum(found, Decimal(0)).quantize(_DIGITS) if found else None


def _codes(given: Sequence[Mapping[str, Any]], layout: Layout) -> Iterator[CodeColumns]:
    for one in given:
        code = [one["code"]] if isinstance(one["code"], str) else one["code"]
        if not any("#" in name for name in code):
            names = [name for name in code if name in layout.columns]
            if names:
                yield _code(one, names, one.get("sequence", 1), layout, None)
            continue
        number = 1
        while (name := code[0].replace("#", str(number))) in layout.columns:
            yield _code(one, [name], number, layout, number)
            number += 1


def _code(
    one: Mapping[str, Any],
    code: Sequence[str],
    sequence: int | str,
    layout: Layout,
    number: int | None,
) -> CodeColumns:
    def named(key: str) -> str | None:
        name = one.get(key)
        name = name.replace("#", str(number)) if name and number is not None else name
        return name if name in layout.columns else None

    return CodeColumns(
        kind=one.get("kind"),
        kind_from=named("kind_from"),
        sequence=sequence,
        code=code,
        version=named("version"),
        present=named("present"),
        performed_on=named("date"),
    )
