"""What compile_view, check_view and run_view promise beyond the conformance suite."""

import copy
import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import zstandard

from sql_on_fhir import (
    CardinalityError,
    FhirPathError,
    SourceError,
    ViewDefinitionError,
    check_view,
    compile_view,
    run_view,
    stream_view,
)

VIEW: dict[str, Any] = {
    "resourceType": "ViewDefinition",
    "name": "patient_names",
    "resource": "Patient",
    "select": [
        {"column": [{"name": "id", "path": "getResourceKey()", "type": "id"}]},
        {"forEach": "name", "column": [{"name": "family", "path": "family"}]},
    ],
}
PATIENTS = [
    {"resourceType": "Patient", "id": "a", "name": [{"family": "A1"}, {"family": "A2"}]},
    {"resourceType": "Patient", "id": "b", "name": [{"family": "B"}]},
]
ROWS = [("a", "A1"), ("a", "A2"), ("b", "B")]
OTHER = {"resourceType": "Observation", "id": "o", "subject": {"type": "Patient"}}


def rows_of(view: dict[str, Any], *resources: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect() as con:
        texts = [r if isinstance(r, str) else json.dumps(r) for r in resources]
        con.register("resources", pa.table({"resource": pa.array(texts, pa.string())}))
        return con.execute(compile_view(view, source="resources").sql).fetchall()


def column(path: str, **more: Any) -> dict[str, Any]:
    return {"resource": "Patient", "select": [{"column": [{"name": "v", "path": path, **more}]}]}


# compile_view


def test_the_columns_are_described_in_order() -> None:
    compiled = compile_view(VIEW, source="t")
    assert compiled.name == "patient_names"
    assert compiled.resource == "Patient"
    assert [(c.name, c.fhir_type, c.sql_type, c.collection) for c in compiled.columns] == [
        ("id", "id", "VARCHAR", False),
        ("family", "string", "VARCHAR", False),
    ]


def test_the_statement_is_the_same_every_time_and_has_no_semicolon() -> None:
    first = compile_view(VIEW, source="t").sql
    assert first == compile_view(json.dumps(VIEW), source="t").sql
    assert ";" not in first


def test_other_resource_types_give_no_rows_unless_the_type_is_assumed() -> None:
    assert rows_of(VIEW, *PATIENTS, OTHER) == ROWS
    assert "resourceType =" not in compile_view(VIEW, source="t", assume_type=True).sql


def test_a_resource_is_parsed_once() -> None:
    with duckdb.connect() as con:
        con.execute("create table t as select '{}' as resource")
        view = {**VIEW, "where": [{"path": "active"}, {"path": "gender = 'male'"}]}
        sql = f"select * from ({compile_view(view, source='t').sql}) where family = 'x'"
        explained = con.execute(f"explain {sql}").fetchall()[0][1]
    assert "Filters" not in explained.split("SEQ_SCAN")[1] or "from_json" not in explained
    assert compile_view(view, source="t").sql.count("from_json(") == 1


def test_columns_of_the_source_are_carried_on_each_row() -> None:
    with duckdb.connect() as con:
        con.execute('create table t (doc json, file_id int, "odd name" text)')
        con.execute("insert into t values (?, 7, 'x')", [json.dumps(PATIENTS[0])])
        compiled = compile_view(
            VIEW,
            source="(select * from t)",
            resource_column="doc",
            passthrough=["file_id", "odd name"],
        )
        cursor = con.execute(compiled.sql)
        assert [c[0] for c in cursor.description or []] == ["id", "family", "file_id", "odd name"]
        assert cursor.fetchall() == [("a", "A1", 7, "x"), ("a", "A2", 7, "x")]


def test_a_carried_column_must_not_be_a_column_of_the_view() -> None:
    with pytest.raises(ViewDefinitionError, match="carried"):
        compile_view(VIEW, source="t", passthrough=["ID"])


def test_the_source_is_put_in_as_it_is() -> None:
    assert (
        "from {{ source('x', 'y') }} as src"
        in compile_view(VIEW, source="{{ source('x', 'y') }}").sql
    )


@pytest.mark.parametrize(
    ("path", "hint", "value"),
    [
        ("multipleBirth.ofType(integer)", "BIGINT", 2),
        ("birthDate", "DATE", "2020-02-29"),
        ("birthDate", "VARCHAR", "2020-02-29"),
        ("extension.value.ofType(decimal)", "VARCHAR", "1.50"),
        ("extension.value.ofType(decimal)", "DECIMAL(10,3)", "1.500"),
        ("extension.value.ofType(decimal)", "DOUBLE PRECISION", "1.5"),
    ],
)
def test_an_ansi_type_tag_chooses_the_sql_type(path: str, hint: str, value: Any) -> None:
    text = (
        '{"resourceType": "Patient", "multipleBirthInteger": 2, "birthDate": "2020-02-29",'
        ' "extension": [{"url": "u", "valueDecimal": 1.50}]}'
    )
    view = column(path, tag=[{"name": "ansi/type", "value": hint}])
    assert str(rows_of(view, text)[0][0]) == str(value)


def test_decimals_keep_their_text_whatever_else_is_in_the_resource() -> None:
    text = (
        '{"resourceType":"Patient","id":"x","name":[{"text":"\\": 1.10, {2.20}\\\\","family":"a\\"b"}],'
        '"extension":[{"url":"u","valueDecimal":12345678901234567890.120}]}'
    )
    tag = [{"name": "ansi/type", "value": "VARCHAR"}]
    view = column("extension.value.ofType(decimal)", tag=tag)
    view["select"][0]["column"] += [
        {"name": "t", "path": "name.text"},
        {"name": "f", "path": "name.family"},
    ]
    assert rows_of(view, text) == [("12345678901234567890.120", '": 1.10, {2.20}\\', 'a"b')]


@pytest.mark.parametrize("written", ["7.05E1", "70.500", "70.5000000000000000001", "-1e-2", "5"])
def test_a_number_is_one_beside_its_own_text(written: str) -> None:
    text = (
        f'{{"resourceType":"Observation","id":"x","valueQuantity":{{"value":{written}}},'
        '"component":[{"valueInteger":3}]}'
    )
    view = {
        "resourceType": "ViewDefinition",
        "name": "v",
        "resource": "Observation",
        "select": [
            {
                "column": [
                    {"name": "number", "path": "value.ofType(Quantity).value"},
                    {"name": "twice", "path": "value.ofType(Quantity).value * 2"},
                    {"name": "said", "path": "value.ofType(Quantity).value.toString()"},
                    {"name": "whole", "path": "component.first().value.ofType(integer)"},
                    {
                        "name": "element",
                        "path": "value.ofType(Quantity)",
                        "type": "Quantity",
                    },
                ]
            }
        ],
    }
    number = float(written)
    ((*row, element),) = rows_of(view, text)
    assert row == [number, pytest.approx(2 * number), written, 3]
    assert json.loads(element) == {"value": number}


# data that breaks its definition


@pytest.mark.parametrize(
    "broken",
    [
        {"gender": {"x": 1}},
        {"gender": ["a"]},
        {"active": "true"},
        {"active": 1},
        {"active": {}},
        {"name": {"family": "x"}},
        {"name": "x"},
        {"name": [["x"]]},
        {"name": [{"family": ["x"]}]},
        {"name": [{"given": "x"}]},
        {"multipleBirthInteger": "2"},
        {"multipleBirthInteger": 2.5},
        {"multipleBirthInteger": 99999999999999999999},
        {"maritalStatus": []},
        {"maritalStatus": 3},
        {"birthDate": []},
        {"contact": [3, None, {"name": []}]},
    ],
    ids=json.dumps,
)
def test_broken_data_gives_null(broken: dict[str, Any]) -> None:
    view: dict[str, Any] = {
        "resource": "Patient",
        "select": [
            {
                "column": [
                    {"name": "gender", "path": "gender"},
                    {"name": "active", "path": "active"},
                    {"name": "family", "path": "name.family.first()"},
                    {"name": "given", "path": "name.given.first()"},
                    {"name": "births", "path": "multipleBirth.ofType(integer)"},
                    {"name": "marital", "path": "maritalStatus.text"},
                    {"name": "born", "path": "birthDate.lowBoundary()"},
                    {"name": "contact", "path": "contact.name.family.first()"},
                ]
            }
        ],
    }
    assert rows_of(view, {"resourceType": "Patient", **broken}) == [(None,) * 8]


def test_text_that_looks_like_json_stays_text() -> None:
    view = column("name.text", collection=True)
    texts = ["{score}", "[lb_av]", '{"a": 1}', "[1]", "{}", "ü{", "[µg]"]
    patient = {"resourceType": "Patient", "name": [{"text": text} for text in texts]}
    assert rows_of(view, patient) == [(texts,)]


def test_json_inside_a_string_is_kept_whatever_its_escapes() -> None:
    patient = (
        r'{"resourceType": "Patient", "name": [{"text": "[\"caf\u00e9\"]"},'
        r' {"text": "{\"url\":\"http:\/\/x\"}"}, {"text": "\u005b\u0031]"},'
        r' {"text": {"caf\u00e9": 1}}, {"text": ["x\/y"]}]}'
    )
    kept = ['["café"]', '{"url":"http://x"}', "[1]"]
    assert rows_of(column("name.text", collection=True), patient) == [(kept,)]


@pytest.mark.parametrize("hint", ["DOUBLE", "REAL", "FLOAT"])
def test_no_column_holds_nan_or_infinity(hint: str) -> None:
    patient = (
        '{"resourceType": "Patient", "gender": "NaN", "language": "Infinity",'
        ' "extension": [{"url": "u", "valueDecimal": 1e400}]}'
    )
    view = column("gender", tag=[{"name": "ansi/type", "value": hint}])
    view["select"][0]["column"] += [
        {"name": "l", "path": "language", "tag": [{"name": "ansi/type", "value": hint}]},
        {"name": "e", "path": "extension.value.ofType(decimal)"},
        {"name": "n", "path": "gender.toDecimal()"},
        {"name": "s", "path": "extension.value.ofType(decimal) * 2"},
    ]
    assert rows_of(view, patient) == [(None,) * 5]


def test_what_is_not_json_is_passed_over() -> None:
    assert (
        rows_of(VIEW, '{"resourceType": "Patient", ', "", "[]", '"Patient"', PATIENTS[1])
        == ROWS[2:]
    )


# check_view


def test_every_problem_is_reported_with_its_place() -> None:
    view = {
        "resource": "Patint",
        "constant": [{"name": "c"}],
        "where": [{"path": "name.family"}, {}],
        "select": [
            {
                "forEach": "name",
                "forEachOrNull": "name",
                "column": [
                    {"name": "1st", "path": "family"},
                    {"name": "ok", "path": "family..x", "type": "strng"},
                ],
            },
            {},
            {"repeat": "item", "column": [{"path": "$this"}]},
        ],
    }
    places = [problem.where for problem in check_view(view)]
    for place in (
        "resource",
        "constant[0]",
        "where[1]",
        "select[0]",
        "select[0].column[0]",
        "select[0].column[1].path",
        "select[1]",
        "select[2].repeat",
        "select[2].column[0]",
    ):
        assert place in places, place


def test_unknown_elements_are_a_warning() -> None:
    problems = check_view(column("nam.family"))
    assert [(p.severity, "nam" in p.message) for p in problems] == [("warning", True)]
    assert compile_view(column("nam.family"), source="t").warnings


def test_a_good_view_has_no_problems() -> None:
    assert check_view(VIEW) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"select": []}, "select is missing"),
        ({"select": "x"}, "list of objects"),
        ({"resource": 3}, "not a resource type"),
        ({"name": "1 table"}, "not a name"),
        ({"resourceType": "Patient"}, "resourceType"),
        ({"constant": [{"name": "c", "valueQuantity": {}}]}, "not allowed"),
        ({"constant": [{"name": "c", "valueInteger": "one"}]}, "is not a integer"),
        ({"constant": [{"name": "c", "valueDate": "2020-02-30"}]}, "is not a date"),
        ({"resource": "DomainResource"}, "not a resource type"),
        ({"wher": [{"path": "active"}]}, "'where' is"),
        ({"select": [{"columns": [], **VIEW["select"][0]}]}, "'column' is"),
        ({"select": [{"where": [], **VIEW["select"][0]}]}, "'where' is not an element"),
        (column("id", nmae="x"), "'name' is"),
        (column("id", tag=[{"code": "x"}]), "'code' is not an element"),
        ({"where": [{"path": "active", "not": True}]}, "'not' is not an element"),
        (column("gender.matches('(a')"), "no regular expression"),
        ({"constant": [{"name": "c", "valueDate": "20-1"}]}, "is not a date"),
        ({"constant": [{"name": "c", "valueCode": "a", "valueString": "b"}]}, "exactly one"),
        ({"constant": [{"name": "c", "valueCode": "a"}] * 2}, "twice"),
        (
            {"select": [{"column": [{"name": "a", "path": "id"}, {"name": "A", "path": "id"}]}]},
            "twice",
        ),
        (
            {"select": [{"column": [{"name": "a", "path": "id", "collection": "yes"}]}]},
            "true or false",
        ),
        (
            {
                "select": [
                    {
                        "unionAll": [
                            {"column": [{"name": "a", "path": "id"}]},
                            {"column": [{"name": "a", "path": "active"}]},
                        ]
                    }
                ]
            },
            "boolean here",
        ),
    ],
)
def test_a_broken_view_is_refused(change: dict[str, Any], word: str) -> None:
    view = {**copy.deepcopy(VIEW), **change}
    with pytest.raises(ViewDefinitionError, match=word):
        compile_view(view, source="t")
    assert any(word in problem.message for problem in check_view(view))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (
            {
                "resourceType": "http://hl7.org/fhir/uv/sql-on-fhir/StructureDefinition/"
                "ViewDefinition"
            },
            "resourceType: this is the URL",
        ),
        ({"name": "patient-names"}, "name: 'patient-names' has a hyphen"),
        ({"constant": [{"name": "c", "valueInteger": "1"}]}, "text: a integer"),
        (column("active", type="date"), "declared date"),
        (column("id", type="integer"), "declared integer"),
        (column("id", type="name"), "'name' is not a type"),
    ],
)
def test_what_published_views_have_is_accepted_with_a_warning(
    change: dict[str, Any], word: str
) -> None:
    view = {**copy.deepcopy(VIEW), **change}
    assert any(word in warning for warning in compile_view(view, source="t").warnings)
    assert {problem.severity for problem in check_view(view)} == {"warning"}


def test_everything_that_the_logical_model_has_is_known() -> None:
    view = {
        **column("id", description="x", extension=[], _type={"id": "t"}),
        "id": "v",
        "meta": {"profile": ["x"]},
        "text": "written by hand",
        "url": "http://example.org/v",
        "title": "V",
        "status": "draft",
        "_status": {"extension": []},
        "contact": [],
        "useContext": [],
        "extension": [],
        "fhirVersion": ["4.0.1"],
        "resourceDefinition": "http://hl7.org/fhir/uv/sql-on-fhir/StructureDefinition/x",
        "where": [{"path": "true", "description": "all"}],
    }
    assert check_view(view) == []


def test_a_column_of_another_declared_type_keeps_its_values() -> None:
    patient = {"resourceType": "Patient", "id": "a", "active": True, "name": [{"text": "N"}]}
    assert rows_of(column("active", type="date"), patient) == [(True,)]
    assert rows_of(column("id", type="integer"), patient) == [("a",)]
    assert rows_of(column("active", type="string"), patient) == [("true",)]
    assert json.loads(rows_of(column("name", type="string"), patient)[0][0]) == {"text": "N"}
    assert rows_of(column("name.text", type="HumanName"), patient) == [("N",)]
    observation = {"resourceType": "Observation", "valueQuantity": {"value": 2.5}}
    view = column("value.ofType(Quantity).value", type="integer")
    assert rows_of({**view, "resource": "Observation"}, observation) == [(2.5,)]


def test_a_column_with_a_hyphen_can_be_read() -> None:
    view = {
        "resource": "Patient",
        "constant": [{"name": "the-use", "valueCode": "usual"}],
        "select": [
            {"column": [{"name": "patient-id", "path": "id"}]},
            {
                "unionAll": [
                    {
                        "forEach": "name.where(use = %the-use)",
                        "column": [{"name": "family-name", "path": "family"}],
                    },
                    {"column": [{"name": "family-name", "path": "gender"}]},
                ]
            },
        ],
    }
    patient = {"resourceType": "Patient", "id": "a", "name": [{"use": "usual", "family": "F"}]}
    assert rows_of(view, patient) == [("a", "F"), ("a", None)]


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(ViewDefinitionError, match="not JSON"):
        compile_view("{", source="t")


# run_view


def test_bundles_ndjson_and_single_resources_are_read(tmp_path: Path) -> None:
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": r} for r in [*PATIENTS, OTHER]] + [{}],
    }
    lines = "\n".join(json.dumps(r) for r in [PATIENTS[0], OTHER, PATIENTS[1]]).encode()
    files = {
        "bundle.json": json.dumps(bundle, indent=2).encode(),
        "line.ndjson": b"\xef\xbb\xbf" + lines + b"\n\n",
        "gz.ndjson.gz": gzip.compress(lines),
        "two.gz": gzip.compress(lines[:20]) + gzip.compress(lines[20:]),
        "zst.ndjson.zst": zstandard.compress(lines),
        "skipped.zst": b"\x50\x2a\x4d\x18\x02\x00\x00\x00ab" + zstandard.compress(lines),
        "bundles.ndjson": json.dumps(bundle).encode(),
        "windows.ndjson": lines.replace(b"\n", b"\r\n"),
        "array.json": json.dumps([*PATIENTS, OTHER], indent=1).encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert run_view(VIEW, [tmp_path / name]).fetchall() == ROWS, name
    single = tmp_path / "single.json"
    single.write_text(json.dumps(PATIENTS[1], indent=2))
    assert run_view(VIEW, [single, str(single)]).fetchall() == ROWS[2:] * 2


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(json.dumps(r) for r in PATIENTS).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    relation = run_view(VIEW, ["-"])
    assert relation.fetchall() == ROWS
    assert relation.fetchall() == ROWS


def test_no_input_gives_no_rows(tmp_path: Path) -> None:
    (tmp_path / "empty.ndjson").write_bytes(b"")
    assert run_view(VIEW, []).columns == ["id", "family"]
    assert run_view(VIEW, [tmp_path / "empty.ndjson"]).fetchall() == []


def test_several_values_name_view_column_path_and_resource(tmp_path: Path) -> None:
    file = tmp_path / "p.ndjson"
    file.write_text(json.dumps(PATIENTS[0]))
    view = {**column("name.family"), "name": "wide"}
    with pytest.raises(CardinalityError) as caught:
        run_view(view, [file])
    for word in ("view wide", "column v", "name.family", "2 values", "Patient/a"):
        assert word in str(caught.value)
    with pytest.raises(CardinalityError):
        list(stream_view(view, [file]))


@pytest.mark.parametrize(
    "content",
    [
        b"not json",
        b'{"resourceType": "Patient"',
        b"{}",
        b"3",
        b'{"a": 1}\n{"b": 2}',
        b"\x1f\x8b\x00",
    ],
)
def test_what_is_not_fhir_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(SourceError, match=r"bad\.json"):
        run_view(VIEW, [tmp_path / "bad.json"])


def test_the_line_at_fault_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.ndjson").write_text(json.dumps(PATIENTS[0]) + "\n{oops}\n")
    with pytest.raises(SourceError, match="line 2"):
        run_view(VIEW, [tmp_path / "bad.ndjson"])
    with pytest.raises(SourceError, match="absent"):
        run_view(VIEW, [tmp_path / "absent.ndjson"])


def test_a_stream_gives_the_same_rows_in_batches(tmp_path: Path) -> None:
    file = tmp_path / "p.ndjson"
    file.write_text("\n".join(json.dumps(r) for r in PATIENTS * 50))
    batches = list(stream_view(VIEW, [file], rows_per_batch=10))
    assert sum(batch.num_rows for batch in batches) == 150
    assert batches[0].schema.names == ["id", "family"]


def test_a_connection_can_be_given(tmp_path: Path) -> None:
    file = tmp_path / "p.ndjson"
    file.write_text(json.dumps(PATIENTS[1]))
    with duckdb.connect() as con:
        assert run_view(VIEW, [file], con=con).fetchall() == ROWS[2:]
        assert run_view(VIEW, [file], con=con).fetchall() == ROWS[2:]


def test_a_path_error_in_a_view_names_view_and_place() -> None:
    view = copy.deepcopy(VIEW)
    view["select"][1]["forEach"] = "name.descendants()"
    with pytest.raises(
        FhirPathError, match=r"'patient_names', select\[1\]\.forEach: descendants\(\)"
    ):
        compile_view(view, source="t")
