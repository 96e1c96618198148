"""Why input is not taken: each reason's code, what it means, and what a person does next.

The codes are stored, counted and shown; do not rename them. Somebody else's classifier may have
reasons of its own: :func:`next_step` has a general word for these.
"""

from __future__ import annotations

from enum import StrEnum

_MEND = "Mend it at the source and send the file again in the same drop: it takes the place of this one."
_AGAIN = "Send the file again in the same drop."
_KEPT = "It is kept: `lakehouse retake` takes it once a version that reads it is installed."
_PDF = "Save it as PDF and drop that."


class Reason(StrEnum):
    """A code, with its ``meaning`` and its ``next_step``."""

    meaning: str
    next_step: str

    def __new__(cls, code: str, meaning: str = "", next_step: str = "") -> Reason:
        reason = str.__new__(cls, code)
        reason._value_ = code
        reason.meaning = meaning
        reason.next_step = next_step
        return reason

    # a whole file, at intake
    VANISHED = "vanished_before_staging", "The file left the inbox before it was copied.", _AGAIN
    ARCHIVE = "archive", "An archive.", "Unpack it and drop the files in it."
    UNSUPPORTED_COMPRESSION = (
        "unsupported_compression",
        "Compressed in a way that is not read.",
        "Unpack it, or use gzip, zlib or zstd, and drop it again.",
    )
    OFFICE_DOCUMENT = "office_document", "A document of a word processor.", _PDF
    HTML = "html", "A web page.", _PDF
    XML = "fhir_xml", "FHIR as XML.", "Export it as JSON (format=json) and drop that."
    CDA = "cda_xml", "An HL7 V3 document.", "Convert it to FHIR R4 JSON and drop that."
    OTHER_XML = "xml", "XML of no known format.", _KEPT
    UNKNOWN_TYPE = "unknown_type", "Nobody knows what it is.", _KEPT
    UNKNOWN_BINARY = "unknown_binary", "Binary content of no known format.", _KEPT
    UNKNOWN_JSON = "unknown_json", "JSON of no known format.", _KEPT
    UNKNOWN_TEXT = "unknown_text", "Text of no known format.", _KEPT
    NO_LAYOUT = (
        "no_layout",
        "A table whose columns are those of no layout.",
        f"Describe its columns in a layout. {_KEPT}",
    )
    NO_SOURCE_YET = "no_source_yet", "No source reads files of its type yet.", _KEPT
    # a whole file
    EMPTY_FILE = "empty_file", "There is nothing in it.", "Export it again: there is nothing in it."
    BAD_ENCODING = (
        "bad_encoding",
        "Its characters cannot be read.",
        "Save it as UTF-8 and send it again in the same drop.",
    )
    CORRUPT_ARCHIVE = (
        "corrupt_archive",
        "Its compression is damaged.",
        f"{_AGAIN} It was damaged or cut off on its way.",
    )
    ROOT_IS_LIST = (
        "root_is_list",
        "JSON whose outermost value is a list.",
        "Write one resource per line (NDJSON), or put them into a Bundle.",
    )
    NOT_FHIR = "not_fhir", "JSON that is no FHIR.", _MEND
    NOT_DICOM = (
        "not_dicom",
        "It has no DICOM header that can be read.",
        "Export it again as DICOM (a file with the DICM mark).",
    )
    NO_SOURCE = "no_source", "No source reads files of its type.", _KEPT
    # a part of a file
    TRUNCATED = (
        "truncated",
        "It ends in the middle.",
        f"{_AGAIN} What was whole has been taken.",
    )
    MALFORMED_JSON = "malformed_json", "It is no JSON.", _MEND
    NULL_ENTRY = (
        "null_entry",
        "The entry of a bundle is null.",
        "Nothing to save here; ask the sender what the entry should have held.",
    )
    ENTRY_WITHOUT_RESOURCE = (
        "entry_without_resource",
        "The entry of a bundle has no resource.",
        "Ask the sender for the resource: the entry has none.",
    )
    DOUBLED_KEY = (
        "doubled_key",
        "An object says a name twice.",
        f"Say each name of an object once. {_MEND}",
    )
    WRONG_SHAPE = "wrong_shape", "A value is not of the shape that its place asks for.", _MEND
    INVALID_VALUE = "invalid_value", "A value is none of its type.", _MEND
    WRONG_COLUMN_COUNT = (
        "wrong_column_count",
        "A row has more or fewer values than the header has columns.",
        f"Quote values with delimiters or line breaks in them. {_MEND}",
    )
    NO_TIME_ZONE = (
        "no_time_zone",
        "A time without an offset, from a submitter of whom no zone is known.",
        "Say where its clocks run (`lakehouse submitter add NAME --time-zone Europe/Berlin`) and send"
        " it again in the same drop.",
    )
    TOO_MANY_REJECTED = (
        "too_many_rejected",
        "More rows of the file cannot be taken than REJECTED_SHARE_LIMIT allows.",
        _MEND,
    )
    MISSING_VALUE = "missing_value", "A value that a record cannot be without is missing.", _MEND
    MISSING_RESOURCE_TYPE = (
        "missing_resource_type",
        "The resource has no resourceType.",
        "Give the resource its resourceType and send it again.",
    )
    UNKNOWN_RESOURCE_TYPE = (
        "unknown_resource_type",
        "The resourceType is none of FHIR R4.",
        "Correct the resourceType; FHIR R4 has no such resource.",
    )
    MISSING_ID = (
        "missing_id",
        "The resource has no id.",
        "Give the resource an id, or its entry a fullUrl, and send it again.",
    )
    FHIR_VERSION = (
        "fhir_version",
        "It is written as in another version than FHIR R4.",
        "Convert it to FHIR R4 and send it again in the same drop.",
    )
    UNSUPPORTED_REQUEST = (
        "unsupported_request",
        "A request that is not carried out here.",
        "Send the resource itself, or a DELETE that names its id.",
    )
    TOO_LARGE = (
        "too_large",
        "A record is larger than can be read.",
        "Split it: one record may have 512 MB at most.",
    )
    MISSING_UID = (
        "missing_uid",
        "The image lacks one of the UIDs that name it.",
        "Export the image again with its study, series and instance UIDs.",
    )
    # a notice: nothing is lost, so it counts no record
    DUPLICATE_ID = (
        "duplicate_id",
        "A file has one id twice.",
        "Nothing, where the last one is right: it was taken.",
    )


def next_step(code: str) -> str:
    """What a person does about a reason; reasons of other people's classifiers get a general word."""
    try:
        return Reason(code).next_step
    except ValueError:
        return _MEND


def meaning(code: str) -> str:
    """What a reason means; of one of other people's classifiers, its code in words."""
    try:
        return Reason(code).meaning
    except ValueError:
        return f"{code.replace('_', ' ').capitalize()}."
