"""Which resource an entry, a URL or a condition names: logical ids, deletions, conditional requests.

Ids are taken whole or not at all. R4 allows 64 characters (https://hl7.org/fhir/R4/datatypes.html#id);
servers in use write more of them and other ones, so only what would change a URL's meaning is refused.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote

from ingestion.sources.fhir.versions import R4_TYPES

#: The longest id that is taken. Epic's have 88 characters.
MAX_ID: Final = 255
_ID: Final = re.compile(rf"[^\s/?#|\x00-\x1f\x7f]{{1,{MAX_ID}}}\Z")
_LOCATION: Final = re.compile(
    r"(?:\A|/)(?P<type>[A-Z][A-Za-z]+)/(?P<id>[^\s/?#|]+)(?:/_history/(?P<version>[^/?#]+))?/?\Z"
)
_ETAG: Final = re.compile(r'\s*(?:W/)?"?([^"]+)"?\s*')
#: Search parameters that name one resource.
_NAMING: Final = (["identifier"], ["_id"])
#: Ids of resources that only a condition names; the name in it never changes.
_CONDITIONAL_IDS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:health-lakehouse:conditional")


@dataclass(frozen=True, slots=True)
class Location:
    """What ``[base]/Type/id[/_history/version]`` names."""

    resource_type: str
    resource_id: str
    version: str | None


def is_id(text: str) -> bool:
    return _ID.match(text) is not None


def located(url: str | None) -> Location | None:
    """The resource that a URL or relative URL names, if it names one of R4."""
    found = _LOCATION.search(url) if url else None
    if found is None or found["type"] not in R4_TYPES or not is_id(found["id"]):
        return None
    return Location(found["type"], found["id"], found["version"])


def id_of_full_url(url: str | None) -> str | None:
    """The id that a fullUrl gives a resource without one: of ``urn:uuid:X`` it is X, of ``…/Type/X``
    it is X. UUIDs are written in small letters (RFC 4122, 3)."""
    if not url:
        return None
    if url.startswith("urn:"):
        name = url.rpartition(":")[2]
        return (name.lower() if url.startswith("urn:uuid:") else name) or None
    found = located(url)
    return found.resource_id if found is not None else None


def version_of_etag(etag: str | None) -> str | None:
    found = _ETAG.fullmatch(etag) if etag else None
    return found[1] if found else None


def condition(resource_type: str, query: str) -> str:
    """A search that names one resource (https://hl7.org/fhir/R4/http.html#cond-update), as text that
    is the same however its parameters were ordered and escaped."""
    parameters = sorted(parse_qsl(query, keep_blank_values=True))
    return f"{resource_type}?" + "&".join(f"{name}={value}" for name, value in parameters)


def identifying_condition(url: str | None) -> str | None:
    """The condition of ``[base/]Type?identifier=…`` or ``Type?_id=…``: what may name one resource."""
    path, _, query = (url or "").partition("?")
    resource_type = path.rpartition("/")[2]
    parameters = parse_qsl(query)
    if resource_type not in R4_TYPES or [name for name, _ in parameters] not in _NAMING:
        return None
    return condition(resource_type, query)


def id_of_condition(text: str) -> str:
    """The id of the resource that a condition names: the same in every entry, file and drop."""
    query = text.partition("?")[2]
    if query.startswith("_id=") and is_id(query[4:]):
        return query[4:]
    return str(uuid.uuid5(_CONDITIONAL_IDS, text))


def named_by(text: str) -> Location:
    """What a condition names, as long as no resource with an id of its own is found by it."""
    return Location(text.partition("?")[0], id_of_condition(text), None)


def reference_by_identifier(resource_type: str, token: str) -> str:
    """``Type?identifier=system|value``, escaped as a URL."""
    return f"{resource_type}?identifier={quote(token, safe='|:/._-~')}"
