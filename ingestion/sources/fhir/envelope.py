"""What is around the resources of a bundle: its entries with requests and responses, as types that
decode, and the order in which a server would have done them. Resources stay raw bytes here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Raw, Struct

from ingestion.sources.fhir import identity
from ingestion.sources.fhir.shapes import SUBSETTED, Head

#: White space of JSON.
BLANK: Final = b" \t\r\n"
TAKEN_METHODS: Final = frozenset({"POST", "PUT", None})
#: What a search that asks for parts of resources says in its own link (search.html#summary).
_PARTIAL_SEARCH: Final = re.compile(rb"[?&](?:_elements=|_summary=(?:true|text|count))")

#: The sequence of a row: the document or line it is in, the place of its request among those of its
#: transaction, its place in the bundle.
CONTAINER_BIT: Final = 34
_REQUEST_BIT: Final = 32
_LAST_PLACE: Final = (1 << _REQUEST_BIT) - 1
#: The order in which a server does the requests of a transaction, whatever their order in the
#: bundle: https://hl7.org/fhir/R4/http.html#trules.
_REQUEST_ORDER: Final = {"DELETE": 0, "POST": 1, "PUT": 2, None: 2}
_IN_REQUEST_ORDER: Final = frozenset({b'"transaction"', b'"batch"'})


class Request(Struct, gc=False, rename={"if_none_exist": "ifNoneExist"}):
    method: str | None = None
    url: str | None = None
    if_none_exist: str | None = None


class Response(Struct, gc=False, rename={"last_modified": "lastModified"}):
    status: str | None = None
    location: str | None = None
    etag: str | None = None
    last_modified: str | None = None


class Entry(Struct, gc=False, rename={"full_url": "fullUrl"}):
    full_url: str | None = None
    resource: Raw = Raw()
    request: Request | None = None
    response: Response | None = None


class Document(Struct, rename={"resource_type": "resourceType"}):
    """A root object, as far as it says whether it is a bundle. ``type`` is text only in a bundle."""

    resource_type: Raw = Raw()
    type: Raw = Raw()
    meta: Raw = Raw()
    link: Raw = Raw()
    entry: list[Entry] | None = None


class LooseDocument(Struct, rename={"resource_type": "resourceType"}):
    """The same where the entries are not what they should be."""

    resource_type: Raw = Raw()
    type: Raw = Raw()
    meta: Raw = Raw()
    link: Raw = Raw()
    entry: Raw = Raw()


class Named(Struct, rename={"resource_type": "resourceType"}):
    resource_type: str = ""


DOCUMENT: Final = msgspec.json.Decoder(Document)
LOOSE: Final = msgspec.json.Decoder(LooseDocument)
ENTRY: Final = msgspec.json.Decoder(Entry)
LIST: Final = msgspec.json.Decoder(list[Raw])
NAMED: Final = msgspec.json.Decoder(Named)


@dataclass(slots=True)
class Bundle:
    """What a bundle says of its entries, and where its rows are in the sequence of its file."""

    type: bytes = b""
    #: Its resources are not whole: the result of a search for parts of them.
    is_partial: bool = False
    is_history: bool = field(init=False)
    in_request_order: bool = field(init=False)
    start: int = 0

    def __post_init__(self) -> None:
        self.is_history = self.type == b'"history"'
        self.in_request_order = self.type in _IN_REQUEST_ORDER

    def sequence(self, index: int, method: str | None) -> int:
        """A number that is higher for what happened later. A history is newest first
        (https://hl7.org/fhir/R4/http.html#history)."""
        if self.in_request_order:
            return self.start + (_REQUEST_ORDER.get(method, 2) << _REQUEST_BIT) + index
        if self.is_history:
            return self.start + _LAST_PLACE - index
        return self.start + index


def described(document: Document | LooseDocument) -> Bundle:
    link = bytes(document.link)
    is_partial = SUBSETTED.encode() in bytes(document.meta) or (
        b'"self"' in link and _PARTIAL_SEARCH.search(link) is not None
    )
    return Bundle(bytes(document.type), is_partial)


def method_of(entry: Entry) -> str | None:
    request = entry.request
    if request is None or request.method is None:
        return None
    return request.method.upper()


def condition_of(entry: Entry, head: Head) -> str | None:
    """What names the resource of a conditional create or update. A response tells of a request that was
    done: its resource has the id that the server gave it."""
    request = entry.request
    if request is None or (entry.response is not None and head.id):
        return None
    query = request.if_none_exist
    if query is None:
        if request.url is None or "?" not in request.url or method_of(entry) != "PUT":
            return None
        query = request.url
    query = query.partition("?")[2] or query.partition("?")[0]
    return identity.condition(head.resource_type, query) if query else None
