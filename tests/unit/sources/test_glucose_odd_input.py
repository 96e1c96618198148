"""Whatever is done to an export, reading it ends, and accounts for what arrived."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingestion.sources import StagedFile
from ingestion.sources.glucose.source import GlucoseSource

if TYPE_CHECKING:
    from tests.unit.sources.conftest import Reader

SAMPLES = Path(__file__).parents[3] / "samples" / "drops" / "diabetes-clinic"
FILES = sorted(path for path in SAMPLES.rglob("*") if path.is_file())
_MUTATIONS = 40
_BYTES = b'",;\n\r\0\xff{}[]:-9eE. '


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A few kilobytes of an export with bytes changed, cut, doubled or moved."""
    start = chance.choice([0, 0, 0, chance.randrange(len(data))])
    piece = bytearray(data[: 1500 if start == 0 else 0] + data[start : start + 3000])
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(piece))
        match chance.randrange(4):
            case 0:
                piece[at] = chance.choice(_BYTES)
            case 1:
                del piece[at : at + chance.randint(1, 40)]
            case 2:
                piece[at:at] = piece[at : at + chance.randint(1, 40)]
            case 3:
                piece[at:at] = bytes(chance.choice(_BYTES) for _ in range(chance.randint(1, 8)))
        if not piece:
            return b""
    return bytes(piece)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_damaged_export_ends_in_rows_and_quarantine(reader: Reader, path: Path) -> None:
    data = path.read_bytes()
    staged = []
    for number in range(_MUTATIONS):
        content = mutated(data, random.Random(f"{path.name}{number}"))
        info = reader.store.put(f"raw/s/{number}/{path.name}", content)
        staged.append(StagedFile(f"{number}/{path.name}", info.key, info.size, "cgm_export"))

    outcome = reader.read(GlucoseSource(), staged)

    said = " ".join(f"{one.position} {one.detail}" for one in outcome.rejected)
    for name in ("Marlene", "Quittenbaum", "1979", "Muckenfuß", "Porridge"):
        assert name not in said
        assert name not in repr(outcome.rows)
