"""Finding resources in which a JSON object has a name twice (https://hl7.org/fhir/R4/json.html:
"property names SHALL be unique"): each reader of such a text may take another of the two values.

The decoder that splits bundles keeps the last value and says nothing. DuckDB's JSON parser, several
times faster than making Python objects, gives the names of all objects of a resource; resources of one
kind have the same names in the same places, so Python looks at one of each kind only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

#: So little is not worth starting DuckDB's reading of Arrow, a quarter of a second.
_FEW_BYTES: Final = 512 * 1024

_NAMES: Final = "try(hash(json_keys('[' || resource || ']', '$..*')))"
_KINDS: Final = f"""
    select {_NAMES} as names, min(place)
    from resources
    where resource is not null
    group by names
"""
_PLACES: Final = f"""
    select place
    from resources
    where resource is not null and coalesce({_NAMES} in (select unnest(?::ubigint[])), true)
    order by place
"""


class Screen:
    """Looks through the resources of one reading; usable by one thread at a time."""

    def __init__(self) -> None:
        self._good: set[int] = set()
        self._connection: duckdb.DuckDBPyConnection | None = None

    @property
    def _duckdb(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = duckdb.connect(
                config={
                    "threads": 1,
                    "memory_limit": "1GB",
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                }
            )
        return self._connection

    def doubled(self, rows: pa.RecordBatch) -> list[int]:
        """The rows (by number) whose ``resource`` has an object with a doubled name."""
        texts = rows.column("resource")
        if texts.nbytes <= _FEW_BYTES:
            found = enumerate(texts.to_pylist())
            return [place for place, text in found if text and has_doubled_key(text)]
        with self._resources(texts):
            bad = self._bad_kinds(texts)
            if bad is None:
                return []
            places = self._duckdb.execute(_PLACES, [bad]).fetchall()
        return [place for (place,) in places if has_doubled_key(texts[place].as_py())]

    @contextmanager
    def _resources(self, texts: pa.Array) -> Iterator[None]:
        numbers = pa.py_buffer(np.arange(len(texts), dtype=np.int64))
        places = pa.Array.from_buffers(pa.int64(), len(texts), [None, numbers])
        table = pa.Table.from_arrays([places, texts], ["place", "resource"])
        self._duckdb.register("resources", table)
        try:
            yield
        finally:
            self._duckdb.unregister("resources")

    def _bad_kinds(self, texts: pa.Array) -> list[int] | None:
        """The kinds with a doubled name; None where there is none, and none that cannot be told."""
        bad = []
        unknown = False
        for names, place in self._duckdb.execute(_KINDS).fetchall():
            if names is None:
                unknown = True
            elif names not in self._good:
                if has_doubled_key(texts[place].as_py()):
                    bad.append(names)
                else:
                    self._good.add(names)
        return bad if bad or unknown else None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _DoubledError(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _DoubledError


def has_doubled_key(text: str) -> bool:
    """Whether any object in a JSON text has a name twice. One that is nested too deeply to tell (a thousand
    levels; the decoder of the split may stand just one more) counts as such: nobody else could read it."""
    try:
        json.loads(text, object_pairs_hook=_unique, parse_int=str, parse_float=str)
    except (_DoubledError, RecursionError):
        return True
    return False
