"""Writes r4.json, the table of FHIR R4 types, from the published StructureDefinitions.

Source: the files profiles-types.xml and profiles-resources.xml of FHIR R4 (4.0.1), which HL7
publishes under CC0. The Maven artifact ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:7.4.0
carries them unchanged:

    mvn dependency:get -Dtransitive=false \
        -Dartifact=ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:7.4.0
    python -m sql_on_fhir.definitions.generate <the jar> [<where to write>]
"""

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

PROFILES = "org/hl7/fhir/r4/model/profile/"
FHIR = "{http://hl7.org/fhir}"
FHIRPATH_SYSTEM = "http://hl7.org/fhirpath/System."
NOTICE = {
    "source": "FHIR R4 (4.0.1) StructureDefinitions: profiles-types.xml, profiles-resources.xml",
    "from": "ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:7.4.0",
    "licence": "CC0-1.0",
    "format": "type -> {base, kind, elements: {name: [types, '1' or '*']}}; "
    "'#X.y' is the type of the element X.y",
}

Element = tuple[list[str], str]


def _value(node: ElementTree.Element, path: str) -> str | None:
    found = node.find("/".join(FHIR + step for step in path.split("/")))
    return None if found is None else found.get("value")


def structure_definitions(jar: Path) -> Iterator[ElementTree.Element]:
    """Every StructureDefinition of a type or resource; profiles on them are left out."""
    with zipfile.ZipFile(jar) as archive:
        for name in ("profiles-types.xml", "profiles-resources.xml"):
            # A published artifact, given by whoever regenerates the table.
            bundle = ElementTree.fromstring(archive.read(PROFILES + name))  # noqa: S314
            for definition in bundle.iter(f"{FHIR}StructureDefinition"):
                derived = _value(definition, "derivation") != "constraint"
                if derived and _value(definition, "kind") != "logical":
                    yield definition


def _types(element: ElementTree.Element) -> list[str]:
    """Type codes of an element; FHIRPath system types become the FHIR primitive they carry."""
    reference = _value(element, "contentReference")
    if reference:
        return [reference]
    codes = []
    for type_ in element.findall(f"{FHIR}type"):
        code = _value(type_, "code") or ""
        if code.startswith(FHIRPATH_SYSTEM):
            code = code.removeprefix(FHIRPATH_SYSTEM).lower()
        codes.append(code)
    return codes


def types_of(definition: ElementTree.Element) -> dict[str, dict[str, object]]:
    """The type itself and one further type for each element with children (backbone)."""
    name = _value(definition, "type") or ""
    base = (_value(definition, "baseDefinition") or "").rsplit("/", 1)[-1] or None
    kind = _value(definition, "kind")
    own: dict[str, dict[str, Element]] = {name: {}}
    bases: dict[str, str | None] = {name: base}
    snapshot = definition.find(f"{FHIR}snapshot")
    elements = [] if snapshot is None else snapshot.findall(f"{FHIR}element")
    for element in elements:
        path = _value(element, "path") or ""
        inherited_from = _value(element, "base/path") or path
        parent, _, child = path.rpartition(".")
        if not parent or kind == "primitive-type":
            continue
        if parent == name and inherited_from.split(".")[0] != name:
            continue
        codes = _types(element)
        if codes in (["BackboneElement"], ["Element"]) and kind != "primitive-type":
            own[path], bases[path] = {}, codes[0]
            codes = [f"#{path}"]
        elif parent in own and parent != name and inherited_from != path:
            continue
        limit = "1" if _value(element, "max") == "1" else "*"
        own.setdefault(parent, {})[child] = (codes, limit)
    return {
        type_: {
            "base": bases.get(type_),
            "kind": kind if type_ == name else "backbone",
            "elements": {child: list(spec) for child, spec in sorted(children.items())},
        }
        for type_, children in own.items()
    }


def main(arguments: list[str]) -> int:
    if not arguments:
        sys.stderr.write("usage: python -m sql_on_fhir.definitions.generate JAR [OUT]\n")
        return 2
    out = Path(arguments[1]) if len(arguments) > 1 else Path(__file__).parent / "r4.json"
    types: dict[str, dict[str, object]] = {}
    for definition in structure_definitions(Path(arguments[0])):
        types.update(types_of(definition))
    lines = [
        f"{json.dumps(name)}:{json.dumps(types[name], separators=(',', ':'))}"
        for name in sorted(types)
    ]
    notice = json.dumps(NOTICE, indent=1)[1:-2]
    out.write_text("{" + notice + ',\n "types": {\n' + ",\n".join(lines) + "\n}}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
