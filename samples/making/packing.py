"""Resources into files: bundles of three types, NDJSON, bare resources, plain or compressed."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import zstandard

from making.fhir import Resource, made_id, map_strings, name_of, references_in
from making.population import INFRASTRUCTURE

SERVER = "https://ehr.samples.example.org/fhir"


def transaction(
    resources: Sequence[Resource], infrastructure: dict[str, Resource] | None = None
) -> Resource:
    """A transaction of POSTs with urn:uuid references, as an EHR exports a new patient.

    With `infrastructure` (by `Type/id`), references to those become conditional
    (`Practitioner?identifier=…`); what is neither here nor there stays `Type/id`.
    """
    inside = {name_of(r) for r in resources}

    def written(value: str) -> str:
        if value in inside:
            return f"urn:uuid:{value.partition('/')[2]}"
        target = (infrastructure or {}).get(value)
        return conditional(target) if target else value

    entries = [
        {
            "fullUrl": f"urn:uuid:{r['id']}",
            "resource": _with_references(r, written),
            "request": {"method": "POST", "url": r["resourceType"]},
        }
        for r in resources
    ]
    return _bundle("transaction", entries, resources)


def batch(resources: Sequence[Resource]) -> Resource:
    """A batch of PUTs: relative references, absolute fullUrls."""
    entries = [
        {
            "fullUrl": f"{SERVER}/{name_of(r)}",
            "resource": r,
            "request": {"method": "PUT", "url": name_of(r)},
        }
        for r in resources
    ]
    return _bundle("batch", entries, resources)


def collection(resources: Sequence[Resource]) -> Resource:
    """A collection: no requests, and references written as absolute addresses."""
    inside = {name_of(r) for r in resources}

    def written(value: str) -> str:
        return f"{SERVER}/{value}" if value in inside else value

    entries = [
        {"fullUrl": f"{SERVER}/{name_of(r)}", "resource": _with_references(r, written)}
        for r in resources
    ]
    return _bundle("collection", entries, resources)


def shared_bundle(resources: Iterable[Resource]) -> Resource:
    """Organizations, locations or practitioners, each created only if it is not there yet."""
    resources = list(resources)
    entries = [
        {
            "fullUrl": f"urn:uuid:{r['id']}",
            "resource": r,
            "request": {
                "method": "POST",
                "url": r["resourceType"],
                "ifNoneExist": conditional(r).partition("?")[2],
            },
        }
        for r in resources
    ]
    return _bundle("batch", entries, resources)


def deletions(names: Sequence[str], timestamp: str) -> Resource:
    """A transaction of DELETEs: entries without a resource."""
    entries = [{"request": {"method": "DELETE", "url": name}} for name in names]
    return {**_bundle("transaction", entries, []), "timestamp": timestamp}


def conditional(resource: Resource) -> str:
    """`Type?identifier=system|value`, as a transaction may refer to a resource (FHIR R4, http)."""
    identifier = resource["identifier"][0]
    return f"{resource['resourceType']}?identifier={identifier['system']}|{identifier['value']}"


def _with_references(resource: Resource, written: Any) -> Resource:
    made = map_strings(resource, str)
    for target in references_in(made):
        target["reference"] = written(target["reference"])
    return made


def _bundle(kind: str, entries: list[Resource], resources: Sequence[Resource]) -> Resource:
    names = [name_of(r) for r in resources] or [e["request"]["url"] for e in entries]
    return {
        "resourceType": "Bundle",
        "id": made_id("bundle", kind, *names),
        "type": kind,
        "entry": entries,
    }


def refers_to_infrastructure(resource: Resource) -> set[str]:
    """`Type/id` of organizations, locations and practitioners that a resource points at."""
    return {
        t["reference"]
        for t in references_in(resource)
        if t["reference"].partition("/")[0] in INFRASTRUCTURE
    }


def to_json(node: Any, *, indent: int | None = None) -> bytes:
    """JSON text in UTF-8; compact unless an indent is given."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(node, ensure_ascii=False, indent=indent, separators=separators)
    return text.encode("utf-8") + b"\n"


def to_ndjson(resources: Iterable[Resource]) -> bytes:
    """One resource a line."""
    return b"".join(to_json(r) for r in resources)


def write(path: Path, content: bytes) -> None:
    """Write a file, compressed as its name says (.zst, .gz, or not); the same bytes each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(compressed(content, path.suffix))


def compressed(content: bytes, suffix: str) -> bytes:
    if suffix == ".zst":
        return zstandard.ZstdCompressor(level=19, write_checksum=True).compress(content)
    if suffix == ".gz":
        held = io.BytesIO()
        with gzip.GzipFile(fileobj=held, mode="wb", mtime=0, filename="") as stream:
            stream.write(content)
        return held.getvalue()
    return content
