"""A file object that reads an object of the store by ranges."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

from lakehouse.errors import StorageUnavailable
from lakehouse.store.interface import ObjectInfo

#: A ranged read fetches at least this much; a reader that goes straight on doubles it each time.
READ_AHEAD_MIN: Final = 64 * 1024
READ_AHEAD_MAX: Final = 8 * 1024 * 1024


class RangedReader(io.RawIOBase):
    """Reads an object by ranges: small ones after a seek, growing ones while going straight on."""

    def __init__(
        self, info: ObjectInfo, fetch: Callable[[str, int, int | None, str | None], bytes]
    ) -> None:
        super().__init__()
        self.name = "<object>"  # readers of formats ask a file for it; never the key
        self._info = info
        self._fetch = fetch
        self._position = 0
        self._window = b""
        self._window_start = 0
        self._ahead = READ_AHEAD_MIN

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._info.size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(self._info.size - self._position, 0))
        if wanted == 0:
            return 0
        start = self._position - self._window_start
        if not 0 <= start < len(self._window):
            self._move_window(wanted, goes_on=start == len(self._window) > 0)
            start = 0
        data = self._window[start : start + wanted]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _move_window(self, wanted: int, *, goes_on: bool) -> None:
        self._ahead = min(self._ahead * 2, READ_AHEAD_MAX) if goes_on else READ_AHEAD_MIN
        length = min(max(wanted, self._ahead), self._info.size - self._position)
        self._window = self._fetch(self._info.key, self._position, length, self._info.etag)
        self._window_start = self._position
        if len(self._window) < length:
            raise StorageUnavailable("The object store sent less than the object has.")

    def readall(self) -> bytes:
        left = self._info.size - self._position
        if left <= 0:
            return b""
        data = self._fetch(self._info.key, self._position, left, self._info.etag)
        self._position += len(data)
        return data
