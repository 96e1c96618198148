"""Rows of a delimited text, streamed: whatever its encoding and delimiter, one broken row costs only itself."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from ingestion.reasons import Reason
from ingestion.sources import delimited
from lakehouse.errors import InputRejected

_DELIMITERS: Final = (",", ";", "\t")
_HEADER_WITHIN: Final = 8
#: Lines that one quoted value may have; more, and its quote was never closed.
_LINES_OF_ROW: Final = 50
_LONGEST_LINE: Final = 256 * 1024
Blocks = Callable[[], Iterator[bytes]]
Header = TypeVar("Header")


@dataclass(frozen=True, slots=True)
class Row:
    """One row and the number of its first line. ``cells`` is None for one that is no row: ``problem`` says why."""

    line: int
    cells: list[str] | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """The text ends before its end: ``reason`` says why."""

    line: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Text:
    """A delimited text that can be gone through more than once."""

    blocks: Blocks
    delimiter: str

    def rows(self) -> Iterator[Row | Cut]:
        """Every row that is not blank."""
        yield from _rows(_lines(self.blocks()), self.delimiter)


def opened(
    blocks: Blocks, header_of: Callable[[list[str]], Header | None]
) -> tuple[Text, Header, int, list[list[str]]] | None:
    """The text, its header, the header's line, and the rows before it; None where no row is a header."""
    for delimiter in _DELIMITERS:
        text = Text(blocks, delimiter)
        before: list[list[str]] = []
        for row in text.rows():
            if isinstance(row, Cut) or len(before) == _HEADER_WITHIN:
                break
            cells = row.cells or []
            header = header_of(cells)
            if header is not None:
                return text, header, row.line, before
            before.append(cells)
    return None


def _lines(blocks: Iterator[bytes]) -> Iterator[str | Cut]:
    number = 0
    try:
        for line in delimited.lines(blocks):
            number += 1
            yield line.rstrip("\r\n")
    except InputRejected as rejected:
        yield Cut(number + 1, Reason(rejected.reason))


def _rows(lines: Iterator[str | Cut], delimiter: str) -> Iterator[Row | Cut]:
    """Rows; one whose quote is never closed is broken by itself, and what follows is read on."""
    number = 0
    waiting: list[str | Cut] = []  # lines that were looked at and have to be read again

    def take() -> str | Cut | None:
        return waiting.pop(0) if waiting else next(lines, None)

    while (line := take()) is not None:
        if isinstance(line, Cut):
            yield line
            return
        number += 1
        if not line.strip():
            continue
        if '"' not in line:
            if len(line) > _LONGEST_LINE or "\0" in line:
                yield Row(number, None, "The line is too long, or holds a NUL character.")
            else:
                yield Row(number, line.split(delimiter))
            continue
        start, parts = number, [line]
        while line.count('"') % 2 and len(parts) < _LINES_OF_ROW:
            following = take()
            if following is None or isinstance(following, Cut):
                if following is not None:
                    waiting.insert(0, following)
                break
            parts.append(following)
            line = "\n".join(parts)
        if "\n".join(parts).count('"') % 2:
            waiting[:0] = parts[1:]
            yield Row(start, None, "A quote is opened and never closed.")
            continue
        number += len(parts) - 1
        yield _parsed(start, "\n".join(parts), delimiter)


def _parsed(number: int, text: str, delimiter: str) -> Row:
    if len(text) > _LONGEST_LINE:
        return Row(number, None, "The row is too long.")
    try:
        rows = list(csv.reader(text.split("\n"), delimiter=delimiter, strict=True))
    except csv.Error:
        return Row(number, None, "The row is not quoted as CSV is.")
    if len(rows) != 1:
        return Row(number, None, "The row is not quoted as CSV is.")
    return Row(number, rows[0])
