"""The layout registry: which columns each tabular layout has, by version.

Layouts are data: the ``.yml`` files beside this module, and ``layouts.yml`` in the folder of a source. The
table ``layout`` of the metadata database is their mirror for people and dashboards. Reading a table by its
layout is its source's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.orm import Session

from lakehouse.errors import ConfigurationError
from lakehouse.metadata import audit, models

#: What a column may hold. ``string`` keeps codes as written, with leading zeros.
COLUMN_TYPES = frozenset({"string", "integer", "decimal", "date", "timestamp"})

_FOLDER = Path(__file__).parent
_SOURCES = Path(__file__).resolve().parents[2] / "sources"


@dataclass(frozen=True)
class Layout:
    """One version of one tabular layout.

    ``date_formats`` (strptime) hold where dates are not ISO, the first that fits. A header is the layout's
    where it has all of ``recognised_by`` and none of ``not_with``, whatever else it has or lacks; without
    ``recognised_by`` it has exactly the layout's columns. ``required`` columns have a value in each row.
    """

    name: str
    version: str
    file_type: str
    description: str
    delimiter: str
    columns: Mapping[str, str]
    date_formats: tuple[str, ...] = ()
    recognised_by: frozenset[str] = frozenset()
    not_with: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()

    @cached_property
    def header(self) -> frozenset[str]:
        """The column names as :func:`match` compares them."""
        return frozenset(_comparable(name) for name in self.columns)

    @property
    def title(self) -> str:
        return f"{self.name} (version {self.version})"

    def is_of(self, names: frozenset[str]) -> bool:
        """Whether a header of these (comparable) names is this layout's."""
        if not self.recognised_by:
            return self.header == names
        return self.recognised_by <= names and not self.not_with & names


@dataclass(frozen=True)
class Nearest:
    """The layout that shares most with a header that matches none.

    ``missing`` are columns by which the layout is known; columns that only the file has are counted, not named:
    a file without a header has a patient's data there.
    """

    layout: Layout
    shared: int
    missing: tuple[str, ...]
    unknown: int

    def describe(self) -> str:
        named = ", ".join(self.missing[:5]) + (", …" if len(self.missing) > 5 else "")
        parts = [f"{self.shared} of its {len(self.layout.columns)} columns are there"]
        if self.missing:
            parts.append(f"missing: {named}")
        if self.unknown:
            parts.append(f"{self.unknown} column(s) that it does not have")
        return f"nearest layout {self.layout.title}: " + "; ".join(parts)


@cache
def load(folder: Path | None = None) -> tuple[Layout, ...]:
    """All layouts, or those of one folder. Raises :class:`ConfigurationError` with the file at fault."""
    found: list[Layout] = []
    for path in sorted(folder.glob("*.yml")) if folder else _files():
        try:
            found.extend(_read(_parse(path)))
        except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                f"The layout file {path.parent.name}/{path.name} is wrong: {error}.",
                hint="Compare it with synthea_csv.yml beside it.",
            ) from error
    keys = [(layout.name, layout.version) for layout in found]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigurationError(f"Layout {key[0]} version {key[1]} is there twice.")
    return tuple(found)


def find(name: str, version: str) -> Layout:
    """The layout that a staged file names. Raises :class:`ConfigurationError` where it is gone."""
    for layout in load():
        if (layout.name, layout.version) == (name, version):
            return layout
    raise ConfigurationError(
        f"There is no layout {name} (version {version}) any more, by which a file was taken in.",
        hint="Bring it back, or take the file in again under another layout.",
    )


def file_types() -> frozenset[str]:
    """The types of files that have layouts."""
    return frozenset(layout.file_type for layout in load())


def match(header: Sequence[str], file_types: Collection[str] | None = None) -> list[Layout]:
    """The layout that a header is of, its names in any order and any case; several where none of them
    shares more columns with it than the others."""
    names = frozenset(_comparable(name) for name in header)
    if len(names) != len(header):
        return []
    found = [layout for layout in _of(file_types) if layout.is_of(names)]
    best = max((_likeness(layout, names) for layout in found), default=0.0)
    return [layout for layout in found if _likeness(layout, names) == best]


def columns_of(layout: Layout, header: Sequence[str]) -> list[str | None] | None:
    """The layout's names of a file's columns, in the file's order, None for those it does not have; None
    where it is not its header."""
    names = [_comparable(name) for name in header]
    if len(set(names)) != len(names) or not layout.is_of(frozenset(names)):
        return None
    known = {_comparable(name): name for name in layout.columns}
    return [known.get(name) for name in names]


def _likeness(layout: Layout, names: frozenset[str]) -> float:
    return len(layout.header & names) / len(layout.header | names)


def nearest(header: Sequence[str], file_types: Collection[str] | None = None) -> Nearest | None:
    """The layout that shares most columns with ``header``; None where none shares a column."""
    names = frozenset(_comparable(name) for name in header)
    best = max(_of(file_types), key=lambda layout: _likeness(layout, names), default=None)
    if best is None or not best.header & names:
        return None
    return Nearest(
        layout=best,
        shared=len(best.header & names),
        missing=tuple(
            name
            for name in best.columns
            if _comparable(name) in (best.recognised_by or best.header) - names
        ),
        unknown=len(names - best.header),
    )


def sync_layouts(engine: Engine, folder: Path | None = None) -> int:
    """Make the table ``layout`` equal to the files; gives the number of layouts.

    Each added, changed or removed layout is one audit event; with nothing to change, nothing is
    written.
    """
    wanted = {(layout.name, layout.version): _row(layout) for layout in load(folder)}
    with Session(engine) as session, session.begin():
        audit.lock(session)
        present = {
            (row.name, row.version): row.definition_sha256
            for row in session.execute(
                select(models.Layout.name, models.Layout.version, models.Layout.definition_sha256)
            )
        }
        events = []
        for key in sorted(present.keys() | wanted.keys()):
            before = present.get(key)
            after = wanted[key]["definition_sha256"] if key in wanted else None
            if before == after:
                continue
            session.execute(
                delete(models.Layout).where(
                    models.Layout.name == key[0], models.Layout.version == key[1]
                )
            )
            if key in wanted:
                session.execute(insert(models.Layout), [wanted[key]])
            word = "removed" if after is None else ("added" if before is None else "changed")
            events.append(
                audit.Event(
                    actor="lakehouse",
                    action=f"layout.{word}",
                    subject=f"layout:{key[0]}:{key[1]}",
                    before={"definition_sha256": before} if before else None,
                    after={"definition_sha256": after} if after else None,
                )
            )
        audit.append(session, *events)
    return len(wanted)


def _files() -> list[Path]:
    return [*sorted(_FOLDER.glob("*.yml")), *sorted(_SOURCES.glob("*/layouts.yml"))]


def _parse(path: Path) -> Any:
    # The same safe loader as yaml.safe_load, in C: ten times faster.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506


def _of(file_types: Collection[str] | None) -> Iterable[Layout]:
    return (one for one in load() if file_types is None or one.file_type in file_types)


def _comparable(name: str) -> str:
    return " ".join(name.replace("\ufeff", "").split()).casefold()


def _read(content: dict[str, Any]) -> Iterable[Layout]:
    for name, layout in content["layouts"].items():
        for version, definition in layout["versions"].items():
            columns = _numbered(definition["columns"])
            wrong = sorted(set(columns.values()) - COLUMN_TYPES)
            if wrong or not all(isinstance(text, str) for text in (name, version, *columns)):
                raise ValueError(f"{name} has a name that is no text, or column types {wrong}")
            found = Layout(
                name=name,
                version=version,
                file_type=content["file_type"],
                description=layout["description"],
                delimiter=definition["delimiter"],
                columns=columns,
                date_formats=tuple(definition.get("date_formats", ())),
                recognised_by=frozenset(map(_comparable, definition.get("recognised_by", ()))),
                not_with=frozenset(map(_comparable, definition.get("not_with", ()))),
                required=tuple(definition.get("required", ())),
            )
            if len(found.header) != len(columns):
                raise ValueError(f"{name} names a column twice")
            if not (found.recognised_by <= found.header and set(found.required) <= set(columns)):
                raise ValueError(f"{name} asks for columns that it does not have")
            yield found


def _numbered(columns: Mapping[str, str]) -> dict[str, str]:
    """Columns of which there are several: ``name_#3`` is ``name_1`` to ``name_3``, ``name_##12`` is
    ``name_01`` to ``name_12``."""
    found: dict[str, str] = {}
    for name, kind in columns.items():
        start, mark, count = name.partition("#")
        width = 2 if count.startswith("#") else 0
        count = count.lstrip("#")
        if mark and count.isdigit():
            found |= {f"{start}{number:0{width}d}": kind for number in range(1, int(count) + 1)}
        else:
            found[name] = kind
    return found


def _row(layout: Layout) -> dict[str, Any]:
    columns = [
        {"name": name, "type": kind}
        | ({"format": layout.date_formats[0]} if kind == "date" and layout.date_formats else {})
        for name, kind in layout.columns.items()
    ]
    row = {
        "name": layout.name,
        "version": layout.version,
        "file_type": layout.file_type,
        "description": layout.description,
        "delimiter": layout.delimiter,
        "columns": columns,
    }
    text = json.dumps(row, sort_keys=True)
    return row | {
        "definition_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "synced_at": datetime.now(UTC),
    }
