"""What a view reads of a complex value: all shapes together are what one parse must extract."""

from dataclasses import dataclass
from typing import Literal

Leaf = Literal["text", "json"]


class Shape:
    """The elements of one complex value that a view reads, and whether it reads it whole.

    Two shapes whose values meet in one collection are united: they then are one shape.
    """

    def __init__(self) -> None:
        self._united: Shape | None = None
        self._fields: dict[str, FieldShape] = {}
        self._whole = False

    def _found(self) -> "Shape":
        shape = self
        while shape._united is not None:
            shape = shape._united
        return shape

    @property
    def fields(self) -> "dict[str, FieldShape]":
        return self._found()._fields

    @property
    def whole(self) -> bool:
        return self._found()._whole

    @property
    def is_struct(self) -> bool:
        """True where the parse gives a struct of the elements; else it gives JSON text."""
        return not self.whole

    def read_whole(self) -> None:
        self._found()._whole = True

    def read(self, key: str, *, many: bool, leaf: Leaf | None) -> "FieldShape":
        """Notes that the element `key` is read, as a primitive (`leaf`) or as a complex value."""
        fields = self.fields
        if key not in fields:
            fields[key] = FieldShape(many, leaf, None if leaf else Shape())
        return fields[key]

    def unite(self, other: "Shape") -> None:
        mine, theirs = self._found(), other._found()
        if mine is theirs:
            return
        theirs._united = mine
        mine._whole = mine._whole or theirs._whole
        for key, entry in theirs._fields.items():
            own = mine._fields.setdefault(key, entry)
            if own is not entry and own.shape is not None and entry.shape is not None:
                own.shape.unite(entry.shape)


@dataclass(frozen=True)
class FieldShape:
    """One element inside a shape: text or JSON for a primitive, a shape for the rest."""

    many: bool
    leaf: Leaf | None
    shape: Shape | None
