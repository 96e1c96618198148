"""Which elements the columns of a view read."""

from __future__ import annotations

from typing import Any

from sql_on_fhir import ElementRead, ElementShape, elements_read, shapes_read

VIEW: dict[str, Any] = {
    "resourceType": "ViewDefinition",
    "name": "example",
    "status": "active",
    "resource": "Observation",
    "where": [{"path": "status = 'final'"}],
    "select": [
        {
            "column": [
                {"name": "id", "path": "getResourceKey()"},
                {"name": "number", "path": "value.ofType(Quantity).value"},
                {"name": "code", "path": "code.coding.where(system = 'a').code.first()"},
                {
                    "name": "parts",
                    "path": "component",
                    "type": "BackboneElement",
                    "collection": True,
                },
            ]
        },
        {
            "forEach": "category.coding",
            "column": [{"name": "category", "path": "code"}],
        },
    ],
}


def read(column: str) -> set[tuple[str, bool]]:
    return {(element.path, element.whole) for element in elements_read(VIEW)[column]}


def test_a_column_reads_the_elements_of_its_path() -> None:
    assert read("id") == {("id", False)}
    assert read("number") == {("valueQuantity.value", False)}
    assert read("code") == {("code.coding.code", False), ("code.coding.system", False)}


def test_what_a_column_iterates_over_is_part_of_its_path() -> None:
    assert read("category") == {("category.coding.code", False)}


def test_a_complex_column_reads_all_below_it() -> None:
    assert elements_read(VIEW)["parts"] == frozenset({ElementRead("component", whole=True)})


def test_what_views_read_is_described_as_r4_defines_it() -> None:
    one = {
        "resource": "Coverage",
        "select": [
            {"column": [{"name": "type", "path": "type", "type": "CodeableConcept"}]},
            {"column": [{"name": "payor", "path": "payor.display.first()"}]},
        ],
    }
    other = {
        "resource": "Coverage",
        "select": [
            {"column": [{"name": "code", "path": "type.coding.code.first()"}]},
            {"column": [{"name": "end", "path": "period.end"}]},
        ],
    }
    shape = shapes_read([one, other])["Coverage"]
    read = dict(shape.elements)
    assert list(read) == ["payor", "period", "type"]
    assert read["payor"] == ElementShape(
        "Reference", True, (("display", ElementShape("string", False)),)
    )
    assert read["period"].elements == (("end", ElementShape("dateTime", False)),)
    coding = dict(dict(read["type"].elements)["coding"].elements)
    assert coding["userSelected"] == ElementShape("boolean", False)
    assert "extension" not in coding
