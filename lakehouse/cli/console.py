"""How the command line looks: consoles, tables, and the lines that show long work going on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lakehouse.progress import Step, listening

console = Console(highlight=False, soft_wrap=False)
errors_console = Console(stderr=True, highlight=False)


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
    """A plain table; columns whose values are all numbers are set flush right."""
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], (int, float)) for row in rows)
        drawn.add_column(
            name,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=numeric or index == 0,
        )
    for row in rows:
        drawn.add_row(*[_cell(value) for value in row])
    # Rich would break a title at the table's width.
    return drawn if title is None else Group(Text(title, style="bold"), drawn)


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
