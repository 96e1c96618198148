"""What a cell or a JSON value says: glucose in mg/dL, amounts, and readings beyond a sensor's limits.

Arithmetic is decimal, with the digits of the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from ingestion.sources.glucose.words import means

#: mg/dL in 1 mmol/L: the molar mass of D-glucose, C6H12O6, is 180.156 g/mol (PubChem CID 5793).
MG_DL_PER_MMOL_L: Final = Decimal("18.0156")
_TENTH: Final = Decimal("0.1")
_ONE: Final = Decimal(1)
#: No living person has more, whatever the unit; a value above is none.
_MOST: Final = {"mg/dL": Decimal(2000), "mmol/L": Decimal(112)}
_LONGEST_NUMBER: Final = 24


class Unit(StrEnum):
    """How glucose was written."""

    MG_DL = "mg/dL"
    MMOL_L = "mmol/L"


class Beyond(StrEnum):
    """A reading that the sensor gave as a word instead of a number."""

    LOW = "low"
    HIGH = "high"


class NotAValue(ValueError):
    """A cell that is neither a number nor one of the words for low and high."""


@dataclass(frozen=True, slots=True)
class Glucose:
    """``mg_dl`` as the sensor meant it; ``as_written`` and ``unit`` as the source wrote it."""

    mg_dl: Decimal
    as_written: str
    unit: Unit
    beyond: Beyond | None = None


def unit_of(text: str) -> Unit | None:
    """The unit that a header or a JSON value names, in any case and spelling of the litre."""
    word = "".join(text.split()).casefold()
    if "mg/dl" in word:
        return Unit.MG_DL
    return Unit.MMOL_L if "mmol/l" in word else None


def number(text: str) -> Decimal:
    """A number with a decimal point or comma, and nothing else. Raises :class:`NotAValue`."""
    plain = text.strip()
    if plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    if len(plain) > _LONGEST_NUMBER:
        raise NotAValue
    try:
        value = Decimal(plain)
    except InvalidOperation:
        raise NotAValue from None
    if not value.is_finite():
        raise NotAValue
    return value


def amount(text: str) -> float | None:
    """An amount of insulin, carbohydrates or time that is not negative; None for an empty cell."""
    if not text.strip():
        return None
    value = number(text)
    if value < 0 or value > 1_000_000:
        raise NotAValue
    return float(value)


def glucose(text: str, unit: Unit, *, highest: int = 400) -> Glucose:
    """A reading, or the word for one beyond the sensor's limits.

    Such a reading gets the value just beyond: 39 mg/dL, or ``highest`` + 1. Raises :class:`NotAValue`.
    """
    word = text.strip()
    if not word[:1].isdigit():
        if means("low", word):
            return Glucose(Decimal(39), word, unit, Beyond.LOW)
        if means("high", word):
            return Glucose(Decimal(highest + 1), word, unit, Beyond.HIGH)
    value = number(word)
    if not 0 < value <= _MOST[unit]:
        raise NotAValue
    return Glucose(mg_dl(value, unit), word, unit)


def mg_dl(value: Decimal, unit: Unit) -> Decimal:
    """The value in mg/dL.

    A sensor measures whole mg/dL. A source that keeps them as mmol/L with many digits (Tidepool: 3.88552 for
    70) gets its whole number back; a value rounded to tenths could be one of two, so it keeps its decimals and
    is compared with the limits in mmol/L.
    """
    if unit is Unit.MG_DL:
        return value
    exact = value * MG_DL_PER_MMOL_L
    return exact if is_rounded(value) else exact.quantize(_ONE, ROUND_HALF_UP)


def is_rounded(value: Decimal) -> bool:
    """Whether a value in mmol/L has no more than one decimal."""
    return value == value.quantize(_TENTH)
