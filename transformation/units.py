"""Units of measurement: the lists in ``dbt/units``, and the dbt macro that is generated from them.

``units.csv`` lists the units that the platform knows, by their UCUM code (https://ucum.org): dimension,
and the exact rational factor and offset to the dimension's base unit, so that
``base = value * factor + offset``. Arbitrary units (``[iU]``) are a dimension of their own.
``spellings.csv`` says which other texts stand for them, ``measures.csv`` in which unit a measure is
shown, ``measure_codes.csv`` by which codes it is known. Between amount and mass of a substance only a
measure with a molar mass converts, from equivalents only one with a charge.

Everything here is :class:`~fractions.Fraction`: what dbt gets are whole numbers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path

from lakehouse.errors import ConfigurationError
from lakehouse.quoting import literal

_MASS, _SUBSTANCE, _EQUIVALENT = (
    "mass_concentration",
    "substance_concentration",
    "equivalent_concentration",
)
_ANNOTATION = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Unit:
    """A UCUM unit: ``base = value * factor + offset``, in the base unit of its dimension."""

    code: str
    dimension: str
    factor: Fraction
    offset: Fraction


@dataclass(frozen=True)
class Measure:
    """What is measured: the unit it is shown in, and what its conversions may use.

    ``unit_if_none`` is the unit of a number without any; null where none can be taken for granted.
    ``molar_mass`` is in g/mol, ``charge`` in equivalents per mole.
    """

    name: str
    kind: str
    unit: Unit
    unit_if_none: Unit | None
    molar_mass: Fraction | None
    charge: int | None
    codes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Conversion:
    """``shown = (value * numerator + addend) / denominator``, all whole numbers."""

    measure: str
    unit: str
    numerator: int
    addend: int
    denominator: int

    def apply(self, value: Fraction) -> Fraction:
        return (value * self.numerator + self.addend) / self.denominator


@dataclass(frozen=True)
class Units:
    """The lists of a project."""

    units: dict[str, Unit]
    spellings: dict[str, str]
    measures: tuple[Measure, ...]

    def spelled(self, text: str) -> Unit | None:
        """The unit that a text stands for: as it is, else without regard to case (UCUM's `c/i`)."""
        tidy = tidied(text)
        code = self.spellings.get(tidy) or self.spellings.get(tidy.upper())
        return self.units[code] if code is not None else None

    def conversions(self) -> Iterator[Conversion]:
        """Every unit that fits a measure, with the way to the unit it is shown in."""
        for measure in self.measures:
            for unit in self.units.values():
                found = _conversion(measure, unit)
                if found is not None:
                    yield found


def read_units(project: Path) -> Units:
    """The lists in ``<project>/units``.

    Raises :class:`ConfigurationError` where a spelling stands for two units or a name is unknown.
    """
    folder = project / "units"
    units = {
        row["unit"]: Unit(
            row["unit"], row["dimension"], Fraction(row["factor"]), Fraction(row["offset"])
        )
        for row in _rows(folder / "units.csv")
    }
    codes: dict[str, list[tuple[str, str]]] = {}
    for row in _rows(folder / "measure_codes.csv"):
        codes.setdefault(row["measure"], []).append((row["system"], row["code"]))
    try:
        measures = tuple(
            Measure(
                name=row["measure"],
                kind=row["kind"],
                unit=units[row["unit"]],
                unit_if_none=units[row["unit_if_none"]] if row["unit_if_none"] else None,
                molar_mass=Fraction(row["molar_mass"]) if row["molar_mass"] else None,
                charge=int(row["charge"]) if row["charge"] else None,
                codes=tuple(codes.pop(row["measure"])),
            )
            for row in _rows(folder / "measures.csv")
        )
        spellings = _spellings(units, list(_rows(folder / "spellings.csv")))
    except KeyError as error:
        raise ConfigurationError(
            f"{folder}: {error.args[0]!r} is in one list and missing in another."
        ) from None
    if codes:
        raise ConfigurationError(
            f"{folder}/measure_codes.csv: no such measure: {', '.join(sorted(codes))}."
        )
    return Units(units, spellings, measures)


def tidied(text: str) -> str:
    """A unit without annotations (`{beats}/min`), which mean nothing (UCUM, section 6), and without the
    full stop of an abbreviation (`lbs.`)."""
    plain = text.replace("\u00b5", "u").replace("\u03bc", "u")
    bare = _ANNOTATION.sub("", plain).strip()
    if not bare and plain.strip():
        return "1"
    return bare.rstrip("/" if bare != plain.strip() else "").rstrip(".").rstrip()


def unit_macros(units: Units) -> str:
    """The text of ``macros/generated/units.sql``: the lists as relations, and the measures' names."""
    parts = [
        "{#- Generated from dbt/units by `lakehouse generate`; do not edit. -#}",
        "",
        "{#- Texts that stand for a unit, with its UCUM code. -#}",
        _relation("unit_spellings", ("spelling", "unit"), sorted(units.spellings.items())),
        "",
        "{#- Measures by the codes they are known by; `rank` decides where several match. -#}",
        _relation(
            "measure_codes",
            ("system", "code", "measure", "rank"),
            [
                (system, code, measure.name, rank)
                for rank, measure in enumerate(units.measures, 1)
                for system, code in measure.codes
            ],
        ),
        "",
        "{#- Of each measure the unit it is shown in, and the unit of a number without one. -#}",
        _relation(
            "measure_units",
            ("measure", "standard_unit", "unit_if_none"),
            [
                (
                    measure.name,
                    measure.unit.code,
                    measure.unit_if_none.code if measure.unit_if_none else None,
                )
                for measure in units.measures
            ],
        ),
        "",
        "{#- shown = (value * numerator + addend) / denominator -#}",
        _relation(
            "unit_conversions",
            ("measure", "unit", "numerator", "addend", "denominator"),
            [
                (each.measure, each.unit, each.numerator, each.addend, each.denominator)
                for each in units.conversions()
            ],
            casts={"numerator": "hugeint", "addend": "hugeint", "denominator": "hugeint"},
        ),
        "",
        "{#- The measures that are vital signs. -#}",
        "{% macro vital_signs() %}",
        "    {{ return(["
        + ", ".join(f"'{m.name}'" for m in units.measures if m.kind == "vital-sign")
        + "]) }}",
        "{% endmacro %}",
    ]
    return "\n".join(parts) + "\n"


def _conversion(measure: Measure, unit: Unit) -> Conversion | None:
    """The way from ``unit`` to the measure's unit; none where they are of different kinds."""
    across = _across(measure, unit)
    if across is None:
        return None
    shown = measure.unit
    factor = unit.factor * across / shown.factor
    addend = (unit.offset * across - shown.offset) / shown.factor
    denominator = factor.denominator * addend.denominator
    numerator, added = factor * denominator, addend * denominator
    common = gcd(int(numerator), int(added), denominator)
    return Conversion(
        measure.name,
        unit.code,
        int(numerator) // common,
        int(added) // common,
        denominator // common,
    )


def _across(measure: Measure, unit: Unit) -> Fraction | None:
    """The factor between the base units of two dimensions; 1 where they are the same."""
    shown, given = measure.unit.dimension, unit.dimension
    if shown == given:
        return Fraction(1)
    per_mole = {
        _SUBSTANCE: Fraction(1),
        _MASS: measure.molar_mass,
        _EQUIVALENT: Fraction(measure.charge) if measure.charge else None,
    }
    wanted, had = per_mole.get(shown), per_mole.get(given)
    return wanted / had if wanted is not None and had is not None else None


def _spellings(units: dict[str, Unit], rows: list[dict[str, str]]) -> dict[str, str]:
    """Text → UCUM code: the codes themselves, the listed spellings, then both in capitals."""
    found = {code: code for code in units}
    for row in rows:
        known = found.setdefault(row["spelling"], units[row["unit"]].code)
        if known != row["unit"]:
            raise ConfigurationError(
                f"{row['spelling']!r} stands for {known} and for {row['unit']}."
            )
    for text, code in list(found.items()):
        found.setdefault(text.upper(), code)
    return found


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


def _relation(
    name: str,
    columns: tuple[str, ...],
    rows: Sequence[tuple[str | float | bool | None, ...]],
    casts: dict[str, str] | None = None,
) -> str:
    """A macro that gives a relation of literals."""
    values = ",\n".join(f"        ({', '.join(literal(value) for value in row)})" for row in rows)
    selected = ", ".join(
        f"{column}::{casts[column]} as {column}" if casts and column in casts else column
        for column in columns
    )
    return (
        f"{{% macro {name}() -%}}\n    select {selected}\n    from (\n        values\n{values}\n"
        f"    ) as listed ({', '.join(columns)})\n{{%- endmacro %}}"
    )
