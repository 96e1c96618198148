"""Arrow columns from Python values, built from buffers.

``pyarrow.array`` and ``pyarrow.scalar`` import pandas, which costs more than a second in a process
that needs it for nothing else; these do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def texts(values: Sequence[str | None]) -> pa.Array:
    """A ``string`` column."""
    present = [value or "" for value in values]
    joined = "".join(present)
    if joined.isascii():
        data, lengths = joined.encode(), [len(value) for value in present]
    else:
        encoded = [value.encode() for value in present]
        data, lengths = b"".join(encoded), [len(value) for value in encoded]
    buffers = [_validity(values), _offsets(lengths, np.int32), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(present), buffers)


def utf8(values: Sequence[bytes | None]) -> pa.Array:
    """A ``large_string`` column of texts that are UTF-8 already; the caller has checked that."""
    present = [value or b"" for value in values]
    offsets = _offsets([len(value) for value in present], np.int64)
    buffers = [_validity(values), offsets, pa.py_buffer(b"".join(present))]
    return pa.Array.from_buffers(pa.large_string(), len(present), buffers)


def sparse_texts(values: Mapping[int, str], count: int) -> pa.Array:
    """A ``string`` column of ``count`` rows that is null but for some of them."""
    if not values:
        validity = pa.py_buffer(bytes((count + 7) // 8))
        offsets = pa.py_buffer(np.zeros(count + 1, dtype=np.int32))
        return pa.Array.from_buffers(pa.string(), count, [validity, offsets, pa.py_buffer(b"")])
    return texts([values.get(row) for row in range(count)])


def flags(rows: Iterable[int], count: int) -> pa.Array:
    """A ``bool`` column of ``count`` rows that is true in some of them."""
    bits = np.zeros(count, dtype=bool)
    bits[list(rows)] = True
    data = pa.py_buffer(np.packbits(bits, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), count, [None, data])


def text_lists(values: Sequence[Sequence[str] | None]) -> pa.Array:
    """A ``list<string>`` column."""
    flat = texts([text for value in values if value for text in value])
    offsets = _offsets([len(value) if value else 0 for value in values], np.int32)
    return pa.Array.from_buffers(
        pa.list_(pa.string()), len(values), [_validity(values), offsets], children=[flat]
    )


def integers(values: Sequence[int]) -> pa.Array:
    """An ``int64`` column without nulls."""
    data = pa.py_buffer(np.array(values, dtype=np.int64))
    return pa.Array.from_buffers(pa.int64(), len(values), [None, data])


def repeated_text(value: str, count: int) -> pa.Array:
    data = value.encode()
    buffers = [None, _offsets([len(data)] * count, np.int32), pa.py_buffer(data * count)]
    return pa.Array.from_buffers(pa.string(), count, buffers)


def repeated_time(value: datetime, count: int) -> pa.Array:
    """A ``timestamp[us, UTC]`` column."""
    micros = (value - _EPOCH) // timedelta(microseconds=1)
    data = pa.py_buffer(np.full(count, micros, dtype=np.int64))
    return pa.Array.from_buffers(pa.timestamp("us", tz="UTC"), count, [None, data])


def finite(numbers: pa.Array) -> pa.Array:
    """The numbers, with null where one is NaN or infinite; the same array where none is."""
    if not len(numbers) or pc.all(pc.is_finite(numbers), min_count=0).as_py():
        return numbers
    return pc.if_else(pc.is_finite(numbers), numbers, pa.nulls(len(numbers), numbers.type))


def _offsets(lengths: Sequence[int], type_: type[np.signedinteger]) -> pa.Buffer:
    offsets = np.zeros(len(lengths) + 1, dtype=type_)
    np.cumsum(lengths, out=offsets[1:])
    return pa.py_buffer(offsets)


def _validity(values: Sequence[object | None]) -> pa.Buffer | None:
    if None not in values:
        return None
    bits = np.packbits([value is not None for value in values], bitorder="little")
    return pa.py_buffer(bits)
