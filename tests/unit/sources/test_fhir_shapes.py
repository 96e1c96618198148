"""Whatever a view reads is checked when a resource is split: no row loses a value in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ingestion.sources.fhir import FhirSource
from ingestion.sources.fhir.shapes import HEADS, RESOURCE, VIEWS, read_by_silver, refusal
from sql_on_fhir import ElementShape, definitions

if TYPE_CHECKING:
    from tests.unit.sources.conftest import Reader

GOOD: dict[str, Any] = {
    "boolean": True,
    "integer": 7,
    "decimal": 7.5,
    "date": "2020-02-29",
    "dateTime": "2020-02-29T10:00:00Z",
}
WRONG: dict[str, list[Any]] = {
    "boolean": ["true", 1, {}],
    "integer": ["7", 7.5, []],
    "decimal": ["7.5", True, {}],
    "date": ["29.02.2020", "2021-02-29", 2020, {}],
    "dateTime": ["soon", "2020-02-29T25:00:00Z", []],
    "complex": ["text", 7],
}


def good(element: ElementShape) -> Any:
    kind = definitions.kind_of(element.type)
    one = {} if kind == "complex" else GOOD.get(kind, "text")
    return [one] if element.many else one


def wrong(element: ElementShape) -> list[Any]:
    kind = definitions.kind_of(element.type)
    values = WRONG.get(kind, [7, True, {}, ["text"]])
    if element.many:
        return [*([value] for value in values), good(element)[0]]
    return [*values, [good(element)]]


def paths(
    element: ElementShape, above: tuple[tuple[str, bool], ...] = ()
) -> Iterator[tuple[tuple[tuple[str, bool], ...], str, ElementShape]]:
    for key, below in element.elements:
        yield above, key, below
        if below.type != "Reference":
            yield from paths(below, (*above, (key, below.many)))


def resource(type_name: str, above: tuple[tuple[str, bool], ...], key: str, value: Any) -> bytes:
    for name, many in reversed([*above, (key, False)]):
        value = {name: [value] if many else value}
    return json.dumps({"resourceType": type_name, "id": "x"} | value).encode()


@pytest.mark.parametrize("type_name", sorted(read_by_silver()))
def test_each_element_that_silver_reads_is_checked(type_name: str) -> None:
    checked = 0
    for above, key, element in paths(read_by_silver()[type_name]):
        RESOURCE.decode(resource(type_name, above, key, good(element)))
        RESOURCE.decode(resource(type_name, above, key, None))
        for value in wrong(element):
            with pytest.raises(msgspec.ValidationError) as raised:
                RESOURCE.decode(resource(type_name, above, key, value))
            reason, detail = refusal(raised.value)
            assert reason in ("wrong_shape", "invalid_value", "fhir_version"), (key, value)
            assert key in detail
        checked += 1
    assert checked


def test_the_resources_of_every_view_are_checked() -> None:
    of_views = {json.loads(path.read_bytes())["resource"] for path in VIEWS.glob("*.json")}
    assert of_views <= read_by_silver().keys() <= HEADS.keys()


@pytest.mark.parametrize(
    ("body", "reason", "place"),
    [
        (
            {"resourceType": "Immunization", "primarySource": "true"},
            "invalid_value",
            "primarySource",
        ),
        ({"resourceType": "Immunization", "vaccineCode": [{}]}, "wrong_shape", "vaccineCode"),
        (
            {"resourceType": "Immunization", "occurrenceDateTime": "last week"},
            "invalid_value",
            "occurrenceDateTime",
        ),
        ({"resourceType": "Claim", "total": {"value": "12,50"}}, "invalid_value", "total.value"),
        ({"resourceType": "Claim", "item": {"sequence": 1}}, "wrong_shape", "item"),
        ({"resourceType": "Coverage", "payor": {"display": "X"}}, "wrong_shape", "payor"),
        (
            {"resourceType": "CarePlan", "period": {"end": "2020-02-30"}},
            "invalid_value",
            "period.end",
        ),
        (
            {"resourceType": "ExplanationOfBenefit", "payment": {"amount": 12.5}},
            "wrong_shape",
            "payment.amount",
        ),
        (
            {"resourceType": "Observation", "effectiveTiming": {"event": ["2020-01-01", "x"]}},
            "invalid_value",
            "effectiveTiming.event",
        ),
        (
            {"resourceType": "Condition", "code": {"coding": [{"code": {}}]}},
            "wrong_shape",
            "code.coding[0].code",
        ),
    ],
)
def test_a_malformed_record_is_quarantined_with_its_place(
    reader: Reader, body: dict[str, Any], reason: str, place: str
) -> None:
    entries = [{"resource": body | {"id": "x"}}]
    data = json.dumps({"resourceType": "Bundle", "entry": entries}).encode()
    outcome = reader(FhirSource(), {"f.json": data}, "fhir_bundle")
    assert outcome.refused == [("entry[0]", reason)]
    assert f"`{place}`" in outcome.rejected[0].detail


def test_a_list_of_primitives_may_hold_null_where_it_has_extensions_only(reader: Reader) -> None:
    body = {
        "resourceType": "AllergyIntolerance",
        "id": "a",
        "category": ["food", None],
        "_category": [None, {"extension": [{"url": "http://x.org", "valueCode": "other"}]}],
    }
    outcome = reader(FhirSource(), {"f.json": json.dumps(body).encode()}, "fhir_bundle")
    assert outcome.ids == ["AllergyIntolerance/a"]
