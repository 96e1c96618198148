"""Bytes of a file as a bounded stream: decompression (gzip, zstd) and lines.

What a damaged archive still gives comes first; then :class:`InputRejected` says what is wrong.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, Protocol

import zstandard

from ingestion.sources import Reason
from lakehouse.errors import InputRejected

BLOCK_BYTES: Final = 4 * 1024 * 1024
#: The longest line, document or bundle entry that is taken. Memory grows with it.
MAX_RECORD_BYTES: Final = 512 * 1024 * 1024

_GZIP_MAGIC: Final = b"\x1f\x8b"
#: A zstd file begins with a frame of data, or with one to skip (RFC 8878, 3.1.2), as pzstd writes.
ZSTD_MAGICS: Final = (
    b"\x28\xb5\x2f\xfd",
    *(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16)),
)
#: Small pieces of compressed input bound what one step can expand to: 8 KiB of zstd is at most
#: 2,048 blocks of 128 KiB, and real data expands ten- to fiftyfold.
_COMPRESSED_STEP: Final = 8 * 1024


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def is_compressed(start: bytes) -> bool:
    return start.startswith((_GZIP_MAGIC, *ZSTD_MAGICS))


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """The content of ``file`` from its start, decompressed where its first bytes say gzip or zstd.

    Raises :class:`InputRejected` (``truncated``, ``corrupt_archive``) after the last good block.
    """
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    if start.startswith(_GZIP_MAGIC):
        yield from _decompressed(file, gzip=True)
    elif start in ZSTD_MAGICS:
        yield from _decompressed(file, gzip=False)
    else:
        while block := file.read(BLOCK_BYTES):
            yield block


def _decompressed(file: BinaryIO, *, gzip: bool) -> Iterator[bytes]:
    """Several members or frames one after the other are one stream, as for the command-line tools."""
    step = BLOCK_BYTES // 16 if gzip else _COMPRESSED_STEP
    decompressor = _new(gzip)
    begun = True
    pieces: list[bytes] = []
    gathered = 0
    try:
        while data := file.read(step):
            while data:
                if decompressor.eof:
                    if gzip and not data.strip(b"\0"):
                        break  # zero padding after the last member
                    decompressor = _new(gzip)
                piece = decompressor.decompress(data)
                begun = not decompressor.eof
                data = decompressor.unused_data if decompressor.eof else b""
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
    yield b"".join(pieces)
    if begun:
        raise InputRejected(
            "The archive ends in the middle.",
            reason=Reason.TRUNCATED,
            hint="Send the file again: its transfer was cut off.",
        )


def _new(gzip: bool) -> _Decompressor:
    if gzip:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    return zstandard.ZstdDecompressor().decompressobj()


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
