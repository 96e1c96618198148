"""How the command line looks: consoles, tables, and the lines that show long work going on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lakehouse.progress import Step, listening

#: Values up to this length (ids, times, numbers) are not broken over lines: longer texts make room.
_KEPT_WHOLE = 26
#: The least room for a text that is longer; its words are not broken either where they are ids.
_ROOM_FOR_TEXT = 16
#: Characters between two columns.
_GAP = 2
#: Longer values are cut where a row is a list: --json and --csv give them whole.
_LONGEST = 300

#: Emoji codes are off: `1:100:5` is a value of somebody's data, and no picture.
console = Console(highlight=False, soft_wrap=False, emoji=False)
errors_console = Console(stderr=True, highlight=False, emoji=False)

AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


def print_json(value: object) -> None:
    """``value`` (dataclasses welcome) as JSON on standard output."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


def table(
    title: str | None, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> RenderableType:
    """A plain table; columns whose values are all numbers are set flush right.

    Where the terminal is too narrow for it, each row is a list of its columns instead.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max((len(row[index]) for row in cells), default=0) for index in range(len(columns))]
    needed = [
        max(_least_room([row[index] for row in cells], widths[index]), len(name))
        for index, name in enumerate(columns)
    ]
    if sum(needed) + _GAP * len(needed) > console.width:
        drawn = _one_by_one(columns, cells)
    else:
        drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for index, name in enumerate(columns):
            numeric = bool(rows) and all(isinstance(row[index], (int, float)) for row in rows)
            drawn.add_column(
                escape(name),
                justify="right" if numeric else "left",
                overflow="fold",
                min_width=needed[index],
                no_wrap=widths[index] <= _KEPT_WHOLE,
            )
        for row in cells:
            drawn.add_row(*[escape(cell) for cell in row])
    # Rich would break a title at the table's width.
    return drawn if title is None else Group(Text(title, style="bold"), drawn)


def _least_room(values: Sequence[str], width: int) -> int:
    if width <= _KEPT_WHOLE:
        return width
    words = (len(word) for value in values for word in value.split())
    return max(_ROOM_FOR_TEXT, min(max(words, default=0), _KEPT_WHOLE))


def _one_by_one(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> Table:
    drawn = Table.grid(padding=(0, 2, 0, 0))
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    for row in cells:
        drawn.add_row()
        for name, cell in zip(columns, row, strict=True):
            shown = cell if len(cell) <= _LONGEST else f"{cell[:_LONGEST]} …"
            drawn.add_row(escape(name), escape(shown))
    return drawn


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


@contextmanager
def progress_lines(*, quiet: bool = False) -> Iterator[None]:
    """Draw a line for each finished step, and a spinner with the seconds passed meanwhile."""
    if quiet:
        yield
        return
    started = time.monotonic()
    with console.status("starting …", spinner="dots") as status:

        def draw(step: Step) -> None:
            if step.small:
                status.update(f"{step.stage}: {step.subject} …")
                return
            mark = "[red]✗[/]" if step.failed else "[green]✓[/]"
            seconds = time.monotonic() - started
            console.print(
                f" {mark} [bold]{step.stage:<9}[/] {step.subject:<30.30} "
                f"[dim]{step.detail:<26.26} {seconds:5.1f} s[/]",
                no_wrap=True,
            )
            status.update(f"{step.stage} …")

        with listening(draw):
            yield


Rows = list[tuple[Any, ...]]
