"""FHIRPath functions of single values, one DuckDB expression each: `{0}` is the value, the others the arguments."""


def within_range(sql: str) -> str:
    """A double; empty where the number is too large for one."""
    return f"nullif(nullif({sql}, 'infinity'), '-infinity')"


def exact_number(sql: str) -> str:
    """A double as the decimal that it stands for; FHIRPath's has 8 places at most (N1, Decimal)."""
    return f"try_cast({sql} as decimal(38, 10))"


def finite(sql: str) -> str:
    """A double with 15 digits, which are those that it surely has; empty where there is none.

    FHIRPath has neither infinity nor NaN, and 1.1 * 1.1 is 1.21.
    """
    return (
        f"list_transform([{sql}], lambda n: "
        "case when isfinite(n) then cast(printf('%.15g', n) as double) end)[1]"
    )


#: Their first argument is a regular expression.
WITH_PATTERN = ("matches", "matchesFull", "replaceMatches")
CALLS = {
    "negate": "(- {0})",
    "toString": "cast({0} as varchar)",
    "toInteger": "case when regexp_full_match(cast({0} as varchar), '[+-]?[0-9]+|true|false') "
    "then coalesce(try_cast({0} as bigint), cast(try_cast({0} as boolean) as bigint)) end",
    "toDecimal": "case when regexp_full_match(cast({0} as varchar), "
    r"'[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false') "
    "then coalesce("
    + within_range("try_cast({0} as double)")
    + ", cast(try_cast({0} as boolean) as double)) end",
    "toBoolean": "case when lower(cast({0} as varchar)) in "
    "('true', 't', 'yes', 'y', '1', '1.0') then true "
    "when lower(cast({0} as varchar)) in ('false', 'f', 'no', 'n', '0', '0.0') then false end",
    "toDate": r"nullif(regexp_extract({0}, '^(\d{{4}}(-\d\d(-\d\d)?)?)(T.*)?$', 1), '')",
    "toDateTime": r"nullif(regexp_extract({0}, '^\d{{4}}(-\d\d(-\d\d(T.*)?)?)?$'), '')",
    "toTime": r"nullif(regexp_extract({0}, '^\d\d(:\d\d(:\d\d(\.\d+)?)?)?$'), '')",
    "startsWith": "starts_with({0}, {1})",
    "endsWith": "ends_with({0}, {1})",
    "contains": "contains({0}, {1})",
    "matches": "regexp_matches({0}, {1}, 's')",
    "matchesFull": "regexp_full_match({0}, {1}, 's')",
    # An empty pattern is found before and after each character.
    "replace": "case when {1} = '' then regexp_replace({0}, '', replace({2}, '\\', '\\\\'), 'gs') "
    "else replace({0}, {1}, {2}) end",
    # $1 is \\1 in DuckDB, and a backslash stands for itself.
    "replaceMatches": "regexp_replace({0}, {1}, regexp_replace(replace({2}, '\\', '\\\\'), "
    r"'\$([0-9])', '\\\1', 'g'), 'gs')",
    "indexOf": "(strpos({0}, {1}) - 1)",
    "substring": "case when {1} >= 0 and {1} < length({0}) "
    "then substr({0}, {1} + 1, coalesce({2}, length({0}))) end",
    "length": "length({0})",
    "upper": "upper({0})",
    "lower": "lower({0})",
    "trim": "trim({0})",
    "abs": "abs({0})",
    "ceiling": "try_cast(ceil({0}) as bigint)",
    "floor": "try_cast(floor({0}) as bigint)",
    "truncate": "try_cast(trunc({0}) as bigint)",
    "round": "cast(round("
    + exact_number("{0}")
    + ", cast(coalesce({1}, 0) as integer)) as double)",
    "sqrt": finite("case when {0} >= 0 then sqrt({0}) end"),
    "exp": finite("exp({0})"),
    "ln": finite("case when {0} > 0 then ln({0}) end"),
    "log": finite("case when {0} > 0 and {1} > 0 then ln({0}) / nullif(ln({1}), 0) end"),
    "power": finite("pow({0}, {1})"),
}
