"""FHIR R4: bundles, NDJSON and bare resources become one row per resource, kept as its JSON text.

A bundle is decoded once, with each resource left as raw bytes; each resource is decoded once more,
into what identifies it (:mod:`ingestion.sources.fhir.shapes`). No other Python object is built.
What a FHIR server does with a transaction (https://hl7.org/fhir/R4/http.html#trules) is done here:
a resource without id takes it from its entry's fullUrl, references to a fullUrl that is not the
resource's id are rewritten, a DELETE request is a row without a resource, and what a condition names
(``ifNoneExist``, ``PUT Type?query``, ``DELETE Type?identifier=…``) has the same id wherever that
condition comes again: Silver looks whether a resource with an id of its own is meant.
"""

from __future__ import annotations

from ingestion.sources.fhir.source import FhirSource, split

__all__ = ["FhirSource", "split"]
