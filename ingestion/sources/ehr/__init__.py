"""Tables of electronic health records: each row becomes the FHIR resource that it is.

An EHR's patient, visit and diagnosis are Patient, Encounter and Condition: as resources they are in the
same clinical tables, lists and marts as what arrives as FHIR, and are corrected and withdrawn like it
(decision 0053). Tables of claims are read as claims.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ingestion.sources import Event, StagedFile, claims, delimited
from ingestion.sources.claims.mapping import mappings
from ingestion.sources.claims.tables import CLAIM_ROW
from ingestion.sources.ehr.resources import Resources
from ingestion.sources.fhir.table import FHIR_RESOURCE
from lakehouse.store import ObjectStore


class EhrSource:
    """Reads rows of EHR tables."""

    name = "ehr"
    file_types = frozenset({"ehr_csv"})
    tables = (FHIR_RESOURCE, CLAIM_ROW)

    def read(self, store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
        for file in files:
            if file.layout in mappings():
                yield from claims.read_file(store, file)
            else:
                yield from delimited.read(store, [file], FHIR_RESOURCE, Resources().record)
