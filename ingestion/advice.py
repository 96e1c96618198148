"""What to do about each reason for which input is in quarantine."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_MEND = "Mend it at the source and send the file again in the same drop: it takes the place of this one."
_AGAIN = "Send the file again in the same drop."
_KEPT = "It is kept: `lakehouse retake` takes it once a version that reads it is installed."

NEXT_STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "empty_file": "Export it again: there is nothing in it.",
        "vanished_before_staging": _AGAIN,
        "truncated": f"{_AGAIN} What was whole has been taken.",
        "corrupt_archive": f"{_AGAIN} It was damaged or cut off on its way.",
        "bad_encoding": "Save it as UTF-8 and send it again in the same drop.",
        "unsupported_compression": "Unpack it, or use gzip, zlib or zstd, and drop it again.",
        "archive": "Unpack it and drop the files in it.",
        "office_document": "Save it as PDF and drop that.",
        "html": "Save it as PDF and drop that.",
        "fhir_xml": "Export it as JSON (format=json) and drop that.",
        "cda_xml": "Convert it to FHIR R4 JSON and drop that.",
        "root_is_list": "Write one resource per line (NDJSON), or put them into a Bundle.",
        "fhir_version": "Convert it to FHIR R4 and send it again in the same drop.",
        "unsupported_request": "Send the resource itself, or a DELETE that names its id.",
        "null_entry": "Nothing to save here; ask the sender what the entry should have held.",
        "entry_without_resource": "Ask the sender for the resource: the entry has none.",
        "missing_id": "Give the resource an id, or its entry a fullUrl, and send it again.",
        "missing_resource_type": "Give the resource its resourceType and send it again.",
        "unknown_resource_type": "Correct the resourceType; FHIR R4 has no such resource.",
        "too_large": "Split it: one record may have 512 MB at most.",
        "missing_uid": "Export the image again with its study, series and instance UIDs.",
        "not_dicom": "Export it again as DICOM (a file with the DICM mark).",
        "duplicate_id": "Nothing, where the last one is right: it was taken.",
        "no_layout": f"Describe its columns in a layout. {_KEPT}",
        "no_source": _KEPT,
        "no_source_yet": _KEPT,
        "unknown_type": _KEPT,
        "unknown_binary": _KEPT,
        "unknown_json": _KEPT,
        "unknown_text": _KEPT,
        "xml": _KEPT,
        "malformed_json": _MEND,
        "doubled_key": f"Say each name of an object once. {_MEND}",
        "not_fhir": _MEND,
        "wrong_shape": _MEND,
        "invalid_value": _MEND,
    }
)


def next_step(reason: str) -> str:
    """What a person does about a reason; reasons of other people's classifiers get a general word."""
    return NEXT_STEPS.get(reason, _MEND)
