"""Small FHIR building blocks shared by the makers: ids, codings, references, resources.

In memory every reference is `Type/id`; `making.packing` turns it into the form a file uses.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

Resource = dict[str, Any]

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
NPI = "http://hl7.org/fhir/sid/us-npi"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
REPORT_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
SAMPLES = "https://samples.example.org"

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, f"{SAMPLES}/ids")


def made_id(*parts: object) -> str:
    """A UUID that depends on the given parts only, so that a second run names things alike."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(map(str, parts))))


def made_uid(*parts: object) -> str:
    """A DICOM UID in the UUID-derived root 2.25 (DICOM PS3.5, annex B.2)."""
    return f"2.25.{uuid.UUID(made_id('uid', *parts)).int}"


def concept(system: str, code: str, display: str, *, text: str | None = None) -> Resource:
    """A CodeableConcept with one coding."""
    made: Resource = {"coding": [{"system": system, "code": code, "display": display}]}
    return made | {"text": text} if text else made


def quantity(value: float, unit: str, code: str | None = None) -> Resource:
    """A Quantity in UCUM."""
    return {"value": value, "unit": unit, "system": UCUM, "code": code or unit}


def reference(resource: Resource) -> Resource:
    """A reference to a resource, in the in-memory form `Type/id`."""
    return {"reference": name_of(resource)}


def name_of(resource: Resource) -> str:
    """`Type/id`, the key under which a resource lives in the lakehouse."""
    return f"{resource['resourceType']}/{resource['id']}"


def first_code(resource: Resource) -> str:
    """The first coding's code of `resource.code`."""
    return str(resource["code"]["coding"][0]["code"])


def encounter_of(resource: Resource) -> str | None:
    """The encounter that a clinical resource names, in whichever element its type uses."""
    context = resource.get("context", {})
    candidates = [
        resource.get("encounter"),
        context if "reference" in context else next(iter(context.get("encounter", [])), None),
        next((e for item in resource.get("item", []) for e in item.get("encounter", [])), None),
    ]
    return next((c["reference"] for c in candidates if isinstance(c, dict)), None)


def references_in(node: Any) -> Iterator[Resource]:
    """Every Reference object below a node, in document order."""
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node
        for value in node.values():
            yield from references_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from references_in(value)


def map_strings(node: Any, change: Callable[[str], str]) -> Any:
    """A copy of a JSON tree with every string value changed."""
    if isinstance(node, dict):
        return {key: map_strings(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return [map_strings(value, change) for value in node]
    return change(node) if isinstance(node, str) else node
