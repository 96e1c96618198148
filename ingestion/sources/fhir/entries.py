"""One entry of a bundle, or one resource by itself, becomes a row: its id, version and time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ingestion.reasons import Reason
from ingestion.sources.fhir import identity, json_scan
from ingestion.sources.fhir.dates import is_date
from ingestion.sources.fhir.envelope import BLANK, TAKEN_METHODS, Bundle, Entry, method_of
from ingestion.sources.fhir.reading import FileReading
from ingestion.sources.fhir.references import with_logical_references
from ingestion.sources.fhir.shapes import LOGICAL_REFERENCES, Head, Meta

_NO_ID: Final = f"The id has more than {identity.MAX_ID} characters, or one that no URL can have."
#: What a server answers to a deletion.
_DELETED_STATUS: Final = ("204", "410")


def with_logical_references_of_last(body: bytes) -> bytes:
    """The resource decoded last, with references that name their target by identifier written out."""
    if not LOGICAL_REFERENCES:
        return body
    LOGICAL_REFERENCES.clear()
    return with_logical_references(body)


def take_one(
    reading: FileReading,
    place: str,
    position: int,
    sequence: int,
    head: Head,
    body: bytes,
    entry: Entry | None = None,
    method: str | None = None,
    condition: str | None = None,
    is_partial: bool = False,
    named: Sequence[str] = (),
) -> None:
    """Add the row of one resource that is no bundle."""
    meta = head.meta
    if entry is not None and entry.response is not None:
        meta = _as_answered(meta, entry)
    resource_id = head.id
    if condition is not None:
        resource_id = identity.id_of_condition(condition)
        if head.id is not None:
            body = json_scan.without_key(body, b"id")
    elif not resource_id:
        resource_id = identity.id_of_full_url(entry.full_url) if entry is not None else None
        if resource_id is None:
            detail = "Neither the resource nor a fullUrl has an id."
            reading.reject(place, Reason.MISSING_ID, detail, len(body))
            return
    if not identity.is_id(resource_id):
        reading.reject(place, Reason.INVALID_VALUE, _NO_ID, len(body))
        return
    if resource_id is not head.id:
        # As a server would store it. JSON readers take the first of two equal keys, so this also
        # stands before an "id": null.
        if head.id is None or condition is None:
            body = json_scan.without_key(body, b"id")
        body = b'{"id":' + msgspec.json.encode(resource_id) + b"," + body.lstrip(BLANK)[1:]
    reading.rows.add(
        head.resource_type,
        reading.path,
        position,
        sequence,
        resource_id,
        meta,
        method,
        body,
        condition,
        is_partial,
        named,
    )
    reading.accepted += 1


def _as_answered(meta: Meta | None, entry: Entry) -> Meta | None:
    """The version and time of a resource; where it lacks them, those of the server's response."""
    version, updated = _version_and_time(entry, None)
    if meta is None:
        return Meta(versionId=version, lastUpdated=updated)
    if meta.versionId is None or meta.lastUpdated is None:
        return Meta(
            versionId=meta.versionId or version,
            lastUpdated=meta.lastUpdated or updated,
            tag=meta.tag,
        )
    return meta


def _version_and_time(
    entry: Entry, location: identity.Location | None
) -> tuple[str | None, str | None]:
    """The version that a response made, and when; the version also as a URL names it."""
    version = location.version if location is not None else None
    updated = None
    response = entry.response
    if response is not None:
        named = identity.located(response.location)
        version = (
            identity.version_of_etag(response.etag)
            or (named.version if named is not None else None)
            or version
        )
        updated = response.last_modified
        if updated is not None and not is_date(updated):
            updated = None
    return version, updated


def take_request(
    reading: FileReading,
    place: str,
    position: int,
    entry: Entry,
    bundle: Bundle,
    index: int,
) -> None:
    """An entry without a resource to store: a DELETE, or something that cannot be taken."""
    method = method_of(entry)
    status = entry.response.status if entry.response is not None else None
    if method is None and bundle.is_history and (status or "").startswith(_DELETED_STATUS):
        method = "DELETE"
    if method in TAKEN_METHODS:
        reading.reject(place, Reason.ENTRY_WITHOUT_RESOURCE, "The entry has no resource.")
        return
    if method != "DELETE":
        detail = "Only POST, PUT and DELETE requests are taken."
        reading.reject(place, Reason.UNSUPPORTED_REQUEST, detail)
        return
    condition = None
    found = _deleted(entry)
    if found is None:
        condition = identity.identifying_condition(_url(entry))
        if condition is None:
            detail = "The DELETE does not name one resource as Type/id or by its identifier."
            reading.reject(place, Reason.UNSUPPORTED_REQUEST, detail)
            return
        found = identity.named_by(condition)
    version, updated = _version_and_time(entry, found)
    meta = Meta(versionId=version, lastUpdated=updated)
    sequence = bundle.sequence(index, "DELETE")
    reading.rows.add(
        found.resource_type,
        reading.path,
        position,
        sequence,
        found.resource_id,
        meta,
        "DELETE",
        None,
        condition,
    )
    reading.accepted += 1


def _url(entry: Entry) -> str | None:
    return entry.request.url if entry.request is not None else None


def _deleted(entry: Entry) -> identity.Location | None:
    """What a DELETE entry names: by its URL, its fullUrl or the location in the response. Of a search
    only the response says what it found."""
    url = _url(entry)
    if url is not None and "?" in url:
        if entry.response is None:
            return None
        url = None
    location = entry.response.location if entry.response is not None else None
    for candidate in (url, entry.full_url, location):
        found = identity.located(candidate)
        if found is not None:
            return found
    return None
