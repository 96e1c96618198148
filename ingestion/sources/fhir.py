"""FHIR R4: bundles, NDJSON and bare resources become one row per resource, kept as its JSON text.

A bundle is decoded once, with each resource left as raw bytes; each resource is decoded once more,
into what identifies it (:mod:`ingestion.sources.fhir_shapes`). No other Python object is built.
What a FHIR server does with a transaction (https://hl7.org/fhir/R4/http.html#trules) is done here:
a resource without id takes it from its entry's fullUrl, references to a fullUrl that is not the
resource's id are rewritten, a DELETE request is a row without a resource, and what a condition names
(``ifNoneExist``, ``PUT Type?query``) has the same id wherever that condition comes again.
"""

from __future__ import annotations

import io
import itertools
import re
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final
from urllib.parse import unquote

import msgspec
import pyarrow as pa
from msgspec import Raw, Struct

from ingestion import columns
from ingestion.sources import (
    Batch,
    Event,
    FileRead,
    Reason,
    Rejected,
    StagedFile,
    fhir_identity,
    json_scan,
    streams,
)
from ingestion.sources.doubled_keys import Screen
from ingestion.sources.fhir_references import Rewrites, with_logical_references
from ingestion.sources.fhir_shapes import (
    LOGICAL_REFERENCES,
    OTHER_VERSION_TYPES,
    RESOURCE,
    SUBSETTED,
    Meta,
    Resource,
    is_date,
    refusal,
)
from lakehouse.errors import InputRejected
from lakehouse.store import ObjectStore

TABLE: Final = "fhir_resource"
SCHEMA: Final = pa.schema(
    [
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_position", pa.int64(), nullable=False),
        pa.field("sequence", pa.int64()),
        pa.field("resource_type", pa.string(), nullable=False),
        pa.field("resource_id", pa.string(), nullable=False),
        pa.field("version_id", pa.string()),
        pa.field("last_updated", pa.string()),
        pa.field("request_method", pa.string()),
        pa.field("condition", pa.string()),
        pa.field("is_subset", pa.bool_()),
        pa.field("conditional_references", pa.list_(pa.string())),
        pa.field("resource", pa.large_string()),
    ]
)

#: Rows of one resource type are given out when they reach this, so that Parquet row groups hold
#: one type each and statistics prune; all rows held together stay below the second.
ROW_GROUP_BYTES: Final = 16 * 1024 * 1024
HELD_BYTES: Final = 96 * 1024 * 1024
#: Documents up to this size (unpacked) are decoded whole, larger ones entry by entry.
WHOLE_DOCUMENT_BYTES: Final = 256 * 1024 * 1024
#: Files up to this size are read ahead, several at a time.
SMALL_FILE_BYTES: Final = 16 * 1024 * 1024

#: What a row holds besides the resource, roughly.
_ROW_BYTES: Final = 200
#: Bundles in bundles are opened so far down.
_NESTED_BUNDLES: Final = 8
_READERS: Final = 4
_READ_TOGETHER_BYTES: Final = 4 * 1024 * 1024
_READ_TOGETHER_FILES: Final = 64
#: Beyond this many, rejections of one reason in one file are counted in one line.
_LISTED_REJECTIONS: Final = 100

_BOM: Final = b"\xef\xbb\xbf"
_WIDE_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_BLANK: Final = b" \t\r\n"
_TAKEN_METHODS: Final = frozenset({"POST", "PUT", None})
_BEFORE_REFERENCE: Final = re.compile(rb'"reference"\s*:\s*\Z')
_NUL_ESCAPE: Final = rb"\u0000"
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_CONDITIONAL: Final = re.compile(r"[A-Z][A-Za-z]+\?[^=]+=.+", re.DOTALL)
#: What a search that asks for parts of resources says in its own link (search.html#summary).
_PARTIAL_SEARCH: Final = re.compile(rb"[?&](?:_elements=|_summary=(?:true|text|count))")

#: The sequence of a row: the document or line it is in, the place of its request among those of its
#: transaction, its place in the bundle.
_CONTAINER_BIT: Final = 34
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


_DOCUMENT: Final = msgspec.json.Decoder(Document)
_LOOSE: Final = msgspec.json.Decoder(LooseDocument)
_ENTRY: Final = msgspec.json.Decoder(Entry)
_LIST: Final = msgspec.json.Decoder(list[Raw])
_NAMED: Final = msgspec.json.Decoder(Named)
_TEXT: Final = msgspec.json.Decoder(str)


@dataclass(slots=True)
class _Bundle:
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


def _described(document: Document | LooseDocument) -> _Bundle:
    link = bytes(document.link)
    is_partial = SUBSETTED.encode() in bytes(document.meta) or (
        b'"self"' in link and _PARTIAL_SEARCH.search(link) is not None
    )
    return _Bundle(bytes(document.type), is_partial)


@dataclass(slots=True)
class _TypeRows:
    """Rows of one resource type, by column: lists of plain values cost the least to build."""

    files: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    versions: list[str | None] = field(default_factory=list)
    updated: list[str | None] = field(default_factory=list)
    methods: list[str | None] = field(default_factory=list)
    named_by: dict[int, str] = field(default_factory=dict)
    subsets: list[int] = field(default_factory=list)
    conditional: list[list[str] | None] = field(default_factory=list)
    bodies: list[bytes | None] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class _Rows:
    """Accepted rows that wait to fill a row group."""

    by_type: dict[str, _TypeRows] = field(default_factory=dict)
    held: int = 0

    def add(
        self,
        resource_type: str,
        file: str,
        position: int,
        sequence: int,
        resource_id: str,
        meta: Meta | None,
        method: str | None,
        body: bytes | None,
        condition: str | None = None,
        is_partial: bool = False,
    ) -> None:
        rows = self.by_type.get(resource_type)
        if rows is None:
            rows = self.by_type[resource_type] = _TypeRows()
        rows.files.append(file)
        rows.positions.append(position)
        rows.sequences.append(sequence)
        if condition is not None:
            rows.named_by[len(rows.ids)] = condition
        if is_partial or (meta is not None and meta.tag is not None and meta.is_subset()):
            rows.subsets.append(len(rows.ids))
        rows.ids.append(resource_id)
        rows.versions.append(None if meta is None else meta.versionId)
        rows.updated.append(None if meta is None else meta.lastUpdated)
        rows.methods.append(method)
        rows.bodies.append(body)
        size = _ROW_BYTES
        if body is None:
            rows.conditional.append(None)
        else:
            rows.conditional.append(_conditional_references(body) if b"?" in body else None)
            size += len(body)
        rows.size += size
        self.held += size

    def full(self) -> Iterator[Batch]:
        """Batches of the types that fill a row group; more where too much is held."""
        while self.held > ROW_GROUP_BYTES:
            largest = max(self.by_type, key=lambda name: self.by_type[name].size)
            if self.by_type[largest].size < ROW_GROUP_BYTES and self.held < HELD_BYTES:
                return
            yield self._take([largest])

    def rest(self) -> Iterator[Batch]:
        """Everything left, in the order of types; small types share a row group."""
        group: list[str] = []
        size = 0
        for resource_type in sorted(self.by_type):
            if group and size + self.by_type[resource_type].size > ROW_GROUP_BYTES // 4:
                yield self._take(group)
                group, size = [], 0
            group.append(resource_type)
            size += self.by_type[resource_type].size
        if group:
            yield self._take(group)

    def _take(self, resource_types: list[str]) -> Batch:
        names: list[str] = []
        rows = _TypeRows()
        for resource_type in resource_types:
            of_type = self.by_type.pop(resource_type)
            self.held -= of_type.size
            names += itertools.repeat(resource_type, len(of_type.ids))
            before = len(rows.ids)
            rows.named_by |= {before + row: text for row, text in of_type.named_by.items()}
            rows.subsets += [before + row for row in of_type.subsets]
            rows.files += of_type.files
            rows.positions += of_type.positions
            rows.sequences += of_type.sequences
            rows.ids += of_type.ids
            rows.versions += of_type.versions
            rows.updated += of_type.updated
            rows.methods += of_type.methods
            rows.conditional += of_type.conditional
            rows.bodies += of_type.bodies
        arrays = [
            columns.texts(rows.files),
            columns.integers(rows.positions),
            columns.integers(rows.sequences),
            columns.texts(names),
            columns.texts(rows.ids),
            columns.texts(rows.versions),
            columns.texts(rows.updated),
            columns.texts(rows.methods),
            columns.sparse_texts(rows.named_by, len(rows.ids)),
            columns.flags(rows.subsets, len(rows.ids)),
            columns.text_lists(rows.conditional),
            columns.utf8(rows.bodies),
        ]
        return Batch(TABLE, pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))


@dataclass(slots=True)
class _File:
    """One file while it is read: what it gave, and what is wrong with it."""

    path: str
    rows: _Rows
    accepted: int = 0
    quarantined: int = 0
    #: Documents and lines so far.
    containers: int = 0
    #: Whether all of the file is UTF-8, and whether a text may have U+0000: where that is known
    #: for the whole file, its resources need no look each.
    valid_utf8: bool = False
    has_nul: bool = True
    rejected: list[Rejected] = field(default_factory=list)
    unlisted: dict[Reason, int] = field(default_factory=dict)
    listed: dict[Reason, int] = field(default_factory=dict)

    def reject(
        self, position: str | None, reason: Reason, detail: str, size: int | None = None
    ) -> None:
        self.quarantined += 1
        listed = self.listed.get(reason, 0)
        if listed < _LISTED_REJECTIONS:
            self.listed[reason] = listed + 1
            sample = {} if size is None else {"bytes": size}
            self.rejected.append(Rejected(self.path, position, reason, detail, sample))
        else:
            self.unlisted[reason] = self.unlisted.get(reason, 0) + 1

    def notice(self, position: str, reason: Reason, detail: str) -> None:
        self.rejected.append(Rejected(self.path, position, reason, detail, records=0))

    def flush(self) -> Iterator[Event]:
        """Batches that are full and rejections so far."""
        if self.rejected:
            yield from self.rejected
            self.rejected.clear()
        if self.rows.held > ROW_GROUP_BYTES:
            yield from self.rows.full()

    def end(self) -> Iterator[Event]:
        yield from self.flush()
        for reason, count in self.unlisted.items():
            yield Rejected(
                self.path, None, reason, f"{count} more records of this file.", records=count
            )
        arrived = self.accepted + self.quarantined
        yield FileRead(self.path, arrived, self.accepted, self.quarantined)


class FhirSource:
    """Reads FHIR JSON of version R4, whatever it is packed in."""

    name = "fhir"
    file_types = frozenset({"fhir_bundle", "fhir_ndjson"})
    tables: Mapping[str, pa.Schema] = {TABLE: SCHEMA}
    sorted_by: Mapping[str, Sequence[str]] = {TABLE: ("resource_type",)}

    def read(self, store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
        yield from _without_doubled_keys(_split(store, files))


def _split(store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
    rows = _Rows()
    for file, data in _contents(store, files):
        reading = _File(file.path, rows)
        if data is not None:
            yield from _read(reading, _unpacked(data), file.file_type)
        else:
            with store.open(file.key) as opened:
                yield from _read(reading, partial(streams.blocks, opened), file.file_type)
        yield from reading.end()
    yield from rows.rest()


def split(data: bytes, path: str, file_type: str = "fhir_bundle") -> Iterator[Event]:
    """The rows of one file that is held in memory already."""

    def events() -> Iterator[Event]:
        reading = _File(path, _Rows())
        yield from _read(reading, _unpacked(data), file_type)
        yield from reading.end()
        yield from reading.rows.rest()

    yield from _without_doubled_keys(events())


def _without_doubled_keys(events: Iterator[Event]) -> Iterator[Event]:
    """The same without resources that have a doubled key: they are rejected. What a file gave is known
    when its last batch was looked through, so the ends of files come last."""
    ends: dict[str, FileRead] = {}
    lost: Counter[str] = Counter()
    with closing(Screen()) as screen:
        for event in events:
            if isinstance(event, FileRead):
                ends[event.path] = event
            elif isinstance(event, Batch) and (doubled := screen.doubled(event.rows)):
                for row in doubled:
                    rejected = _doubled(event.rows, row)
                    lost[rejected.path] += 1
                    yield rejected
                yield Batch(TABLE, _without(event.rows, doubled))
            else:
                yield event
    for path, end in ends.items():
        yield FileRead(path, end.arrived, end.accepted - lost[path], end.quarantined + lost[path])


def _doubled(rows: pa.RecordBatch, row: int) -> Rejected:
    path = rows.column("source_file")[row].as_py()
    position = rows.column("source_position")[row].as_py()
    size = len(rows.column("resource")[row].as_py())
    detail = "An object has the same name twice, or is nested too deeply to tell: its value is not known."
    return Rejected(path, f"record {position}", Reason.DOUBLED_KEY, detail, {"characters": size})


def _without(rows: pa.RecordBatch, left_out: Sequence[int]) -> pa.RecordBatch:
    starts = [0, *(row + 1 for row in left_out)]
    ends = [*left_out, rows.num_rows]
    kept = [rows.slice(a, b - a) for a, b in zip(starts, ends, strict=True) if b > a]
    return (
        pa.Table.from_batches(kept, schema=rows.schema).combine_chunks().to_batches()[0]
        if kept
        else rows.slice(0, 0)
    )


def _unpacked(data: bytes) -> Callable[[], Iterator[bytes]]:
    if streams.is_compressed(data):
        return lambda: streams.blocks(io.BytesIO(data))
    return lambda: iter((data,))


def _contents(
    store: ObjectStore, files: Sequence[StagedFile]
) -> Iterator[tuple[StagedFile, bytes | None]]:
    """Files in their order, small ones with their bytes, read ahead by a few threads."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="read-ahead") as pool:
        ahead: deque[tuple[list[StagedFile], Future[list[bytes | None]]]] = deque()
        try:
            for group in _groups(files):
                ahead.append((group, pool.submit(_read_group, store, group)))
                if len(ahead) > _READERS:
                    ready, future = ahead.popleft()
                    yield from zip(ready, future.result(), strict=True)
            while ahead:
                ready, future = ahead.popleft()
                yield from zip(ready, future.result(), strict=True)
        finally:
            for _, future in ahead:
                future.cancel()


def _groups(files: Sequence[StagedFile]) -> Iterator[list[StagedFile]]:
    """Runs of files that are worth one trip of a reader."""
    group: list[StagedFile] = []
    size = 0
    for file in files:
        full = size + file.size > _READ_TOGETHER_BYTES or len(group) == _READ_TOGETHER_FILES
        if group and full:
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield group


def _read_group(store: ObjectStore, group: list[StagedFile]) -> list[bytes | None]:
    """The bytes of each small file; large ones are streamed when their turn comes."""
    return [store.read(file.key) if file.size <= SMALL_FILE_BYTES else None for file in group]


# One file ------------------------------------------------------------------------------------


def _read(
    reading: _File, open_blocks: Callable[[], Iterator[bytes]], file_type: str
) -> Iterator[Event]:
    """One file, whatever is in it. ``open_blocks`` gives its content from the start each time."""
    try:
        start = next((block for block in open_blocks() if block and not block.isspace()), b"")
    except InputRejected as rejected:
        reading.reject(None, Reason(rejected.reason), _DAMAGED[Reason(rejected.reason)])
        return
    refused = _refused_at_sight(start)
    if refused is not None:
        reading.reject(None, *refused)
    elif file_type == "fhir_ndjson":
        yield from _read_lines(reading, open_blocks())
    else:
        yield from _read_document(reading, open_blocks)


_DAMAGED: Final = {
    Reason.TRUNCATED: "The file ends in the middle: its transfer was cut off.",
    Reason.CORRUPT_ARCHIVE: "The compressed file is damaged from here on.",
    Reason.TOO_LARGE: f"Above the {streams.MAX_RECORD_BYTES >> 20} MB that are taken as one record.",
}


def _refused_at_sight(start: bytes) -> tuple[Reason, str] | None:
    if start.startswith(_WIDE_BOMS):
        return Reason.BAD_ENCODING, "The file is UTF-16; FHIR JSON is UTF-8."
    first = start.removeprefix(_BOM).lstrip(_BLANK)[:1]
    if not first:
        return Reason.EMPTY_FILE, "The file has no content."
    if first == b"<":
        return Reason.XML, "The file is XML; only FHIR JSON is taken."
    if first == b"[":
        return (
            Reason.ROOT_IS_LIST,
            "The root is a list; FHIR has a Bundle or one resource per line.",
        )
    return None


def _read_lines(reading: _File, blocks: Iterator[bytes]) -> Iterator[Event]:
    """NDJSON: one resource (or one bundle) a line; position is the line number from 1."""
    number = 0
    try:
        for number, line in streams.lines(blocks):
            if line is None:
                reading.reject(f"line {number}", Reason.TOO_LARGE, _DAMAGED[Reason.TOO_LARGE])
                continue
            text = line.strip(_BLANK)
            if number == 1:
                text = text.removeprefix(_BOM)
            if text:
                reading.containers = number
                _take_resource(reading, f"line {number}", number, text)
            if reading.rows.held > ROW_GROUP_BYTES:
                yield from reading.flush()
    except InputRejected as rejected:
        reason = Reason(rejected.reason)
        reading.reject(f"after line {number}", reason, _DAMAGED[reason])


def _read_document(reading: _File, open_blocks: Callable[[], Iterator[bytes]]) -> Iterator[Event]:
    """One JSON document: a bundle or a bare resource. Large bundles are read entry by entry."""
    data, stopped = streams.read_all(open_blocks(), WHOLE_DOCUMENT_BYTES)
    if stopped == Reason.TOO_LARGE:
        if (yield from _read_by_brackets(reading, open_blocks)):
            return
        data, stopped = streams.read_all(open_blocks())
        if stopped == Reason.TOO_LARGE:
            reading.reject(None, Reason.TOO_LARGE, _DAMAGED[Reason.TOO_LARGE])
            return
    text = data.removeprefix(_BOM)
    if stopped is not None:
        yield from _read_broken(reading, text, open_blocks, Reason(stopped), None)
        return
    reading.valid_utf8 = text.isascii() or _is_utf8(text)
    reading.has_nul = _NUL_ESCAPE in text
    try:
        _take_document(reading, text)
    except (msgspec.DecodeError, RecursionError) as error:
        reading.valid_utf8, reading.has_nul = False, True
        yield from _read_broken(reading, text, open_blocks, None, error)


def _read_broken(
    reading: _File,
    text: bytes,
    open_blocks: Callable[[], Iterator[bytes]],
    stopped: Reason | None,
    error: Exception | None,
) -> Iterator[Event]:
    """A document that is not JSON as a whole: its good entries, or its good lines."""
    first_line, _, others = text.partition(b"\n")
    if others and _is_object(first_line):
        yield from _read_lines(reading, open_blocks())
    elif not (yield from _read_by_brackets(reading, open_blocks)):
        if stopped is None:
            whole = json_scan.is_closed(text)
            stopped = Reason.MALFORMED_JSON if whole else Reason.TRUNCATED
        place = re.search(r"\(byte (\d+)\)", str(error))
        position = f"byte {place[1]}" if place else f"byte {len(text)}"
        detail = _DAMAGED.get(stopped, "The file is not JSON.")
        reading.reject(position, stopped, detail, len(text))


def _is_object(text: bytes) -> bool:
    try:
        _NAMED.decode(text)
    except _UNDECODABLE:
        return False
    return True


# Bundles -------------------------------------------------------------------------------------


def _take_document(
    reading: _File, text: bytes, where: str = "", position: int | None = None
) -> None:
    """Decode a whole document and take what is in it.

    ``where`` and ``position`` place a bundle inside a line or another bundle. Raises
    ``msgspec.DecodeError`` where it is not JSON.
    """
    try:
        document = _DOCUMENT.decode(text)
    except (msgspec.ValidationError, UnicodeDecodeError):
        _take_loose_document(reading, text, where, position)
        return
    if bytes(document.resource_type) != b'"Bundle"':
        _take_resource(reading, "resource", 0, text)
        return
    entries = enumerate(document.entry or ())
    _take_entries(reading, entries, _described(document), where, position)


def _take_loose_document(reading: _File, text: bytes, where: str, position: int | None) -> None:
    """A document whose root or entries are not what they should be: each entry by itself."""
    try:
        document = _LOOSE.decode(text)
    except msgspec.ValidationError:
        reading.reject(where or None, Reason.NOT_FHIR, "The root is not a JSON object.", len(text))
        return
    if bytes(document.resource_type) != b'"Bundle"':
        _take_resource(reading, "resource", 0, text)
        return
    entries = bytes(document.entry)
    if not entries.startswith(b"["):
        if entries not in (b"", b"null"):
            detail = "`Bundle.entry` is not a list."
            reading.reject(f"{where}entry", Reason.WRONG_SHAPE, detail, len(entries))
        return
    good = _decoded_entries(reading, enumerate(map(bytes, _LIST.decode(entries))), where)
    _take_entries(reading, good, _described(document), where, position)


def _decoded_entries(
    reading: _File, entries: Iterable[tuple[int, bytes]], where: str
) -> Iterator[tuple[int, Entry]]:
    for index, text in entries:
        place = f"{where}entry[{index}]"
        if text == b"null":
            reading.reject(place, Reason.NULL_ENTRY, "The entry is null.")
            continue
        try:
            yield index, _ENTRY.decode(text)
        except msgspec.ValidationError as error:
            reason, detail = refusal(error)
            reading.reject(place, reason, detail, len(text))
        except UnicodeDecodeError:
            reading.reject(place, Reason.BAD_ENCODING, _NOT_UTF8, len(text))
        except (msgspec.DecodeError, RecursionError):
            reading.reject(place, Reason.MALFORMED_JSON, "The entry is not JSON.", len(text))


def _take_entries(
    reading: _File,
    entries: Iterable[tuple[int, Entry]],
    bundle: _Bundle,
    where: str,
    position: int | None,
) -> None:
    """The entries of one bundle that is held whole. Runs for every resource, so it is written out.

    References can be rewritten only when every fullUrl is known, hence the second loop.
    """
    reading.containers += 1
    bundle.start = reading.containers << _CONTAINER_BIT
    indexes: list[int] = []
    taken: list[Entry] = []
    methods: list[str | None] = []
    conditions: list[str | None] = []
    bodies: list[bytes] = []
    heads: list[Resource] = []
    rewrites = Rewrites()
    decode = RESOURCE.decode
    looked_at = reading.valid_utf8 and not reading.has_nul
    for index, entry in entries:
        body = bytes(entry.resource)
        method = _method(entry)
        if not body or body == b"null" or method not in _TAKEN_METHODS:
            at = index if position is None else position
            _take_request(reading, f"{where}entry[{index}]", at, entry, bundle, index)
            continue
        try:
            head: Resource = decode(body)
        except _UNDECODABLE as error:
            _refuse(reading, f"{where}entry[{index}]", body, error)
            continue
        if not looked_at and not _has_clean_text(reading, f"{where}entry[{index}]", body):
            continue
        if LOGICAL_REFERENCES:
            LOGICAL_REFERENCES.clear()
            body = with_logical_references(body)
        condition = _condition(entry, head)
        if condition is not None or entry.full_url is not None:
            rewrites.note(entry.full_url, type(head).__name__, head.id, condition)
        indexes.append(index)
        taken.append(entry)
        methods.append(method)
        conditions.append(condition)
        bodies.append(body)
        heads.append(head)
    apply = rewrites.apply if rewrites.targets else None
    for index, entry, method, condition, body, head in zip(
        indexes, taken, methods, conditions, bodies, heads, strict=True
    ):
        _take(
            reading,
            f"{where}entry[{index}]",
            index if position is None else position,
            bundle.sequence(index, method),
            head,
            body if apply is None else apply(body),
            entry,
            method,
            condition,
            bundle.is_partial,
        )
    _note_repetitions(reading, where, indexes, heads, bundle)


def _note_repetitions(
    reading: _File, where: str, indexes: list[int], heads: list[Resource], bundle: _Bundle
) -> None:
    """Say where a bundle has a resource twice; both are kept, and the last one counts."""
    if bundle.is_history or len({head.id for head in heads}) == len(heads):
        return
    seen: set[tuple[str, str | None, str | None]] = set()
    twice: list[int] = []
    for index, head in zip(indexes, heads, strict=True):
        key = (type(head).__name__, head.id, None if head.meta is None else head.meta.versionId)
        if key in seen and head.id:
            twice.append(index)
        seen.add(key)
    if twice:
        detail = f"{len(twice)} entries repeat a resource of this bundle; the last one counts."
        reading.notice(f"{where}entry[{twice[0]}]", Reason.DUPLICATE_ID, detail)


def _read_by_brackets(
    reading: _File, open_blocks: Callable[[], Iterator[bytes]]
) -> Generator[Event, None, bool]:
    """A bundle that is too large to hold or not JSON as a whole; False where it is no bundle.

    It is gone through twice: references may point forward to an entry that renames its target.
    """
    rewrites = Rewrites()
    first_pass = _File(reading.path, reading.rows)
    scan = json_scan.Scan()
    try:
        for entry, _, _, body in _scanned(first_pass, open_blocks, scan):
            head = _decoded(first_pass, "", body) if body else None
            if head is not None:
                condition = _condition(entry, head)
                rewrites.note(entry.full_url, type(head).__name__, head.id, condition)
    except _NotABundleError:
        return False
    except InputRejected:
        pass  # named in the second pass, at the same place
    if not scan.found_entries:
        return False
    bundle = _Bundle(scan.bundle_type)
    scan = json_scan.Scan()
    complete = True
    reading.containers += 1
    bundle.start = reading.containers << _CONTAINER_BIT
    try:
        for entry, place, index, body in _scanned(reading, open_blocks, scan):
            method = _method(entry)
            if not body or method not in _TAKEN_METHODS:
                _take_request(reading, place, index, entry, bundle, index)
                continue
            head = _decoded(reading, place, body)
            if head is not None:
                text = rewrites.apply(_with_logical_references(body))
                sequence = bundle.sequence(index, method)
                condition = _condition(entry, head)
                _take(reading, place, index, sequence, head, text, entry, method, condition)
            if reading.rows.held > ROW_GROUP_BYTES:
                yield from reading.flush()
    except InputRejected as rejected:
        complete = False
        reason = Reason(rejected.reason)
        reading.reject(rejected.position, reason, _DAMAGED[reason])
    if complete and not scan.closed and not scan.cut_entry:
        reason = Reason(scan.reason or Reason.TRUNCATED)
        reading.reject("end of file", reason, _DAMAGED[reason])
    return True


class _NotABundleError(Exception):
    """The document has a list ``entry`` but is another resource, such as List."""


def _scanned(
    reading: _File, open_blocks: Callable[[], Iterator[bytes]], scan: json_scan.Scan
) -> Iterator[tuple[Entry, str, int, bytes]]:
    """Entries found by brackets, with their place and the bytes of their resource."""
    for element in json_scan.elements(open_blocks(), scan):
        place = f"entry[{element.index}] at byte {element.start}"
        if not element.complete:
            reason = Reason(scan.reason or Reason.TRUNCATED)
            reading.reject(place, reason, _DAMAGED[reason], len(element.data))
            continue
        for _, entry in _decoded_entries(reading, [(element.index, element.data)], ""):
            body = bytes(entry.resource)
            if not body and not scan.is_bundle:
                raise _NotABundleError
            yield entry, place, element.index, b"" if body == b"null" else body


# One resource --------------------------------------------------------------------------------

_NOT_UTF8: Final = "A text is not UTF-8."


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


#: What decoding raises: msgspec's errors, and those of texts and depths it does not wrap.
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _decoded(reading: _File, place: str, body: bytes) -> Resource | None:
    """What identifies the resource; None where it was rejected."""
    try:
        head: Resource = RESOURCE.decode(body)
    except _UNDECODABLE as error:
        _refuse(reading, place, body, error)
        return None
    return head if _has_clean_text(reading, place, body) else None


def _refuse(reading: _File, place: str, body: bytes, error: Exception) -> None:
    if isinstance(error, msgspec.ValidationError):
        reason, detail = refusal(error)
        if reason is Reason.UNKNOWN_RESOURCE_TYPE:
            named = _NAMED.decode(body).resource_type
            if named in OTHER_VERSION_TYPES:
                reason, detail = Reason.FHIR_VERSION, "A resource type of another FHIR version."
    elif isinstance(error, UnicodeDecodeError):
        reason, detail = Reason.BAD_ENCODING, _NOT_UTF8
    elif isinstance(error, RecursionError):
        reason, detail = Reason.MALFORMED_JSON, "Nested too deeply."
    elif str(error) == "Input data was truncated":
        reason, detail = Reason.TRUNCATED, "The resource is cut off."
    else:
        reason, detail = Reason.MALFORMED_JSON, "The resource is not JSON."
    reading.reject(place, reason, detail, len(body))


def _has_clean_text(reading: _File, place: str, body: bytes) -> bool:
    """Whether the texts of a resource can be stored: UTF-8, and without U+0000."""
    if not (reading.valid_utf8 or body.isascii() or _is_utf8(body)):
        reading.reject(place, Reason.BAD_ENCODING, _NOT_UTF8, len(body))
        return False
    if reading.has_nul and _NUL_ESCAPE in body and _NUL.search(body):
        reading.reject(place, Reason.INVALID_VALUE, "A text has the character U+0000.", len(body))
        return False
    return True


def _with_logical_references(body: bytes) -> bytes:
    """The resource decoded last, with references that name their target by identifier written out."""
    if not LOGICAL_REFERENCES:
        return body
    LOGICAL_REFERENCES.clear()
    return with_logical_references(body)


def _take_resource(reading: _File, place: str, position: int, text: bytes) -> None:
    """A resource that is no entry of a bundle."""
    head = _decoded(reading, place, text)
    if head is not None:
        body = _with_logical_references(text.strip(_BLANK))
        sequence = reading.containers << _CONTAINER_BIT
        _take(reading, place, position, sequence, head, body)


def _take(
    reading: _File,
    place: str,
    position: int,
    sequence: int,
    head: Resource,
    body: bytes,
    entry: Entry | None = None,
    method: str | None = None,
    condition: str | None = None,
    is_partial: bool = False,
) -> None:
    """Add the row of one resource, or the rows of a bundle inside a bundle or a line."""
    resource_type = type(head).__name__
    if resource_type == "Bundle":
        if place.count("entry[") > _NESTED_BUNDLES:
            reading.reject(place, Reason.MALFORMED_JSON, "Nested too deeply.", len(body))
        else:
            _take_document(reading, body, where=f"{place} ", position=position)
        return
    meta = head.meta
    if entry is not None and entry.response is not None:
        meta = _as_answered(meta, entry)
    resource_id = head.id
    if condition is not None:
        resource_id = fhir_identity.id_of_condition(condition)
        if head.id is not None:
            body = json_scan.without_key(body, b"id")
    elif not resource_id:
        resource_id = fhir_identity.id_of_full_url(entry.full_url) if entry is not None else None
        if resource_id is None:
            detail = "Neither the resource nor a fullUrl has an id."
            reading.reject(place, Reason.MISSING_ID, detail, len(body))
            return
    if not fhir_identity.is_id(resource_id):
        reading.reject(place, Reason.INVALID_VALUE, _NO_ID, len(body))
        return
    if resource_id is not head.id:
        # As a server would store it. JSON readers take the first of two equal keys, so this also
        # stands before an "id": null.
        if head.id is None or condition is None:
            body = json_scan.without_key(body, b"id")
        body = b'{"id":' + msgspec.json.encode(resource_id) + b"," + body.lstrip(_BLANK)[1:]
    reading.rows.add(
        resource_type,
        reading.path,
        position,
        sequence,
        resource_id,
        meta,
        method,
        body,
        condition,
        is_partial,
    )
    reading.accepted += 1


_NO_ID: Final = (
    f"The id has more than {fhir_identity.MAX_ID} characters, or one that no URL can have."
)


def _method(entry: Entry) -> str | None:
    request = entry.request
    if request is None or request.method is None:
        return None
    return request.method.upper()


def _condition(entry: Entry, head: Resource) -> str | None:
    """What names the resource of a conditional create or update."""
    request = entry.request
    if request is None:
        return None
    query = request.if_none_exist
    if query is None:
        if request.url is None or "?" not in request.url or _method(entry) != "PUT":
            return None
        query = request.url
    query = query.partition("?")[2] or query.partition("?")[0]
    return fhir_identity.condition(type(head).__name__, query) if query else None


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
    entry: Entry, location: fhir_identity.Location | None
) -> tuple[str | None, str | None]:
    """The version that a response made, and when; the version also as a URL names it."""
    version = location.version if location is not None else None
    updated = None
    response = entry.response
    if response is not None:
        named = fhir_identity.located(response.location)
        version = (
            fhir_identity.version_of_etag(response.etag)
            or (named.version if named is not None else None)
            or version
        )
        updated = response.last_modified
        if updated is not None and not is_date(updated):
            updated = None
    return version, updated


#: What a server answers to a deletion.
_DELETED_STATUS: Final = ("204", "410")


def _take_request(
    reading: _File,
    place: str,
    position: int,
    entry: Entry,
    bundle: _Bundle,
    index: int,
) -> None:
    """An entry without a resource to store: a DELETE, or something that cannot be taken."""
    method = _method(entry)
    status = entry.response.status if entry.response is not None else None
    if method is None and bundle.is_history and (status or "").startswith(_DELETED_STATUS):
        method = "DELETE"
    if method in _TAKEN_METHODS:
        reading.reject(place, Reason.ENTRY_WITHOUT_RESOURCE, "The entry has no resource.")
        return
    if method != "DELETE":
        detail = "Only POST, PUT and DELETE requests are taken."
        reading.reject(place, Reason.UNSUPPORTED_REQUEST, detail)
        return
    url = entry.request.url if entry.request is not None else None
    found = _deleted(entry, url)
    if found is None:
        detail = "The DELETE does not name one resource as Type/id."
        reading.reject(place, Reason.UNSUPPORTED_REQUEST, detail)
        return
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
    )
    reading.accepted += 1


def _deleted(entry: Entry, url: str | None) -> fhir_identity.Location | None:
    """What a DELETE entry names: by its URL, its fullUrl or the location in the response."""
    if url is not None and "?" in url:
        return None  # a search, which may name several
    location = entry.response.location if entry.response is not None else None
    for candidate in (url, entry.full_url, location):
        found = fhir_identity.located(candidate)
        if found is not None:
            return found
    return None


def _conditional_references(body: bytes) -> list[str] | None:
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
