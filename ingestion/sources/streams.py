"""Bytes of a file as a bounded stream: decompression (gzip, zlib, zstd) and lines.

What a damaged archive still gives comes first; then :class:`InputRejected` says what is wrong.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from enum import Enum
from typing import Any, BinaryIO, Final

import zstandard

from ingestion.reasons import Reason
from lakehouse.errors import InputRejected

BLOCK_BYTES: Final = 4 * 1024 * 1024
#: The longest line, document or bundle entry that is taken. Memory grows with it.
MAX_RECORD_BYTES: Final = 512 * 1024 * 1024

_GZIP_MAGIC: Final = b"\x1f\x8b"
#: A zstd frame, and the sixteen of a frame that decoders skip, which may come first (RFC 8878,
#: 3.1.2): pzstd and others keep sizes and indexes in such frames.
ZSTD_MAGICS: Final = (
    b"\x28\xb5\x2f\xfd",
    *(bytes([number]) + b"\x2a\x4d\x18" for number in range(0x50, 0x60)),
)
_MAGIC_BYTES: Final = 4
#: Enough of a zlib stream to see that it is one: its magic alone may begin a text ("x^2 + …").
_ZLIB_TRIAL_BYTES: Final = 512
#: Small pieces of compressed input bound what one step can expand to: 8 KiB of zstd is at most
#: 2,048 blocks of 128 KiB, and real data expands ten- to fiftyfold.
_ZSTD_STEP: Final = 8 * 1024
_ZLIB_STEP: Final = 256 * 1024
#: A file that somebody compressed again is unpacked so often.
_PACKINGS: Final = 4


class _Packing(Enum):
    GZIP = "gzip"
    ZLIB = "zlib"
    ZSTD = "zstd"


def is_compressed(start: bytes) -> bool:
    """Whether content that begins with these bytes is compressed in a form that is read."""
    return _packing(start) is not None


def _packing(start: bytes) -> _Packing | None:
    if start.startswith(_GZIP_MAGIC):
        return _Packing.GZIP
    if start.startswith(ZSTD_MAGICS):
        return _Packing.ZSTD
    if _is_zlib(start):
        return _Packing.ZLIB
    return None


def _is_zlib(start: bytes) -> bool:
    """A header of RFC 1950 (deflate, 32 KiB window, check bits), and content that inflates."""
    if len(start) < 2 or start[0] != 0x78 or int.from_bytes(start[:2], "big") % 31:
        return False
    try:
        zlib.decompressobj().decompress(start[:_ZLIB_TRIAL_BYTES])
    except zlib.error:
        return False
    return True


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """The content of ``file`` from its start, decompressed as often as it was compressed.

    Raises :class:`InputRejected` (``truncated``, ``corrupt_archive``) after the last good block.
    """
    file.seek(0)
    source: Iterator[bytes] = iter(lambda: file.read(BLOCK_BYTES), b"")
    for _ in range(_PACKINGS):
        start, source = _begun(source)
        packing = _packing(start)
        if packing is None:
            break
        source = _decompressed(source, packing)
    yield from source


def _begun(source: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, as many as tell what they are, and the whole stream again."""
    start = b""
    try:
        while len(start) < _MAGIC_BYTES:
            start += next(source)
    except StopIteration:
        return start, iter((start,))
    except InputRejected as rejected:
        return start, _ends_with(rejected, start)
    return start, itertools.chain((start,), source)


def _ends_with(rejected: InputRejected, content: bytes) -> Iterator[bytes]:
    yield content
    raise rejected


def _decompressed(source: Iterator[bytes], packing: _Packing) -> Iterator[bytes]:
    """Several members or frames one after the other are one stream, as for the command-line tools."""
    step = _ZSTD_STEP if packing is _Packing.ZSTD else _ZLIB_STEP
    decompressor = _new(packing)
    begun = True
    pieces: list[bytes] = []
    gathered = 0
    try:
        for data in _steps(source, step):
            while data:
                if decompressor.eof:
                    if packing is _Packing.GZIP and not data.strip(b"\0"):
                        break  # zero padding after the last member
                    decompressor = _new(packing)
                piece, data = _decompress(decompressor, data, packing)
                begun = not decompressor.eof
                pieces.append(piece)
                gathered += len(piece)
                if gathered >= BLOCK_BYTES:
                    yield b"".join(pieces)
                    pieces, gathered = [], 0
    except (zlib.error, zstandard.ZstdError):
        yield b"".join(pieces)
        raise InputRejected(
            "The archive is damaged.",
            reason=Reason.CORRUPT_ARCHIVE,
            hint="Compress the file again and send it again.",
        ) from None
    except InputRejected:
        yield b"".join(pieces)
        raise
    yield b"".join(pieces)
    if begun:
        raise InputRejected(
            "The archive ends in the middle.",
            reason=Reason.TRUNCATED,
            hint="Send the file again: its transfer was cut off.",
        )


def _steps(source: Iterator[bytes], size: int) -> Iterator[bytes]:
    for block in source:
        for start in range(0, len(block), size):
            yield block[start : start + size]


def _new(packing: _Packing) -> Any:
    if packing is _Packing.ZSTD:
        return zstandard.ZstdDecompressor().decompressobj()
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | (16 if packing is _Packing.GZIP else 0))


def _decompress(decompressor: Any, data: bytes, packing: _Packing) -> tuple[bytes, bytes]:
    """What a piece of input gives, and the part of it that is still to be read."""
    if packing is _Packing.ZSTD:
        piece = decompressor.decompress(data)
        return piece, decompressor.unused_data if decompressor.eof else b""
    piece = decompressor.decompress(data, BLOCK_BYTES)
    return piece, decompressor.unused_data if decompressor.eof else decompressor.unconsumed_tail


def beginning(file: BinaryIO, limit: int) -> tuple[bytes, str | None]:
    """The first ``limit`` bytes of the content, and why there are no more of them, where it is cut."""
    pieces: list[bytes] = []
    size = 0
    try:
        for block in blocks(file):
            pieces.append(block)
            size += len(block)
            if size >= limit:
                break
    except InputRejected as rejected:
        return b"".join(pieces)[:limit], rejected.reason
    return b"".join(pieces)[:limit], None


def read_all(source: Iterator[bytes], limit: int | None = None) -> tuple[bytes, str | None]:
    """Everything that ``source`` gives, and the reason why it is not all there, if so."""
    limit = limit or MAX_RECORD_BYTES
    pieces: list[bytes] = []
    size = 0
    try:
        for block in source:
            pieces.append(block)
            size += len(block)
            if size > limit:
                return b"", Reason.TOO_LARGE
    except InputRejected as rejected:
        return b"".join(pieces), rejected.reason
    return pieces[0] if len(pieces) == 1 else b"".join(pieces), None


def lines(source: Iterator[bytes], limit: int | None = None) -> Iterator[tuple[int, bytes | None]]:
    """Each line with its number from 1, without its line feed; None for one above ``limit``
    (by default :data:`MAX_RECORD_BYTES`).

    Where ``source`` raises, the unfinished last line is given first.
    """
    limit = limit or MAX_RECORD_BYTES
    number = 1
    started: list[bytes] = []  # pieces of a line that is not finished
    size = 0
    failure: InputRejected | None = None
    blocks_left = iter(source)
    while True:
        try:
            block = next(blocks_left)
        except StopIteration:
            break
        except InputRejected as rejected:
            failure = rejected
            break
        parts = block.split(b"\n")
        last = parts.pop()
        for part in parts:
            if started:
                line = b"".join([*started, part]) if size + len(part) <= limit else None
                started, size = [], 0
            else:
                line = part
            yield number, line
            number += 1
        size += len(last)
        if size <= limit:
            started.append(last)
        elif started != [b""]:
            started = [b""]  # too long: only that it goes on is kept
    if size:
        yield number, b"".join(started) if size <= limit else None
    if failure is not None:
        raise failure
