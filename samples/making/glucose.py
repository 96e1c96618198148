"""Two days of glucose sensors, as four systems export them; nobody in them exists.

The curves are sums of sines, so that the same call gives the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

_START = datetime(2026, 1, 12)
_EMPTY_LIBRE = [""] * 15


def write_glucose(folder: Path) -> None:
    """One folder for each person: Clarity in English, LibreView in German, Tidepool, Nightscout."""
    _write(folder / "subject=GLU-1" / "clarity.csv", _clarity())
    _write(folder / "subject=GLU-2" / "libreview.csv", _libreview())
    _write(folder / "subject=GLU-3" / "tidepool.json", json.dumps(list(_tidepool())))
    # The same sensor as GLU-1's, passed on to a site of its own: one stream, not two.
    _write(folder / "subject=GLU-1" / "nightscout-entries.json", json.dumps(list(_entries())))
    _write(folder / "subject=GLU-1" / "nightscout-treatments.json", json.dumps(_treatments()))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def curve(minute: int, mean: float, swing: float) -> int:
    """Glucose in mg/dL at a minute, with three meals a day and a dip at night."""
    day = minute % 1440 / 1440
    meals = sum(math.exp(-(((day - at) * 24 - 1) ** 2)) for at in (0.31, 0.54, 0.79))
    night = -0.5 * math.exp(-(((day - 0.13) * 24) ** 2) / 2)
    return round(mean + swing * (meals + night) + 6 * math.sin(minute / 37))


def _moments(step: int) -> Iterator[tuple[int, datetime]]:
    for minute in range(0, 2 * 1440, step):
        yield minute, _START + timedelta(minutes=minute)


def _clarity() -> str:
    lines = [
        "\ufeffIndex,Timestamp (YYYY-MM-DDThh:mm:ss),Event Type,Event Subtype,Patient Info,Device Info,"
        "Source Device ID,Glucose Value (mg/dL),Insulin Value (u),Carb Value (grams),Duration (hh:mm:ss),"
        "Glucose Rate of Change (mg/dL/min),Transmitter Time (Long Integer),Transmitter ID",
        "1,,FirstName,,Marlene,,,,,,,,,",
        "2,,LastName,,Quittenbaum,,,,,,,,,",
        "3,,DateOfBirth,,1979-11-30,,,,,,,,,",
        '4,,Device,,,"Dexcom G7",Android G7,,,,,,,',
        "5,,Alert,Low,,,Android G7,70,,,,,,",
    ]
    number = len(lines)
    for minute, moment in _moments(5):
        if 1000 <= minute < 1120:
            continue  # the phone was elsewhere
        value = curve(minute, 118, 105)
        word = "Low" if value < 40 else "High" if value > 300 else str(value)
        lines.append(
            f"{number},{moment:%Y-%m-%dT%H:%M:%S},EGV,,,,Android G7,{word},,,,,{minute},8QX1ZZ"
        )
        number += 1
    noon = _START + timedelta(hours=12)
    lines += [
        f"{number},{noon:%Y-%m-%dT%H:%M:%S},Carbs,,,,Android G7,,,55,,,,",
        f"{number + 1},{noon:%Y-%m-%dT%H:%M:%S},Insulin,Fast-Acting,,,Android G7,,5.5,,,,,",
        f"{number + 2},{noon:%Y-%m-%dT%H:%M:%S},Exercise,Light,,,Android G7,,,,00:30:00,,,",
        f"{number + 3},2026-01-45T12:00:00,EGV,,,,Android G7,110,,,,,,8QX1ZZ",  # no such day
    ]
    return "\r\n".join(lines) + "\r\n"


def _libreview() -> str:
    lines = [
        "Glukose-Werte,Erstellt am,20-01-2026 08:15 UTC,Erstellt von,Heribert Muckenfuß",
        "Gerät,Seriennummer,Gerätezeitstempel,Aufzeichnungstyp,Glukosewert-Verlauf mmol/L,Glukose-Scan mmol/L,"
        "Nicht numerisches schnellwirkendes Insulin,Schnellwirkendes Insulin (Einheiten),"
        "Nicht numerische Nahrungsdaten,Kohlenhydrate (Gramm),Kohlenhydrate (Portionen),"
        "Nicht numerisches Depotinsulin,Depotinsulin (Einheiten),Notizen,Glukose-Teststreifen mmol/L,"
        "Keton mmol/L,Mahlzeiteninsulin (Einheiten),Korrekturinsulin (Einheiten),"
        "Insulin-Änderung durch Anwender (Einheiten)",
    ]

    def row(moment: datetime, kind: int, **cells: str) -> str:
        filled = list(_EMPTY_LIBRE)
        for name, cell in cells.items():
            filled[int(name[1:])] = cell
        return ",".join(
            ("FreeStyle Libre 3", "MH00AB12CD", f"{moment:%d-%m-%Y %H:%M}", str(kind), *filled)
        )

    for minute, moment in _moments(15):
        mmol = f"{curve(minute, 132, 78) / 18.0156:.1f}".replace(".", ",")
        lines.append(row(moment, 0, c0=f'"{mmol}"'))
    evening = _START + timedelta(hours=19, minutes=7)
    lines += [
        row(evening, 1, c1='"9,4"'),
        row(evening, 4, c3='"6,5"'),
        row(evening, 5, c5="70"),
        row(evening + timedelta(minutes=4), 6, c9='"Geburtstag bei Familie Muckenfuß"'),
        row(evening + timedelta(minutes=9), 0),  # no value
    ]
    return "\n".join(lines) + "\n"


def _tidepool() -> Iterator[dict[str, object]]:
    for minute, moment in _moments(5):
        value = curve(minute, 101, 60)
        yield {
            "type": "cbg",
            "id": f"glu3-cbg-{minute:04}",
            "time": f"{moment + timedelta(hours=6):%Y-%m-%dT%H:%M:%S}.000Z",
            "deviceTime": f"{moment:%Y-%m-%dT%H:%M:%S}",
            "timezoneOffset": -360,
            "deviceId": "DexG6-77Q1",
            "uploadId": "upid_glu3",
            "units": "mmol/L",
            "value": round(value / 18.01559, 5),
        }
    yield {
        "type": "bolus",
        "subType": "normal",
        "id": "glu3-bolus-1",
        "time": "2026-01-12T18:00:00.000Z",
        "deviceTime": "2026-01-12T12:00:00",
        "timezoneOffset": -360,
        "deviceId": "DexG6-77Q1",
        "uploadId": "upid_glu3",
        "normal": 4.2,
    }


def _entries() -> Iterator[dict[str, object]]:
    for minute, moment in _moments(5):
        if minute >= 1440:
            return
        utc = moment + timedelta(hours=5, seconds=42)
        yield {
            "_id": f"65a0{minute:020x}",
            "type": "sgv",
            "sgv": curve(minute, 118, 105),
            "date": round((utc - datetime(1970, 1, 1)).total_seconds() * 1000),
            "dateString": f"{utc:%Y-%m-%dT%H:%M:%S}.000Z",
            "utcOffset": -300,
            "device": "xDrip-DexcomG5",
        }
    yield {
        "identifier": "deleted-one",
        "type": "sgv",
        "isValid": False,
        "srvModified": 1768300000000,
    }


def _treatments() -> list[dict[str, object]]:
    return [
        {
            "_id": "65b000000000000000000001",
            "eventType": "Meal Bolus",
            "created_at": "2026-01-12T12:30:00.000Z",
            "insulin": 3.5,
            "carbs": 42,
            "enteredBy": "Marlene",
            "notes": "Porridge",
        }
    ]
