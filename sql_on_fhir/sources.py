"""FHIR JSON from files and streams, split into single resources with bounded memory.

Bundles, NDJSON (one resource or bundle a line) and single resources, plain, .gz or .zst;
which of them a file is shows in its first line, not in its name.
"""

import gzip
import io
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
import pyarrow as pa
import zstandard

from sql_on_fhir.errors import SourceError

Place = Path | Literal["-"] | str
SCHEMA = pa.schema([("resource", pa.string())])
_BLOCK = 8 << 20
_BATCH_BYTES = 16 << 20


class _Head(msgspec.Struct):
    resourceType: str | None = None  # noqa: N815 - FHIR's name


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


_head = msgspec.json.Decoder(_Head)
_bundle = msgspec.json.Decoder(_Bundle)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder(msgspec.Raw)


def resources_of(document: bytes, resource_type: str | None) -> Iterator[bytes]:
    """The resources in one JSON document: itself, its bundle entries, or the items of a list.

    With `resource_type` only those of that type. Contained resources stay where they are.
    Raises msgspec.DecodeError where the text is not JSON or not FHIR.
    """
    if document.lstrip()[:1] == b"[":
        for item in _list.decode(document):
            yield from resources_of(bytes(item), resource_type)
        return
    type_ = _head.decode(document).resourceType
    if type_ is None:
        raise msgspec.ValidationError("there is no resourceType")
    if resource_type is None or type_ == resource_type:
        yield document
    if type_ == "Bundle":
        for entry in _bundle.decode(document).entry:
            if bytes(entry.resource) not in (b"", b"null"):
                yield from resources_of(bytes(entry.resource), resource_type)


# A zstd file may begin with a frame to skip (RFC 8878, 3.1.2), as pzstd writes.
_SKIPPED_FRAME = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")


@contextmanager
def _opened(place: Place) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed by what they start with; standard input stays open."""
    with ExitStack() as stack:
        if place == "-":
            raw: Any = io.BufferedReader(sys.stdin.buffer)
            stack.callback(raw.detach)
        else:
            raw = stack.enter_context(Path(place).open("rb"))
        start = raw.peek(4)[:4]
        stream: Any = raw
        if start[:2] == b"\x1f\x8b":
            stream = stack.enter_context(gzip.GzipFile(fileobj=raw))
        elif start == b"\x28\xb5\x2f\xfd" or _SKIPPED_FRAME.match(start):
            decompressor = zstandard.ZstdDecompressor()
            stream = stack.enter_context(decompressor.stream_reader(raw, read_across_frames=True))
        yield stream


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines of any length, read in large blocks."""
    rest: list[bytes] = []
    while block := stream.read(_BLOCK):
        first, *others = block.split(b"\n")
        rest.append(first)
        if others:
            yield b"".join(rest)
            yield from others[:-1]
            rest = [others[-1]]
    yield b"".join(rest)


def read_resources(place: Place, resource_type: str | None = None) -> Iterator[bytes]:
    """Every resource of one file or of standard input ("-"), as raw JSON text.

    Raises SourceError, which names the file and the line, where it cannot be read.
    """
    name = "standard input" if place == "-" else str(place)
    number = 0
    try:
        with _opened(place) as stream:
            lines = _lines(stream)
            for line in lines:
                number += 1
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                text = text.strip()
                if not text:
                    continue
                if not _is_document(text):
                    # A document of several lines: there is no other way than to take it whole.
                    text = b"\n".join([text, *lines])
                yield from resources_of(text, resource_type)
    except (msgspec.DecodeError, OSError, EOFError, zstandard.ZstdError) as error:
        at = f", line {number}" if number > 1 else ""
        raise SourceError(f"{name}{at}: this is not FHIR JSON ({error})") from error


def _is_document(text: bytes) -> bool:
    """True for a whole JSON document on a line; False where it goes on in the next lines."""
    if text[-1:] not in (b"}", b"]"):
        return False
    try:
        _any.decode(text)
    except msgspec.DecodeError:
        return text[:1] == b"{" and len(text) > 1 and text[-1:] == b"}"
    return True


def batches(places: Sequence[Place], resource_type: str | None) -> Iterator[pa.RecordBatch]:
    """The resources of several files as Arrow batches of about 16 MB: one column, `resource`."""
    held: list[bytes] = []
    size = 0
    for place in places:
        for resource in read_resources(place, resource_type):
            held.append(resource)
            size += len(resource)
            if size >= _BATCH_BYTES:
                yield _batch(held)
                held, size = [], 0
    if held:
        yield _batch(held)


def _batch(resources: list[bytes]) -> pa.RecordBatch:
    texts = pa.array(resources, pa.binary()).cast(pa.string())
    return pa.record_batch([texts], schema=SCHEMA)
