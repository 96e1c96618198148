"""Which export a table is, from its header, in whatever language it was made.

Dexcom Clarity and LibreView translate their column names but keep order and units: the columns that carry a unit of
glucose, and where they stand, tell the export apart and say what every other column is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ingestion.sources.glucose.values import Unit, unit_of

#: "(YYYY-MM-DDThh:mm:ss)" and its translations: JJJJ-MM-TTThh, AAAA-MM-JJThh, AAAA-MM-GGThh, jjjj-mm-ddTuu …
_TIMESTAMP_FORM: Final = re.compile(r"\(\s*\w{4}-\w{2}-\w{2}\s?\w{1,4}:\w{2}:\w{2}\s*\)")
_PER_MINUTE: Final = re.compile(r"/\s*min", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ClarityHeader:
    """Columns of a Clarity export by position; those behind the glucose value may be missing."""

    unit: Unit
    width: int
    timestamp: int
    event_type: int
    event_subtype: int
    patient_info: int
    device_info: int
    source_device: int
    glucose: int
    insulin: int | None
    carbohydrates: int | None
    duration: int | None
    transmitter_time: int | None


@dataclass(frozen=True, slots=True)
class LibreHeader:
    """Columns of a LibreView export, or of the FreeStyle Libre desktop program, by position."""

    unit: Unit
    strip_unit: Unit
    width: int
    timestamp: int
    record_type: int
    serial: int | None
    device: int | None
    historic: int
    scan: int
    rapid_text: int
    rapid_units: int
    food_text: int
    carbohydrates: int
    long_text: int
    long_units: int
    notes: int
    strip: int
    ketone: int
    meal_units: int | None
    correction_units: int | None


def clarity(row: Sequence[str]) -> ClarityHeader | None:
    """The header of a Clarity export; None where the row is none."""
    names = [name.strip().strip("\ufeff") for name in row]
    stamp = next((i for i, name in enumerate(names) if _TIMESTAMP_FORM.search(name)), None)
    if stamp is None:
        return None
    found = [i for i, name in enumerate(names) if unit_of(name) and not _PER_MINUTE.search(name)]
    # Between the time and the glucose value stand type, subtype, patient, device and source device.
    if len(found) != 1 or found[0] != stamp + 6:
        return None
    value, width = found[0], len(names)
    unit = unit_of(names[value])
    assert unit is not None  # noqa: S101 - it is how the column was found

    def behind(distance: int) -> int | None:
        return value + distance if value + distance < width else None

    return ClarityHeader(
        unit=unit,
        width=width,
        timestamp=stamp,
        event_type=stamp + 1,
        event_subtype=stamp + 2,
        patient_info=stamp + 3,
        device_info=stamp + 4,
        source_device=stamp + 5,
        glucose=value,
        insulin=behind(1),
        carbohydrates=behind(2),
        duration=behind(3),
        transmitter_time=behind(5),
    )


def libre(row: Sequence[str]) -> LibreHeader | None:
    """The header of a LibreView export; None where the row is none.

    Four columns carry a unit: history and scan beside each other, test strip and ketone beside each other.
    Between them are eight columns, or seven where there are no portions of carbohydrates.
    """
    names = [name.strip().strip("\ufeff") for name in row]
    found = [i for i, name in enumerate(names) if unit_of(name)]
    if len(found) != 4:
        return None
    historic, scan, strip, ketone = found
    between = strip - scan
    if scan != historic + 1 or ketone != strip + 1 or between not in (8, 9) or historic < 3:
        return None
    unit, strip_unit = unit_of(names[historic]), unit_of(names[strip])
    if unit is None or strip_unit is None or unit_of(names[scan]) is not unit:
        return None
    # The desktop program begins with a record's number, LibreView with device and serial number.
    begins_with_id = historic == 3
    width = len(names)
    return LibreHeader(
        unit=unit,
        strip_unit=strip_unit,
        width=width,
        timestamp=historic - 2,
        record_type=historic - 1,
        serial=None if begins_with_id else historic - 3,
        device=historic - 4 if historic >= 4 else None,
        historic=historic,
        scan=scan,
        rapid_text=scan + 1,
        rapid_units=scan + 2,
        food_text=scan + 3,
        carbohydrates=scan + 4,
        long_text=strip - 3,
        long_units=strip - 2,
        notes=strip - 1,
        strip=strip,
        ketone=ketone,
        meal_units=ketone + 1 if ketone + 1 < width else None,
        correction_units=ketone + 2 if ketone + 2 < width else None,
    )
