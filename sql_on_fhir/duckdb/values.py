"""DuckDB SQL for FHIR's own values: partial dates, boundaries, references.

Each function takes the SQL text of a value and returns SQL text; the value may appear several
times in it, so callers bind it to a name first.
"""

import re
from datetime import UTC, datetime

_KEY_FORMAT = "%Y-%m-%dT%H:%M:%S.%g"
_ID = r"([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$"
_ZONE = r"(Z|[+-]\d\d:\d\d)$"
_CUTS = {4: 4, 6: 7, 8: 10}


def sort_key(text: str, kind: str) -> str:
    """A date, dateTime or time constant as sort_key_sql gives a value: same length, same order."""
    if kind == "time":
        return _with_milliseconds(text) if len(text) >= 8 else text
    if len(text) <= 10:
        return text
    clock = re.fullmatch(r"(.{10}T)(\d\d)(:\d\d)?(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?", text)
    if clock is None:
        return text
    day, hour, minute, second, fraction, offset = clock.groups()
    full = f"{day}{hour}{minute or ':00'}{second or ':00'}"
    parsed = datetime.fromisoformat(f"{full}{(offset or 'Z').replace('Z', '+00:00')}")
    utc = parsed.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if second:
        return _with_milliseconds(f"{utc}{fraction or ''}")
    return utc[:16] if minute else utc[:13]


def _with_milliseconds(text: str) -> str:
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction[:3]:<03}"


def sort_key_sql(value: str, kind: str) -> str:
    """Text that sorts by time and whose length is its precision; offsets become UTC.

    A dateTime without offset counts as UTC.
    """
    if kind == "time":
        return (
            f"case when length({value}) >= 8 "
            f"then left(rpad(case when length({value}) = 8 then {value} || '.' else {value} end, "
            f"12, '0'), 12) else {value} end"
        )
    if kind == "date":
        return value
    zoned = f"case when regexp_matches({value}, '{_ZONE}') then {value} else {value} || 'Z' end"
    return (
        f"case when length({value}) > 10 "
        f"then strftime(epoch_ms(epoch_ms(try_cast({zoned} as timestamptz))), '{_KEY_FORMAT}') "
        f"else {value} end"
    )


def compare_sql(operator: str, left: str, right: str) -> str:
    """https://hl7.org/fhirpath/N1/#datetime-comparison: empty where precision does not decide."""
    shared = f"least(length({left}), length({right}))"
    sides = f"left({left}, {shared}) {{}} left({right}, {shared})"
    same = "true" if "=" in operator else "false"
    different = "false" if operator == "=" else sides.format(operator)
    return (
        f"case when {sides.format('<>')} then {different} "
        f"when length({left}) = length({right}) then {same} end"
    )


def boundary_sql(value: str, kind: str, high: bool, precision: int | None) -> str:
    """lowBoundary and highBoundary of text as written in the resource.

    https://build.fhir.org/ig/HL7/FHIRPath/#lowboundaryprecision-integer-decimal--date--datetime--time
    """
    if kind in ("integer", "decimal"):
        return _decimal_boundary(value, high, precision)
    if kind == "time":
        return _clock_boundary(value, "", high)
    date = _date_boundary(value, high)
    if kind == "date":
        return f"left({date}, {_CUTS[precision]})" if precision in _CUTS else date
    if precision in _CUTS:
        return f"left({_date_boundary(f'left({value}, 10)', high)}, {_CUTS[precision]})"
    end = "T23:59:59.999-12:00" if high else "T00:00:00.000+14:00"
    zone = "-12:00" if high else "+14:00"
    clock = _clock_boundary(f"substr({value}, 12)", zone, high)
    return (
        f"case when length({value}) <= 10 then {date} || '{end}' "
        f"else left({value}, 10) || 'T' || {clock} end"
    )


def _decimal_boundary(value: str, high: bool, precision: int | None) -> str:
    digits = f"length(regexp_extract({value}, '\\.([0-9]+)', 1))"
    sign = "+" if high else "-"
    bound = f"try_cast({value} as double) {sign} 0.5 * pow(10, -{digits})"
    rounded = f"round({bound}, cast({digits} + 1 as integer))"
    if precision is None:
        return rounded
    if precision < 0:
        return "cast(null as double)"
    step = "ceil" if high else "floor"
    scale = f"pow(10, {precision})"
    return f"round({step}(round({rounded} * {scale}, 6)) / {scale}, {precision})"


def _date_boundary(value: str, high: bool) -> str:
    if not high:
        return (
            f"case length({value}) when 4 then {value} || '-01-01' "
            f"when 7 then {value} || '-01' else {value} end"
        )
    last = f"strftime(last_day(try_cast({value} || '-01' as date)), '%Y-%m-%d')"
    return (
        f"case length({value}) when 4 then {value} || '-12-31' when 7 then {last} else {value} end"
    )


def _clock_boundary(value: str, zone: str, high: bool) -> str:
    """hh:mm[:ss[.f]][zone] filled to milliseconds, and to the zone where it has none."""
    pattern = r"^(\d\d:\d\d)(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?$"

    def part(number: int, otherwise: str) -> str:
        found = f"regexp_extract({value}, '{pattern}', {number})"
        return f"coalesce(nullif({found}, ''), '{otherwise}')"

    digit = "9" if high else "0"
    fraction = f"left(rpad({part(3, '.')}, 4, '{digit}'), 4)"
    seconds = part(2, ":59" if high else ":00")
    filled = f"nullif(regexp_extract({value}, '{pattern}', 1), '') || {seconds} || {fraction}"
    return f"({filled} || {part(4, zone)})" if zone else f"({filled})"


def reference_key_sql(text: str, type_text: str, own_id: str, wanted: str | None) -> str:
    """getReferenceKey: the key of the resource that a Reference points to.

    `Type/id`, `…/Type/id` and `…/Type/id/_history/v` give the id; `urn:uuid:x` and `urn:oid:x`
    give x; `#c` gives the containing resource's id and `#c`; `Type?query` stays as it is.
    """
    any_type = "[A-Za-z]+"
    type_ = wanted or any_type
    literal = f"nullif(regexp_extract({text}, '(?:^|/){type_}/{_ID}', 1), '')"
    contained = f"{own_id} || nullif({text}, '#')"
    if wanted is None:
        of_type = ""
        query = f"contains({text}, '?')"
        fast = ""
    else:
        named = f"regexp_extract({type_text}, '[A-Za-z]+$')"
        of_type = f" and coalesce({named}, '{wanted}') = '{wanted}'"
        query = f"starts_with({text}, '{wanted}?')"
        start = len(wanted) + 2
        fast = (
            f"when starts_with({text}, '{wanted}/') and not contains(substr({text}, {start}), '/') "
            f"then nullif(substr({text}, {start}), '') "
        )
    return (
        f"case {fast}"
        f"when starts_with({text}, '#') then case when true{of_type} "
        f"then coalesce({contained}, {own_id}) end "
        f"when starts_with({text}, 'urn:uuid:') then case when true{of_type} "
        f"then substr({text}, 10) end "
        f"when starts_with({text}, 'urn:oid:') then case when true{of_type} "
        f"then substr({text}, 9) end "
        f"when {query} then {text} "
        f"when contains({text}, '?') then null "
        f"else {literal} end"
    )
