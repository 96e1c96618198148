"""References that mean something only inside their bundle, or name their target by its identifier,
are written as references that mean the same anywhere (https://hl7.org/fhir/R4/bundle.html#references).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from ingestion.sources.fhir import json_scan
from ingestion.sources.fhir.identity import (
    id_of_condition,
    located,
    reference_by_identifier,
)

#: References, and elements of type url: an attachment may name a Binary of its bundle.
_REFERENCE: Final = re.compile(rb'("(?:reference|url)"\s*:\s*")([^"\\]*(?:\\/[^"\\]*)*)"')
#: Elements whose target may be named by its identifier alone, and what type it has where the
#: reference does not say: https://hl7.org/fhir/R4/references.html#logical.
_LOGICAL_TARGETS: Final = {
    b"subject": "Patient",
    b"patient": "Patient",
    b"beneficiary": "Patient",
    b"encounter": "Encounter",
    b"context": "Encounter",
    b"individual": "Practitioner",
    b"serviceProvider": "Organization",
    b"medicationReference": "Medication",
}
_LOGICAL: Final = re.compile(rb'"(' + b"|".join(_LOGICAL_TARGETS) + rb')"\s*:\s*(?:\[\s*)?(?=\{)')


_BEFORE_REFERENCE: Final = re.compile(rb'"reference"\s*:\s*\Z')
_CONDITIONAL: Final = re.compile(r"[A-Z][A-Za-z]+\?[^=]+=.+", re.DOTALL)


class _Identifier(Struct, gc=False):
    system: str | None = None
    value: str | None = None


class _Reference(Struct, gc=False):
    reference: str | None = None
    type: str | None = None
    identifier: _Identifier | None = None


_DECODER: Final = msgspec.json.Decoder(_Reference)
_TEXT: Final = msgspec.json.Decoder(str)


class Rewrites:
    """The full URLs of one bundle that are not ``…/Type/id`` of their resource, and what is."""

    __slots__ = ("conditions", "named", "targets")

    def __init__(self) -> None:
        self.targets: dict[str, bytes] = {}
        #: Which of the targets are named by a condition.
        self.conditions: dict[bytes, str] = {}
        #: The conditions that the references written last name.
        self.named: list[str] = []

    def note(
        self,
        full_url: str | None,
        resource_type: str,
        resource_id: str | None,
        condition: str | None,
    ) -> None:
        """An entry; with ``condition`` its resource is the one that this names."""
        if condition is not None:
            self._note_condition(full_url, resource_type, resource_id, condition)
        elif full_url is not None and resource_id:
            # UUIDs are looked up in small letters.
            if full_url[9:] == resource_id == resource_id.lower() and full_url[:9] == "urn:uuid:":
                return
            if not full_url.endswith(f"/{resource_type}/{resource_id}"):
                self._add(full_url, f"{resource_type}/{resource_id}")

    def _note_condition(
        self, full_url: str | None, resource_type: str, given_id: str | None, condition: str
    ) -> None:
        target = f"{resource_type}/{id_of_condition(condition)}"
        self.conditions[_written(target)] = condition
        if given_id:
            self.targets.setdefault(f"{resource_type}/{given_id}", _written(target))
            self.targets.setdefault(f"urn:uuid:{given_id.lower()}", _written(target))
        if full_url is not None:
            self._add(full_url, target)

    def _add(self, full_url: str, target: str) -> None:
        self.targets[_key(full_url)] = _written(target)
        if not full_url.startswith("urn:") and (location := located(full_url)) is not None:
            # Relative references in this bundle start where its full URLs do.
            relative = f"{location.resource_type}/{location.resource_id}"
            self.targets.setdefault(relative, _written(target))

    def apply(self, body: bytes) -> bytes:
        """The resource with references that mean the same anywhere; ``named`` are its conditions."""
        self.named = []
        if not self.targets:
            return body
        return _REFERENCE.sub(self._rewritten, body)

    def _rewritten(self, found: re.Match[bytes]) -> bytes:
        try:
            key = _key(found[2].replace(b"\\/", b"/").decode())
        except UnicodeDecodeError:
            return found[0]
        target = self.targets.get(key)
        if target is None:
            return found[0]
        condition = self.conditions.get(target)
        if condition is not None and condition not in self.named:
            self.named.append(condition)
        return found[1] + target + b'"'


def _written(reference: str) -> bytes:
    """As it stands between quotes."""
    return msgspec.json.encode(reference)[1:-1]


def _key(url: str) -> str:
    if url.startswith("urn:"):
        return url.lower()
    return url.partition("/_history/")[0]


def with_logical_references(body: bytes) -> bytes:
    """The resource with ``Type?identifier=system|value`` as the reference where only an identifier
    names the target."""
    pieces: list[bytes] = []
    done = 0
    for found in _LOGICAL.finditer(body):
        if found.end() < done:
            continue
        end = json_scan.end_of_value(body, found.end())
        try:
            reference = _DECODER.decode(body[found.end() : end])
        except msgspec.DecodeError:
            continue
        named = reference.identifier
        if reference.reference is not None or named is None or not named.value:
            continue
        target = reference.type or _LOGICAL_TARGETS[found[1]]
        token = named.value if named.system is None else f"{named.system}|{named.value}"
        text = msgspec.json.encode(reference_by_identifier(target, token))
        pieces += [body[done : found.end()], b'{"reference":', text, b","]
        done = found.end() + 1
    return b"".join([*pieces, body[done:]]) if pieces else body


def conditional_references(body: bytes) -> list[str] | None:
    """References of the form ``Type?query`` (https://hl7.org/fhir/R4/http.html#trules)."""
    found: list[str] = []
    at = body.find(b"?")
    while at >= 0:
        # A type's name is short: a quote further away does not start a reference.
        start = body.rfind(b'"', max(0, at - 64), at)
        end = body.find(b'"', at)
        if start >= 14 and end >= 0 and _is_reference(body, start):
            text = _conditional(body[start : end + 1])
            if text is not None and text not in found:
                found.append(text)
        at = body.find(b"?", max(at, end) + 1)
    return found or None


def _is_reference(body: bytes, start: int) -> bool:
    """Whether the string that starts at ``start`` is the value of an element ``reference``."""
    if body[start - 13 : start] == b'"reference": ' or body[start - 12 : start] == b'"reference":':
        return True
    return _BEFORE_REFERENCE.search(body, max(0, start - 64), start) is not None


@lru_cache(maxsize=10_000)
def _conditional(string: bytes) -> str | None:
    """The reference as text, url-decoded, where it is a conditional one. Few differ in a file."""
    try:
        text = unquote(_TEXT.decode(string))
    except msgspec.DecodeError:
        return None  # an escaped quote cut it short: no query has one
    return text if _CONDITIONAL.fullmatch(text) else None
