"""FHIRPath expressions over two resources, each with the value the specification gives it.

Values are what a collection column holds: a list, empty where FHIRPath gives `{}`.
"""

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from sql_on_fhir import FhirPathError, SqlOnFhirError, ViewDefinitionError, compile_view

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "birthDate": "1974-12",
    "_birthDate": {
        "id": "bd",
        "extension": [{"url": "http://x/time", "valueDateTime": "1974-12-25T14:35:45-05:00"}],
    },
    "gender": "male",
    "deceasedBoolean": False,
    "multipleBirthInteger": 2,
    "name": [
        {
            "use": "official",
            "family": "Chalmers",
            "given": ["Peter", None, "James"],
            "_given": [
                None,
                {"extension": [{"url": "http://x/absent", "valueCode": "unknown"}]},
                None,
            ],
        },
        {"use": "usual", "given": ["Jim"]},
    ],
    "telecom": [
        {"system": "phone", "value": "555", "rank": 2},
        {"system": "phone", "value": "556", "rank": 1},
        {"system": "email", "value": "a@b.c"},
    ],
    "maritalStatus": {"text": "single"},
    "managingOrganization": {"reference": "Organization/o1"},
    "generalPractitioner": [
        {"reference": "Practitioner/d1"},
        {"reference": "http://s.org/fhir/PractitionerRole/r1/_history/2"},
        {"reference": "urn:uuid:53fefa32", "type": "Practitioner"},
        {"reference": "#c1"},
        {"reference": "Practitioner?identifier=s|1"},
        {"display": "nobody"},
    ],
    "contained": [
        {"resourceType": "Practitioner", "id": "c1", "name": [{"family": "Contained"}]},
        {"resourceType": "Organization", "id": "c2", "name": "Inside"},
    ],
    "extension": [
        {"url": "http://x/race", "extension": [{"url": "text", "valueString": "Mixed"}]},
        {"url": "http://x/sex", "valueCode": "F"},
    ],
}
OBSERVATION = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"text": "{score}", "coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
    "effectivePeriod": {"start": "2020-01", "end": "2020-02"},
    "issued": "2015-02-07T13:28:17.239+02:00",
    "valueQuantity": {"value": 1.50, "unit": "[lb_av]"},
    "referenceRange": [{"low": {"value": 0.1}, "high": {"value": 0.2}}],
    "component": [
        {"code": {"text": "a"}, "valueQuantity": {"value": 3}},
        {"code": {"text": "b"}, "valueString": "s"},
        {"code": {"text": "c"}, "valueTime": "12:34:00"},
    ],
}
OBSERVATION_TEXT = json.dumps(OBSERVATION).replace('"value": 1.5,', '"value": 1.50,')

PATIENT_VALUES: list[tuple[str, list[Any]]] = [
    # literals and operators: https://hl7.org/fhirpath/N1/#literals
    ("'it\\'s \\u0041'", ["it's A"]),
    ("'GT'", ["GT"]),
    ("'T'", ["T"]),
    ("'\\u0041T'", ["AT"]),
    ("'\\ud83d\\ude00'", ["😀"]),
    ("'\\`\\/\\\\\\t'", ["`/\\\t"]),
    ("'2020T'", ["2020T"]),
    ("@2020T", ["2020"]),
    ("@T14:30", ["14:30"]),
    ("name.family = 'ChalmersT'", [False]),
    ("iif(gender = 'male', 'CT', 'MRT')", ["CT"]),
    ("true", [True]),
    ("{}", []),
    ("1 + 2 * 3", [7]),
    ("(1 + 2) * 3", [9]),
    ("7 div 2", [3]),
    ("-7 div 2", [-3]),
    ("7 mod 2", [1]),
    ("7 / 2", [3.5]),
    ("1 / 0", []),
    ("1 div 0", []),
    ("1 mod 0", []),
    # decimals do not show that they are computed as binary fractions
    ("5.5 mod 0.7", [0.6]),
    ("-5.5 mod 0.7", [-0.6]),
    ("1 mod 0.1", [0]),
    ("0.3 div 0.1", [3]),
    ("0.3 / 0.1", [3]),
    ("1.1 * 1.1", [1.21]),
    ("1.1.power(2)", [1.21]),
    ("1000.log(10)", [3]),
    ("1.005.round(2)", [1.01]),
    ("9223372036854775807 + 1", []),
    ("-7 mod 2", [-1]),
    # there is neither infinity nor NaN
    ("1000.exp()", []),
    ("10.power(400)", []),
    ("(-1).power(0.5)", []),
    ("2.power(-1)", [0.5]),
    ("'NaN'.toDecimal()", []),
    ("'Infinity'.toDecimal()", []),
    ("'1.5x'.toDecimal()", []),
    ("0.1 + 0.2", [0.3]),
    ("-(1.5)", [-1.5]),
    ("'a' + 'b'", ["ab"]),
    ("'a' + {}", []),
    ("'a' & {}", ["a"]),
    ("{} & {}", [""]),
    ("2 + {}", []),
    ("1 = 1.0", [True]),
    ("'1' = 1", [False]),
    ("1 != 2", [True]),
    ("'a' < 'b'", [True]),
    ("'A' ~ 'a'", [True]),
    ("{} ~ {}", [True]),
    ("'a' !~ {}", [True]),
    ("3 in (1 | 2 | 3)", [True]),
    ("(1 | 2) contains 3", [False]),
    ("{} in (1 | 2)", []),
    ("(1 | 2 | 2)", [1, 2]),
    ("(3 | 1 | 3).count()", [2]),
    ("true and {}", []),
    ("false and {}", [False]),
    ("true or {}", [True]),
    ("false or {}", []),
    ("true xor true", [False]),
    ("true xor {}", []),
    ("false implies {}", [True]),
    ("{} implies true", [True]),
    ("{} implies false", []),
    ("true implies false", [False]),
    ("{}.not()", []),
    ("1 = 1 and 2 = 2", [True]),
    ("1 > 2 or 3 > 2", [True]),
    ("`active`", [True]),
    ("Patient.active", [True]),
    ("Resource.id", ["p1"]),
    ("%resource.id", ["p1"]),
    ("%context.id", ["p1"]),
    ("%ucum", ["http://unitsofmeasure.org"]),
    ("active // a comment", [True]),
    ("active /* a comment */ = true", [True]),
    # dates: https://hl7.org/fhirpath/N1/#datetime-comparison
    ("birthDate = @1974-12", [True]),
    ("birthDate = @1974-12-25", []),
    ("birthDate != @1974-11", [True]),
    ("birthDate < @1975", [True]),
    ("birthDate > @1974", []),
    ("birthDate >= @1974-12", [True]),
    ("birthDate < '1980-01-01'", [True]),
    ("@2012-04-15T10:00:00Z = @2012-04-15T12:00:00+02:00", [True]),
    ("@2012-04-15T10:00:00Z < @2012-04-15T10:00:00.001Z", [True]),
    ("@2012-04-15T10:00Z = @2012-04-15T10:00:00Z", []),
    ("@2012-04-15T = @2012-04-15", [True]),
    ("@T10:30 < @T10:31:00", [True]),
    ("@T10:30 = @T10:30:00", []),
    # collections
    ("name.family", ["Chalmers"]),
    ("name.given", ["Peter", "James", "Jim"]),
    ("name.given.first()", ["Peter"]),
    ("name.given.last()", ["Jim"]),
    ("name.given[1]", ["James"]),
    ("name.given[7]", []),
    ("name.given[-1]", []),
    ("name[1].given", ["Jim"]),
    ("name.given.tail()", ["James", "Jim"]),
    ("name.given.skip(1)", ["James", "Jim"]),
    ("name.given.skip(0)", ["Peter", "James", "Jim"]),
    ("name.given.take(2)", ["Peter", "James"]),
    ("name.given.take(0)", []),
    ("name.given.count()", [3]),
    ("name.count() = 2", [True]),
    ("gender.count()", [1]),
    ("name.given.join('-')", ["Peter-James-Jim"]),
    ("gender.join(',')", ["male"]),
    ("address.city.join(',')", []),
    ("name.where(use = 'usual').given", ["Jim"]),
    ("name.where($this.use = 'usual').given", ["Jim"]),
    ("name.where($index = 1).given", ["Jim"]),
    ("name.where(given.count() > 1).use", ["official"]),
    ("name.exists(use = 'usual')", [True]),
    ("name.exists(use = 'x')", [False]),
    ("address.exists()", [False]),
    ("address.empty()", [True]),
    ("telecom.all(system.exists())", [True]),
    ("telecom.all(rank.exists())", [False]),
    ("address.all(city = 'x')", [True]),
    ("telecom.where(rank > 1).value", ["555"]),
    ("telecom.select(value)", ["555", "556", "a@b.c"]),
    ("name.select(given.first())", ["Peter", "Jim"]),
    ("telecom.system.distinct()", ["phone", "email"]),
    ("telecom.system.isDistinct()", [False]),
    ("telecom.value.isDistinct()", [True]),
    ("(name.given | telecom.value).count()", [6]),
    ("name.given.union('Jim')", ["Peter", "James", "Jim"]),
    ("name.given.combine('Jim').count()", [4]),
    ("name.given.intersect('Jim' | 'Bob')", ["Jim"]),
    ("name.given.exclude('Jim')", ["Peter", "James"]),
    ("('Jim' | 'Peter').subsetOf(name.given)", [True]),
    ("name.given.supersetOf('Bob')", [False]),
    ("name.given = ('Peter' | 'James' | 'Jim')", [True]),
    ("name.family = 'Chalmers'", [True]),
    ("name.given = 'Peter'", [False]),
    ("telecom.rank.where($this > 1)", [2]),
    ("(1 | 2 | 3).where($this > 1)", [2, 3]),
    ("telecom.select(rank = 1).allTrue()", [False]),
    ("telecom.select(rank = 1).anyTrue()", [True]),
    ("telecom.select(rank = 1).anyFalse()", [True]),
    ("telecom.select(rank = 1).allFalse()", [False]),
    ("iif(active, 'yes', 'no')", ["yes"]),
    ("iif(active.not(), 'yes')", []),
    ("iif(true, 1, 1.5)", [1]),
    ("gender.single()", ["male"]),
    ("name.given.exclude({})", ["Peter", "James", "Jim"]),
    ("{}.exclude(1 | 2)", []),
    ("(1 | 2 | 3).exclude(2.0)", [1, 3]),
    ("(1 | 2).exclude('a')", [1, 2]),
    ("(1 | 2).intersect({})", []),
    ("(1 | 2).intersect('1')", []),
    ("{}.subsetOf(1 | 2)", [True]),
    ("(1 | 2).subsetOf({})", [False]),
    ("(1 | 2).supersetOf({})", [True]),
    ("1 in ('a' | 'b')", [False]),
    # sets compare dates as `=` does: by instant, and only where the precision is the same
    ("@2020-01-01T07:00:00-05:00 in (@2020-01-01T12:00:00Z | @2021-01-01T00:00:00Z)", [True]),
    ("(@2020-01-01T12:00:00Z | @2021-01-01T00:00:00Z) contains @2020-01-01T12:00Z", [False]),
    ("(@2020-01 | @2020-02) contains @2020-01-05", [False]),
    ("@T10:00:00 in (@T10:00:00.000 | @T11:00:00)", [True]),
    (
        "birthDate.extension('http://x/time').value.ofType(dateTime)"
        ".exclude(@1974-12-25T19:35:45Z)",
        [],
    ),
    (
        "(@2020-01-01T12:00:00Z | @2020-01-02T00:00:00Z).intersect(@2020-01-01T13:00:00+01:00)",
        ["2020-01-01T12:00:00Z"],
    ),
    ("(@2020-01 | @2020-01-01).exclude(@2020-01)", ["2020-01-01"]),
    ("(@2020-01-01T12:00:00Z).subsetOf(@2020-01-01T07:00:00-05:00)", [True]),
    ("(@2020-01-01T12:00:00Z | @2020-01-01T07:00:00-05:00).count()", [1]),
    ("active.hasValue()", [True]),
    ("name.given.hasValue()", [False]),
    ("name.family.hasValue()", [True]),
    ("address.city.hasValue()", [False]),
    ("deceased.hasValue()", [True]),
    ("birthDate.getValue()", ["1974-12"]),
    ("name.given.getValue()", []),
    ("name.getValue()", []),
    ("name.hasValue()", [False]),
    ("gender.trace('x')", ["male"]),
    ("where(active).id", ["p1"]),
    ("where(active = false).id", []),
    # types
    ("deceased.ofType(boolean)", [False]),
    ("deceased.ofType(dateTime)", []),
    ("deceased.exists()", [True]),
    ("deceased.empty()", [False]),
    ("deceased is boolean", [True]),
    ("deceased is dateTime", [False]),
    ("(deceased as boolean)", [False]),
    ("deceased.as(boolean)", [False]),
    ("deceased = false", [True]),
    ("multipleBirth.ofType(integer) + 1", [3]),
    ("multipleBirthInteger", [2]),
    ("gender is code", [True]),
    ("gender.ofType(FHIR.code)", ["male"]),
    ("resourceType", ["Patient"]),
    # primitives have ids and extensions: https://hl7.org/fhir/R4/json.html#primitive
    ("birthDate.extension('http://x/time').value.ofType(dateTime)", ["1974-12-25T14:35:45-05:00"]),
    ("birthDate.id", ["bd"]),
    ("name.given.extension('http://x/absent').value.ofType(code)", ["unknown"]),
    ("extension('http://x/race').extension('text').value.ofType(string)", ["Mixed"]),
    ("extension.where(url = 'http://x/sex').value.ofType(code)", ["F"]),
    ("extension('http://x/none').value.ofType(code)", []),
    ("extension('http://x/sex').exists()", [True]),
    # keys
    ("getResourceKey()", ["p1"]),
    ("managingOrganization.getReferenceKey()", ["o1"]),
    ("managingOrganization.getReferenceKey(Organization)", ["o1"]),
    ("managingOrganization.getReferenceKey(Patient)", []),
    ("managingOrganization.getReferenceKey('Organization')", ["o1"]),
    (
        "generalPractitioner.getReferenceKey()",
        ["d1", "r1", "53fefa32", "p1#c1", "Practitioner?identifier=s|1"],
    ),
    (
        "generalPractitioner.getReferenceKey(Practitioner)",
        ["d1", "53fefa32", "p1#c1", "Practitioner?identifier=s|1"],
    ),
    ("generalPractitioner.getReferenceKey(PractitionerRole)", ["r1", "p1#c1"]),
    ("contained.ofType(Practitioner).name.family", ["Contained"]),
    ("contained.ofType(Organization).name", ["Inside"]),
    ("contained.id", ["c1", "c2"]),
    ("contained.where(id = 'c2').ofType(Organization).name", ["Inside"]),
    ("contained.where(resourceType = 'Practitioner').id", ["c1"]),
    ("contained.where($this is Practitioner).id", ["c1"]),
    ("contained.first().id", ["c1"]),
    ("contained.getResourceKey()", ["c1", "c2"]),
    ("contained.text.status", []),
    ("contained.ofType(Resource).resourceType", ["Practitioner", "Organization"]),
    # strings: https://hl7.org/fhirpath/N1/#string-manipulation
    ("gender.startsWith('ma')", [True]),
    ("gender.endsWith('x')", [False]),
    ("gender.contains('al')", [True]),
    ("gender.matches('^m.*e$')", [True]),
    ("gender.matches('al')", [True]),
    ("gender.replace('m', 'fem')", ["female"]),
    ("gender.replaceMatches('[ae]', '_')", ["m_l_"]),
    ("'12-34'.replaceMatches('([0-9]+)-([0-9]+)', '$2/$1')", ["34/12"]),
    ("'abc'.replaceMatches('b', '[$0]')", ["a[b]c"]),
    ("'abc'.replaceMatches('b', '\\\\1')", ["a\\1c"]),
    ("'abc'.replaceMatches(gender.substring(1, 1), gender)", ["malebc"]),
    (
        "'11/30/1972'.replaceMatches("
        "'(?<month>\\\\d{1,2})/(?<day>\\\\d{1,2})/(?<year>\\\\d{4})', '${year}-${month}-${day}')",
        ["1972-11-30"],
    ),
    ("'(a)'.replaceMatches('[(](a)\\\\)', '$1')", ["a"]),
    ("'abc'.matches('(' & gender)", []),
    ("'abc'.replace('', 'x')", ["xaxbxcx"]),
    ("gender.indexOf('l')", [2]),
    ("gender.indexOf('z')", [-1]),
    ("gender.substring(1)", ["ale"]),
    ("gender.substring(1, 2)", ["al"]),
    ("gender.substring(9)", []),
    ("gender.length()", [4]),
    ("gender.upper()", ["MALE"]),
    ("gender.upper().lower()", ["male"]),
    ("'a,b'.split(',')", ["a", "b"]),
    ("' a '.trim()", ["a"]),
    ("name.family.substring(0, 3) & '.'", ["Cha."]),
    # numbers and conversions
    ("(-1.5).abs()", [1.5]),
    ("1.5.ceiling()", [2]),
    ("1.5.floor()", [1]),
    ("(-1.5).truncate()", [-1]),
    ("3.14159.round(2)", [3.14]),
    ("9.sqrt()", [3]),
    ("(-1).sqrt()", []),
    ("2.power(3)", [8]),
    ("0.exp()", [1]),
    ("1.ln()", [0]),
    ("100.log(10)", [2]),
    ("'12'.toInteger()", [12]),
    ("'x'.toInteger()", []),
    ("'1.5'.toDecimal()", [1.5]),
    ("'yes'.toBoolean()", [True]),
    ("'maybe'.toBoolean()", []),
    ("active.toString()", ["true"]),
    ("multipleBirth.ofType(integer).toString()", ["2"]),
    ("'2020-01-02T10:00:00Z'.toDate()", ["2020-01-02"]),
    ("'2020-01'.toDateTime()", ["2020-01"]),
    ("'10:30'.toTime()", ["10:30"]),
    ("birthDate.toString()", ["1974-12"]),
    ("birthDate.lowBoundary()", ["1974-12-01"]),
    ("birthDate.highBoundary()", ["1974-12-31"]),
    ("birthDate.highBoundary(6)", ["1974-12"]),
    ("noSuchElement", []),
    ("name.noSuchElement.first().deeper", []),
]
OBSERVATION_VALUES: list[tuple[str, list[Any]]] = [
    ("value.ofType(Quantity).value", [1.5]),
    ("value.ofType(Quantity).value.lowBoundary()", [1.495]),
    ("value.ofType(Quantity).value.highBoundary()", [1.505]),
    ("value.ofType(Quantity).value.lowBoundary(2)", [1.49]),
    ("value.ofType(Quantity).value.highBoundary(1)", [1.6]),
    ("value.ofType(Quantity).value.toString()", ["1.50"]),
    ("value.ofType(Quantity).unit", ["[lb_av]"]),
    ("value.unit", ["[lb_av]"]),
    ("code.text", ["{score}"]),
    ("code.text != 'x'", [True]),
    ("effective.ofType(Period).lowBoundary()", ["2020-01-01T00:00:00.000+14:00"]),
    ("effective.ofType(Period).highBoundary()", ["2020-02-29T23:59:59.999-12:00"]),
    ("issued.lowBoundary()", ["2015-02-07T13:28:17.239+02:00"]),
    ("issued > @2015-02-07T11:28:17Z", [True]),
    ("issued = @2015-02-07T11:28:17.239Z", [True]),
    ("issued >= @2015-02-07", []),
    ("issued >= @2015-02-06", [True]),
    ("component.value.ofType(Quantity).value", [3]),
    ("component.value.ofType(string)", ["s"]),
    ("component.where(value is string).code.text", ["b"]),
    ("component.where(value.exists()).count()", [3]),
    ("component.value.ofType(time).first().highBoundary()", ["12:34:00.999"]),
    ("referenceRange.low.value + referenceRange.high.value", [0.3]),
    ("referenceRange.first().low.value * 3", [0.3]),
    ("code.coding.exists(system = 'http://loinc.org' and code = '8480-6')", [True]),
    ("code.coding.where(system = %loinc).code", ["8480-6"]),
    ("value.ofType(Quantity).value > 1 and status = 'final'", [True]),
    ("component.code.text | code.text", ["a", "b", "c", "{score}"]),
    ("component.select(code.text & '!')", ["a!", "b!", "c!"]),
]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        texts = [json.dumps(PATIENT), OBSERVATION_TEXT]
        connection.register("resources", pa.table({"resource": texts}))
        yield connection


def view_of(resource: str, path: str, **column: Any) -> dict[str, Any]:
    return {
        "resource": resource,
        "select": [{"column": [{"name": "v", "path": path, **column}]}],
    }


def evaluate(con: duckdb.DuckDBPyConnection, resource: str, path: str) -> Any:
    view = view_of(resource, path, collection=True)
    rows = con.execute(compile_view(view, source="resources").sql).fetchall()
    assert len(rows) == 1
    return rows[0][0]


@pytest.mark.parametrize(("path", "value"), PATIENT_VALUES, ids=[p for p, _ in PATIENT_VALUES])
def test_on_a_patient(con: duckdb.DuckDBPyConnection, path: str, value: list[Any]) -> None:
    assert evaluate(con, "Patient", path) == value


@pytest.mark.parametrize(
    ("path", "value"), OBSERVATION_VALUES, ids=[p for p, _ in OBSERVATION_VALUES]
)
def test_on_an_observation(con: duckdb.DuckDBPyConnection, path: str, value: list[Any]) -> None:
    assert evaluate(con, "Observation", path) == value


@pytest.mark.parametrize(
    ("path", "position", "word"),
    [
        ("name.where(", 11, "expected a name"),
        ("name..family", 5, "expected a name"),
        ("name.family)", 11, "does not belong"),
        ("name[0", 6, "expected ']'"),
        ("@@", 0, "does not belong"),
        ("'open", 0, "does not belong"),
        ("name.familyy(1)", 5, "is not a function"),
        ("name.descendants()", 5, "not supported"),
        ("name.resolve()", 5, "not supported"),
        ("now()", 0, "not supported"),
        ("1 'mg'", 0, "quantity literals"),
        ("%nothing", 0, "%nothing is not defined"),
        ("name.first(1)", 5, "takes 0 arguments"),
        ("name.where(family)", 11, "true or false"),
        ("gender + 1", 7, "not supported"),
        ("gender > 1", 7, "no meaning"),
        ("deceased.ofType(Nonsense)", 16, "not a type"),
        ("name.getReferenceKey()", 5, "for references"),
        ("gender.lowBoundary()", 7, "lowBoundary"),
        ("$total", 0, "no meaning"),
        ("deceased", 0, "choice of types"),
        ("name.family and", 15, "expected a name"),
        ("'\\u12'", 0, "hex"),
        ("'\\ud83d'", 0, "half a character"),
        ("@2020-13", 0, "no such date"),
        ("@2020-01-01T25:00", 0, "no such dateTime"),
        ("@T24:00", 0, "no such time"),
        ("birthDate > '2020-02-30'", 10, "is not a date"),
        ("contained.name.family", 10, "ofType"),
        ("telecom.rank.sum()", 13, "sum() is FHIRPath but not supported"),
        ("gender.matches('(?=a)')", 7, "'(?=' in a regular expression"),
        ("gender.matches('(a)\\\\1')", 7, "in a regular expression"),
    ],
)
def test_an_error_says_where_it_is(path: str, position: int, word: str) -> None:
    with pytest.raises(FhirPathError, match=r".") as caught:
        compile_view(view_of("Patient", path), source="resources")
    assert word in str(caught.value)
    assert caught.value.position == position
    assert caught.value.where == "select[0].column[0].path"


def test_a_choice_element_follows_the_type_of_its_column(con: duckdb.DuckDBPyConnection) -> None:
    view = view_of("Patient", "deceased", type="boolean")
    assert con.execute(compile_view(view, source="resources").sql).fetchall() == [(False,)]


def test_a_complex_column_needs_its_type(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(ViewDefinitionError, match="not primitive"):
        compile_view(view_of("Patient", "maritalStatus"), source="resources")
    view = view_of("Patient", "maritalStatus", type="CodeableConcept")
    rows = con.execute(compile_view(view, source="resources").sql).fetchall()
    assert json.loads(rows[0][0]) == {"text": "single"}


def test_errors_share_one_base() -> None:
    assert issubclass(FhirPathError, SqlOnFhirError)
    assert issubclass(ViewDefinitionError, SqlOnFhirError)
