"""The lists of units, checked against the definitions that UCUM gives for its atoms."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

import pytest

from transformation.units import Units, read_units, tidied
from transformation.views import DBT

#: Metric prefixes (UCUM, section 27).
PREFIXES = {
    "k": Fraction(10**3),
    "h": Fraction(10**2),
    "d": Fraction(1, 10),
    "c": Fraction(1, 10**2),
    "m": Fraction(1, 10**3),
    "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9),
    "p": Fraction(1, 10**12),
    "f": Fraction(1, 10**15),
}
INCH = Fraction(254, 10_000)
POUND = Fraction("453.59237")
PASCAL = {"g": 1, "m": -1, "s": -2}
#: Atoms: factor, and powers of the base units (UCUM, sections 28 to 44; ucum-essence.xml). Moles,
#: equivalents, osmoles and arbitrary units count as base units: nothing converts between them by itself.
ATOMS: dict[str, tuple[Fraction, dict[str, int]]] = {
    "m": (Fraction(1), {"m": 1}),
    "s": (Fraction(1), {"s": 1}),
    "g": (Fraction(1), {"g": 1}),
    "K": (Fraction(1), {"K": 1}),
    "V": (Fraction(1000), {"g": 1, "m": 2, "s": -2, "C": -1}),
    "L": (Fraction(1, 1000), {"m": 3}),
    "t": (Fraction(10**6), {"g": 1}),
    "min": (Fraction(60), {"s": 1}),
    "h": (Fraction(3600), {"s": 1}),
    "d": (Fraction(86_400), {"s": 1}),
    "wk": (Fraction(7 * 86_400), {"s": 1}),
    "a": (Fraction("365.25") * 86_400, {"s": 1}),
    "mo": (Fraction("365.25") * 86_400 / 12, {"s": 1}),
    "Hz": (Fraction(1), {"s": -1}),
    "Pa": (Fraction(1000), PASCAL),
    "bar": (Fraction(10**8), PASCAL),
    "m[Hg]": (Fraction("133.3220") * 10**6, PASCAL),
    "m[H2O]": (Fraction("9.80665") * 10**6, PASCAL),
    "J": (Fraction(1000), {"g": 1, "m": 2, "s": -2}),
    "cal": (Fraction(4184), {"g": 1, "m": 2, "s": -2}),
    "mol": (Fraction(1), {"mol": 1}),
    "eq": (Fraction(1), {"eq": 1}),
    "osm": (Fraction(1), {"osm": 1}),
    "kat": (Fraction(1), {"mol": 1, "s": -1}),
    "U": (Fraction(1, 60 * 10**6), {"mol": 1, "s": -1}),
    "[iU]": (Fraction(1), {"[iU]": 1}),
    "[arb'U]": (Fraction(1), {"[arb'U]": 1}),
    "[USP'U]": (Fraction(1), {"[USP'U]": 1}),
    "[pH]": (Fraction(1), {"[pH]": 1}),
    "[HPF]": (Fraction(1), {"[HPF]": 1}),
    "[LPF]": (Fraction(1), {"[LPF]": 1}),
    "[in_i]": (INCH, {"m": 1}),
    "[ft_i]": (INCH * 12, {"m": 1}),
    "[yd_i]": (INCH * 36, {"m": 1}),
    "[gr]": (Fraction("0.06479891"), {"g": 1}),
    "[lb_av]": (POUND, {"g": 1}),
    "[oz_av]": (POUND / 16, {"g": 1}),
    "[stone_av]": (POUND * 14, {"g": 1}),
    "%": (Fraction(1, 100), {}),
    "[ppth]": (Fraction(1, 10**3), {}),
    "[ppm]": (Fraction(1, 10**6), {}),
    "[ppb]": (Fraction(1, 10**9), {}),
    # temperatures as differences: their offsets are tested by themselves
    "Cel": (Fraction(1), {"K": 1}),
    "[degF]": (Fraction(5, 9), {"K": 1}),
}
TERM = re.compile(r"([./]?)(10\*\d+|1(?![0-9*])|(?:[A-Za-z%']|\[[^\]]*\])+)(\d*)")


def defined(code: str) -> tuple[Fraction, dict[str, int]]:
    """Factor and dimension of a UCUM code by the definitions above."""
    factor, powers, end = Fraction(1), Counter[str](), 0
    for match in TERM.finditer(code):
        assert match.start() == end, code
        end = match.end()
        operator, symbol, digits = match.groups()
        sign = -1 if operator == "/" else 1
        power = sign * int(digits or 1)
        base, dimension = _symbol(symbol)
        factor *= base**power
        for name, exponent in dimension.items():
            powers[name] += exponent * power
    assert end == len(code), code
    return factor, {name: power for name, power in powers.items() if power}


def _symbol(symbol: str) -> tuple[Fraction, dict[str, int]]:
    if symbol == "1":
        return Fraction(1), {}
    if symbol.startswith("10*"):
        return Fraction(10 ** int(symbol[3:])), {}
    if symbol in ATOMS:
        return ATOMS[symbol]
    factor, dimension = ATOMS[symbol[1:]]
    return PREFIXES[symbol[0]] * factor, dimension


@pytest.fixture(scope="module")
def units() -> Units:
    return read_units(DBT)


def test_every_factor_is_the_exact_one_of_the_definitions(units: Units) -> None:
    bases = {u.dimension: u for u in units.units.values() if (u.factor, u.offset) == (1, 0)}
    for unit in units.units.values():
        factor, dimension = defined(unit.code)
        base_factor, base_dimension = defined(bases[unit.dimension].code)
        assert dimension == base_dimension, unit
        assert unit.factor == factor / base_factor, unit


def test_only_temperatures_have_another_zero(units: Units) -> None:
    offsets = {u.code: u.offset for u in units.units.values() if u.offset}
    assert offsets == {"Cel": Fraction("273.15"), "[degF]": Fraction("459.67") * 5 / 9}


def test_an_arbitrary_unit_is_a_dimension_of_its_own(units: Units) -> None:
    of = {code: unit.dimension for code, unit in units.units.items()}
    assert of["[iU]/L"] == of["m[iU]/L"] != of["U/L"]
    assert len({of["[iU]"], of["[USP'U]"], of["U"], of["mol"], of["eq"]}) == 5


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("K/uL", "10*3/uL"),
        ("K/UL", "10*3/uL"),
        ("mcg", "ug"),
        ("µg", "ug"),
        ("\u03bcmol/L", "umol/L"),
        ("mEq/L", "meq/L"),
        ("u/L", "U/L"),
        ("mmHg", "mm[Hg]"),
        ("MM[HG]", "mm[Hg]"),
        ("F", "[degF]"),
        ("°F", "[degF]"),
        ("lbs", "[lb_av]"),
        ("LBS", "[lb_av]"),
        ("MG/DL", "mg/dL"),
        ("mg%", "mg/dL"),
        ("Deg. F", "[degF]"),
        ("mM", "mmol/L"),
        ("mm", "mm"),
        ("{beats}/min", "/min"),
        ("{score}", "1"),
        ("mL/min/{1.73_m2}", "mL/min"),
        (" kg ", "kg"),
        ("m[IU]/L", "m[iU]/L"),
    ],
)
def test_what_laboratories_write_stands_for_a_unit(units: Units, text: str, code: str) -> None:
    found = units.spelled(text)
    assert found is not None
    assert found.code == code


@pytest.mark.parametrize("text", ["furlong", "", "10/L", "109/L", "{"])
def test_what_is_no_known_unit_stands_for_none(units: Units, text: str) -> None:
    assert units.spelled(text) is None


def test_annotations_alone_stand_for_one() -> None:
    assert [tidied(text) for text in ("{a}", "{a}/min", "mg{b}", "", "/uL", "Kgs.", "in. ")] == [
        "1",
        "/min",
        "mg",
        "",
        "/uL",
        "Kgs",
        "in",
    ]


def test_capitals_stand_for_one_unit_only(units: Units) -> None:
    capitals = Counter(code.upper() for code in units.units)
    assert [text for text, count in capitals.items() if count > 1] == []


@pytest.mark.parametrize(
    ("measure", "unit", "value", "shown"),
    [
        ("body_temperature", "[degF]", "98.6", "37"),
        ("body_temperature", "K", "310.15", "37"),
        ("body_weight", "[lb_av]", "160", "72.5747792"),
        ("body_height", "[in_i]", "67", "170.18"),
        ("leukocytes", "10*3/uL", "4", "4"),
        ("leukocytes", "/uL", "4300", "4.3"),
        ("erythrocytes", "10*6/uL", "4.7", "4.7"),
        ("calcium", "meq/L", "5", "10.0195"),
        ("calcium", "mmol/L", "2.5", "10.0195"),
        ("sodium", "meq/L", "140", "140"),
        ("glucose", "mmol/L", "5.5", "99.0858"),
        ("thyrotropin", "u[iU]/mL", "2.5", "2.5"),
    ],
)
def test_a_conversion_is_exact(
    units: Units, measure: str, unit: str, value: str, shown: str
) -> None:
    found = {(c.measure, c.unit): c for c in units.conversions()}[measure, unit]
    assert found.apply(Fraction(value)) == Fraction(shown)


@pytest.mark.parametrize(
    ("measure", "unit"),
    [
        ("hemoglobin", "mmol/L"),
        ("urea_nitrogen", "mmol/L"),
        ("glucose", "meq/L"),
        ("thyrotropin", "U/L"),
        ("alanine_aminotransferase", "[iU]/L"),
        ("body_weight", "cm"),
    ],
)
def test_without_molar_mass_or_charge_or_dimension_nothing_is_converted(
    units: Units, measure: str, unit: str
) -> None:
    assert (measure, unit) not in {(c.measure, c.unit) for c in units.conversions()}


def test_a_code_names_one_measure_and_loinc_codes_have_their_check_digit(units: Units) -> None:
    codes = [pair for measure in units.measures for pair in measure.codes]
    assert len(codes) == len(set(codes))
    for code in (code for system, code in codes if system == "http://loinc.org"):
        number, _, check = code.partition("-")
        doubled = [int(d) * (2 if i % 2 == 0 else 1) for i, d in enumerate(reversed(number))]
        assert -sum(d // 10 + d % 10 for d in doubled) % 10 == int(check), code
