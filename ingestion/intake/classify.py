"""What kind of file this is, from its content; names only break ties that content leaves open.

Another classifier takes over with ``CLASSIFIER_IMPL=module:Class``. It never guesses: below
:data:`CERTAIN_ENOUGH` a person decides (NEEDS_REVIEW).
"""

from __future__ import annotations

import csv
import importlib
import io
import re
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, Final, Literal, Protocol, runtime_checkable

from ingestion.intake import layouts
from ingestion.intake.layouts import Layout
from ingestion.reasons import Reason
from ingestion.sources import streams
from ingestion.sources.glucose import headers
from lakehouse.errors import ConfigurationError

#: Types that the built-in classifier knows by itself; layouts of a source may name others.
FILE_TYPES: Final = (
    "fhir_bundle",
    "fhir_ndjson",
    "dicom",
    "document",
    "claims_csv",
    "ehr_csv",
    "cgm_export",
    "instrument_export",
    "batch_record",
    "unknown",
)
#: Types that are read by a layout of the registry: without one they are quarantined.
BY_LAYOUT: Final = frozenset({"claims_csv", "ehr_csv"})


def file_types() -> tuple[str, ...]:
    """Every type that a file may have."""
    return (*FILE_TYPES, *sorted(layouts.file_types() - set(FILE_TYPES)))


def is_by_layout(file_type: str) -> bool:
    """Whether files of a type are read by a layout, and quarantined without one."""
    return file_type in BY_LAYOUT or file_type not in FILE_TYPES


#: How much of a file's beginning a classifier is given.
HEAD_BYTES: Final = 64 * 1024
CERTAIN_ENOUGH: Final = 0.5


@dataclass(frozen=True)
class Classification:
    """What a file is.

    ``confidence`` is 0 to 1. ``note`` is for people and carries nothing of the content. ``reason``
    is set where the file is known not to be readable: the code under which it is quarantined.
    """

    file_type: str
    confidence: float
    note: str
    layout: Layout | None = None
    reason: str | None = None

    @property
    def ambiguous(self) -> bool:
        return self.confidence < CERTAIN_ENOUGH


@runtime_checkable
class Classifier(Protocol):
    """``name`` is the path inside the drop, ``head`` its first bytes, ``open`` reads the rest."""

    def classify(self, name: str, head: bytes, open: Callable[[], BinaryIO]) -> Classification: ...


def load_classifier(path: str) -> Classifier:
    """The classifier that ``module:Class`` (or ``module.Class``) names, made without arguments.

    Raises :class:`ConfigurationError` when there is none or it is none.
    """
    module_name, _, class_name = path.rpartition(":" if ":" in path else ".")
    hint = "CLASSIFIER_IMPL is module:Class, as ingestion.intake.classify:ContentClassifier."
    try:
        made = getattr(importlib.import_module(module_name), class_name)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"CLASSIFIER_IMPL names {path}, which cannot be loaded ({type(error).__name__}).",
            hint=hint,
        ) from error
    if not isinstance(made, Classifier):
        raise ConfigurationError(
            f"CLASSIFIER_IMPL names {path}, which does not classify.", hint=hint
        )
    return made


class ContentClassifier:
    """The built-in classifier."""

    def classify(self, name: str, head: bytes, open: Callable[[], BinaryIO]) -> Classification:
        if not head:
            return _not_readable(Reason.EMPTY_FILE, "The file has no content.")
        return _classify_binary(head, open) or _classify_text(name, head, open)


def _certain(file_type: str, note: str, confidence: float = 1.0) -> Classification:
    return Classification(file_type, confidence, note)


def _not_readable(reason: Reason, note: str) -> Classification:
    return Classification("unknown", 1.0, note, reason=reason)


# Binary formats -------------------------------------------------------------------------------

_DOCUMENT_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"II*\x00", "TIFF image"),
    (b"MM\x00*", "TIFF image"),
    (b"II+\x00", "BigTIFF image"),
    (b"MM\x00+", "BigTIFF image"),
)
_ARCHIVE_MAGIC: Final = (
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!\x1a\x07", "RAR"),
)
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_SPREADSHEET: Final = Classification(
    "unknown",
    0.3,
    "A spreadsheet: it may be an instrument export, a batch record or a table.",
)


def _classify_binary(head: bytes, open: Callable[[], BinaryIO]) -> Classification | None:
    if head[128:132] == b"DICM":
        return _certain("dicom", "DICOM file (preamble)")
    for magic, kind in _DOCUMENT_MAGIC:
        if head.startswith(magic):
            return _certain("document", kind)
    if b"%PDF-" in head[:1024]:  # readers accept the mark anywhere in the first 1024 bytes
        return _certain("document", "PDF")
    if head.startswith(_ZIP):
        return _classify_zip(open)
    if head.startswith(_OLE):
        return _SPREADSHEET
    for magic, kind in _ARCHIVE_MAGIC:
        if head.startswith(magic):
            return _not_readable(
                Reason.UNSUPPORTED_COMPRESSION,
                f"Compressed with {kind}: unpack it, or use gzip or zstd, and drop it again.",
            )
    if _is_bare_dicom(head):
        return _certain("dicom", "DICOM data set without preamble", 0.9)
    return None


def _classify_zip(open: Callable[[], BinaryIO]) -> Classification:
    try:
        with open() as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError):
        return _not_readable(Reason.CORRUPT_ARCHIVE, "A zip archive that cannot be read.")
    if any(name.startswith("xl/") for name in names):
        return _SPREADSHEET
    if any(name.startswith("word/") for name in names):
        return _not_readable(
            Reason.OFFICE_DOCUMENT, "A Word document: save it as PDF and drop that."
        )
    return _not_readable(Reason.ARCHIVE, "A zip archive: unpack it and drop the files in it.")


_EXPLICIT_VR: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR "
    b"US UT UV".split()
)
_LONG_VR: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


def _is_bare_dicom(head: bytes) -> bool:
    """Whether the bytes read as DICOM elements with rising tags (PS3.5, 7.1), in either order."""
    return _has_elements(head, "little") or _has_elements(head, "big")


def _has_elements(head: bytes, order: Literal["little", "big"]) -> bool:
    def number(start: int, end: int) -> int:
        return int.from_bytes(head[start:end], order)

    position, last, seen = 0, (0, 0), 0
    while seen < 4 and position + 8 <= len(head):
        group, element = number(position, position + 2), number(position + 2, position + 4)
        if (group, element) <= last or (seen == 0 and group not in (0x0002, 0x0008)):
            return False
        kind = head[position + 4 : position + 6]
        if kind in _LONG_VR:
            length, start = number(position + 8, position + 12), 12
        elif kind in _EXPLICIT_VR:
            length, start = number(position + 6, position + 8), 8
        else:
            length, start = number(position + 4, position + 8), 8
        if length == 0xFFFFFFFF:
            break
        if length % 2 or length > len(head):
            return False
        last, seen, position = (group, element), seen + 1, position + start + length
    return seen >= 3


# Text -----------------------------------------------------------------------------------------


def _classify_text(name: str, head: bytes, open: Callable[[], BinaryIO]) -> Classification:
    compressed = streams.is_compressed(head)
    if compressed:
        with open() as file:
            inner, cut = streams.beginning(file, HEAD_BYTES)
        if not inner and cut is not None:
            note = "The compressed content is damaged, or cut off near its beginning."
            return _not_readable(Reason.CORRUPT_ARCHIVE, note)
        if not inner:
            return _not_readable(Reason.EMPTY_FILE, "The compressed file has no content.")
        if _classify_binary(inner, lambda: io.BytesIO(inner)):
            return _not_readable(
                Reason.UNSUPPORTED_COMPRESSION,
                "A compressed binary file: unpack it and drop it again.",
            )
        whole = False
    else:
        inner, whole = head, len(head) < HEAD_BYTES
    text = _decoded(inner)
    if text is None:
        return _not_readable(Reason.UNKNOWN_BINARY, "Binary content of no known format.")
    stem = _stem(name)
    stripped = text.lstrip("\ufeff \t\r\n")
    if not stripped:
        return _not_readable(Reason.EMPTY_FILE, "The file has only white space.")
    if stripped.startswith("<"):
        return _classify_xml(stripped)
    return (
        _classify_json(stem, stripped, None if compressed or whole else open, whole=whole)
        or _classify_signed(stripped)
        or _classify_glucose(text)
        or _classify_table(stem, text, whole=whole)
        or _classify_prose(stem, stripped)
    )


_BOMS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def _decoded(head: bytes) -> str | None:
    """The head as text; None where it is none. A character cut at its end is dropped."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return head[len(bom) :].decode(encoding, errors="ignore")
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        cut_at_the_end = error.start >= len(head) - 4
        text = head[: error.start].decode() if cut_at_the_end else head.decode("latin-1")
    if len(_CONTROL.findall(text)) > len(text) / 500:
        return None
    return text


def _stem(name: str) -> PurePosixPath:
    """The name without the endings of its compression, in small letters."""
    path = PurePosixPath(name.lower())
    while path.suffix in (".gz", ".bgz", ".z", ".zz", ".zst", ".zstd"):
        path = path.with_suffix("")
    return path


def _classify_xml(text: str) -> Classification:
    if "http://hl7.org/fhir" in text:
        return _not_readable(
            Reason.XML, "FHIR as XML is not read: export it as JSON (format=json) and drop that."
        )
    if "<ClinicalDocument" in text or "urn:hl7-org:v3" in text:
        return _not_readable(
            Reason.CDA, "An HL7 V3 document (CDA) is not read: convert it to FHIR."
        )
    if re.match(r"<!doctype html|<html", text, re.IGNORECASE):
        return _not_readable(Reason.HTML, "A web page: save it as PDF and drop that.")
    return _not_readable(Reason.OTHER_XML, "XML of no known format.")


# JSON -----------------------------------------------------------------------------------------

#: A string (to the end of the head, where its end is not in it) or a mark. Possessive quantifiers:
#: nothing is tried twice, so a text full of escaped quotes costs no more than any other.
_TOKEN: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+|[{}\[\]:,]', re.DOTALL)
_LINE_OF_JSON: Final = re.compile(r"^\{[ \t]*\"", re.MULTILINE)
_RESOURCE_LINE: Final = re.compile(r'^\{.*"resourceType"\s*:', re.MULTILINE)
_TIDEPOOL: Final = frozenset({"uploadId", "deviceTime", "deviceId"})
#: What names a document of Nightscout, beside one of the names of its date: an entry, a treatment.
_NIGHTSCOUT: Final = frozenset({"sgv", "mbg", "eventType"})
_NIGHTSCOUT_DATES: Final = frozenset({"date", "dateString", "created_at", "srvModified"})
#: Its API v3 puts a list below ``result``.
_NIGHTSCOUT_ANSWER: Final = re.compile(r'"(?:sgv|mbg|eventType|srvModified)"\s*:')


def _classify_json(
    stem: PurePosixPath, text: str, open: Callable[[], BinaryIO] | None, *, whole: bool
) -> Classification | None:
    """``open`` is given where there is more behind the head that can be read as it is."""
    if text[0] not in "{[":
        if _RESOURCE_LINE.search(text):
            return _certain(
                "fhir_ndjson", "FHIR resources, one a line; the first line is none", 0.9
            )
        return None
    keys, resource_type = _top_level(text)
    if text[0] == "[":
        return _classify_json_list(text, keys)
    if len(_LINE_OF_JSON.findall(text)) > 1:
        if _RESOURCE_LINE.search(text):
            return _certain("fhir_ndjson", "FHIR resources, one a line")
        if _is_glucose(keys):
            return _certain("cgm_export", "Records of a glucose monitor, one a line", 0.9)
        return _not_readable(Reason.UNKNOWN_JSON, "JSON lines without resourceType.")
    if "$asm.manifest" in keys:
        return _certain("instrument_export", "Allotrope Simple Model")
    if resource_type is None and '"resourceType"' not in text:
        if _is_glucose(keys):
            return _certain("cgm_export", "One record of a glucose monitor's export", 0.9)
        if "result" in keys and _NIGHTSCOUT_ANSWER.search(text):
            return _certain("cgm_export", "Nightscout's answer (API v3)", 0.9)
        return _not_readable(
            Reason.UNKNOWN_JSON, "JSON without resourceType that is no known export either."
        )
    if resource_type == "Bundle":
        lines = stem.suffix == ".ndjson"
        return _certain("fhir_ndjson" if lines else "fhir_bundle", "FHIR bundle")
    if resource_type is None and "entry" in keys:
        return _certain("fhir_bundle", "FHIR bundle that names its type after its entries", 0.9)
    if resource_type is None and whole:
        return _not_readable(
            Reason.UNKNOWN_JSON, "JSON whose outermost object has no resourceType."
        )
    if stem.suffix == ".ndjson" or ("\n" not in text and open is not None and _has_lines(open)):
        return _certain("fhir_ndjson", "FHIR resources, one a line")
    return _certain("fhir_bundle", "A FHIR resource by itself")


def _classify_json_list(text: str, keys: frozenset[str]) -> Classification:
    if _TIDEPOOL & keys and '"type"' in text:
        return _certain("cgm_export", "Tidepool export")
    if _is_glucose(keys):
        return _certain("cgm_export", "Nightscout entries or treatments")
    if '"resourceType"' in text:
        return _certain("fhir_bundle", "FHIR resources in a bare list", 0.9)
    return _not_readable(Reason.UNKNOWN_JSON, "A JSON list that is no known export.")


def _is_glucose(keys: frozenset[str]) -> bool:
    """Whether an object with these keys is a record of Tidepool or a document of Nightscout."""
    return keys >= _TIDEPOOL or bool(keys & _NIGHTSCOUT and keys & _NIGHTSCOUT_DATES)


def _top_level(text: str) -> tuple[frozenset[str], str | None]:
    """Keys and resourceType of the outermost object (of the objects in an outermost list)."""
    wanted = 1 if text[0] == "{" else 2
    keys: set[str] = set()
    resource_type: str | None = None
    depth, key, before = 0, "", ""
    for found in _TOKEN.finditer(text):
        mark = found.group()
        if mark in "{[":
            depth += 1
        elif mark in "}]":
            depth -= 1
            if depth == 0:
                break
        elif depth == wanted and mark == ":" and before.startswith('"'):
            key = before[1:-1]
            keys.add(key)
        elif key == "resourceType" and depth == wanted and before == ":" and mark[0] == '"':
            resource_type = mark[1:-1]
        before = mark
    return frozenset(keys), resource_type


def _has_lines(open: Callable[[], BinaryIO]) -> bool:
    """Whether a line break with more content behind it comes later in the file."""
    seen_break = False
    with open() as file:
        while chunk := file.read(1024 * 1024):
            if not seen_break:
                _, mark, chunk = chunk.partition(b"\n")
                seen_break = bool(mark)
            if seen_break and chunk.strip():
                return True
    return False


# Tables and prose -----------------------------------------------------------------------------

_DELIMITERS: Final = (",", ";", "\t", "|")
_HEADER_WITHIN: Final = 5
_BATCH_COLUMNS: Final = frozenset(
    {"batch", "batch_id", "batch id", "batch no", "batch number", "batchid", "lot", "lot_id"}
)

#: (file type, whose export, what its first lines hold)
_SIGNATURES: Final = (
    (
        "instrument_export",
        "QuantStudio",
        r"^\* (Block Type|Experiment File Name|Instrument Type)\s*=",
    ),
    ("instrument_export", "SoftMax Pro", r"^##BLOCKS="),
    ("instrument_export", "Vi-CELL BLU", r"Viable \(x10\^6\) cells/mL"),
    ("instrument_export", "NC-View", r"TOTAL \(cells/ml\),LIVE \(cells/ml\)"),
    (
        "instrument_export",
        "BioProfile FLEX2",
        r"Date & Time\W+Sample ID|\bGln\W+Glu\W+Gluc\W+Lac\b",
    ),
    ("instrument_export", "Qubit", r"Qubit. [Tt]ube [Cc]onc"),
    ("instrument_export", "NanoDrop", r"\bA260/A280\b|\b260/280\b"),
    ("instrument_export", "Cedex Bio HT", r"\t#ARC-FILE#\t.*CEDEX BIO"),
    ("cgm_export", "Tidepool", r"(?=.*\buploadId\b)(?=.*\bdeviceTime\b).*\bdeviceId\b"),
)


def _classify_signed(text: str) -> Classification | None:
    beginning = text[:4096]
    for file_type, maker, pattern in _SIGNATURES:
        if re.search(pattern, beginning, re.MULTILINE):
            return _certain(file_type, f"{maker} export", 0.9)
    return None


def _classify_glucose(text: str) -> Classification | None:
    """Exports of glucose monitors whose columns are named in the language of their user."""
    lines = [line for line in text.splitlines() if line.strip()][:_HEADER_WITHIN]
    for delimiter in _DELIMITERS:
        try:
            rows = list(csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            continue
        if any(headers.clarity(row) for row in rows):
            return _certain("cgm_export", "Dexcom Clarity export")
        if any(headers.libre(row) for row in rows):
            return _certain("cgm_export", "FreeStyle Libre export")
    return None


def tables(text: str, *, whole: bool) -> Iterator[list[list[str]]]:
    """The first rows of the text as a table, for each delimiter that makes one of it.

    ``whole`` says that the text was not cut; a line that the cut shortened is left out.
    """
    lines = text.splitlines()
    if not whole and len(lines) > 1:
        lines = lines[:-1]
    lines = [line for line in lines if line.strip()][:50]
    for delimiter in _DELIMITERS:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            continue
        if _is_table(rows):
            yield rows


def _is_table(rows: Sequence[Sequence[str]]) -> bool:
    """Whether nearly all rows have the same number of columns, more than one."""
    widths = [len(row) for row in rows]
    common = max(set(widths), key=widths.count, default=0)
    return common > 1 and widths.count(common) >= 0.8 * len(widths)


def layout_of(head: bytes, file_type: str) -> tuple[Layout | None, str]:
    """The layout of a table that is known to be of ``file_type``; else None and why."""
    inner, _ = streams.beginning(io.BytesIO(head), HEAD_BYTES)
    text = _decoded(inner) if inner else None
    if text is None:
        return None, "A table was expected, but this is no text."
    rows = list(header_rows(tables(text, whole=len(head) < HEAD_BYTES)))
    for row in rows:
        found = layouts.match(row, {file_type})
        if len(found) == 1:
            return found[0], found[0].title
    return None, without_layout(rows, {file_type})


def _classify_table(stem: PurePosixPath, text: str, *, whole: bool) -> Classification | None:
    found_tables = list(tables(text, whole=whole))
    for row in header_rows(found_tables):
        found = layouts.match(row)
        if len(found) == 1:
            return Classification(found[0].file_type, 1.0, found[0].title, layout=found[0])
        if found:
            names = " or ".join(layout.title for layout in found)
            return Classification("unknown", 0.3, f"The columns are those of {names}.")
    found_tables = [rows for rows in found_tables if len(rows) > 1]
    if not found_tables or _is_prose(stem, text):
        return None
    if any(_BATCH_COLUMNS & {name.strip().casefold() for name in rows[0]} for rows in found_tables):
        return _certain("batch_record", "A table by batch", 0.7)
    return _not_readable(Reason.NO_LAYOUT, without_layout(header_rows(found_tables)))


def header_rows(found_tables: Iterable[Sequence[list[str]]]) -> Iterator[list[str]]:
    """Rows that may be a header: some exports put lines about themselves before it."""
    for rows in found_tables:
        yield from rows[:_HEADER_WITHIN]


def without_layout(rows: Iterable[Sequence[str]], file_types: Collection[str] | None = None) -> str:
    """Why a table matches no layout, with the nearest one named."""
    candidates = [one for row in rows if (one := layouts.nearest(row, file_types))]
    if not candidates:
        return "A table that shares no column with any layout; it may have no header."
    best = max(candidates, key=lambda one: one.shared / len(one.layout.columns))
    return f"A table that matches no layout; {best.describe()}."


def _classify_prose(stem: PurePosixPath, text: str) -> Classification:
    if _is_prose(stem, text):
        return _certain("document", "Plain text", 0.7)
    return _not_readable(Reason.UNKNOWN_TEXT, "Text of no known format.")


def _is_prose(stem: PurePosixPath, text: str) -> bool:
    """Whether the text is mostly words, under a name that says nothing else."""
    words = sum(character.isalpha() or character.isspace() for character in text)
    return stem.suffix in ("", ".txt", ".text", ".md") and words > 0.7 * len(text)
