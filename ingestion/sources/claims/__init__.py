"""Claims and enrolment: delimited tables of payers, in as many layouts as are described.

A layout's columns are in its ``layouts.yml``, what they mean in a mapping (:mod:`ingestion.sources.claims.mapping`):
another payer's tables are two pieces of YAML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ingestion.sources import Event, StagedFile, delimited
from ingestion.sources.claims import enrollment
from ingestion.sources.claims.mapping import mappings
from ingestion.sources.claims.tables import CLAIM_ROW, ENROLLMENT_ROW
from lakehouse.store import ObjectStore

_ENROLLMENT = {"plain_enrollment": enrollment.span, "cms_rif_beneficiary": enrollment.year}


class ClaimsSource:
    """Reads rows of claims, and spans of enrolment."""

    name = "claims"
    file_types = frozenset({"claims_csv"})
    tables = (CLAIM_ROW, ENROLLMENT_ROW)

    def read(self, store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
        for file in files:
            yield from read_file(store, file)


def read_file(store: ObjectStore, file: StagedFile) -> Iterator[Event]:
    """One file of a layout that has a mapping, or is one of enrolment."""
    name = file.layout or ""
    if name in _ENROLLMENT:
        yield from delimited.read(store, [file], ENROLLMENT_ROW, _ENROLLMENT[name])
    else:
        yield from delimited.read(store, [file], CLAIM_ROW, mappings()[name].record)
