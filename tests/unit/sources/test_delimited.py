"""Tables as programs write them: encodings, quotes, widths, values; each bad row alone."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ingestion.sources import Event, StagedFile, delimited
from ingestion.sources.delimited import Row, parsed_date, parsed_number
from ingestion.tables import BronzeTable, Column
from lakehouse.store import ObjectStore

HEADER = "Id,NAME,ADDRESS,CITY,STATE,ZIP,LAT,LON,PHONE,REVENUE,UTILIZATION"
TABLE = BronzeTable(
    name="place",
    description="Places.",
    columns=(
        Column("name", pa.string(), "Name."),
        Column("revenue", pa.decimal128(18, 4), "Revenue."),
        Column("utilisation", pa.int32(), "Uses."),
    ),
)


class Places:
    """The smallest source that reads a layout."""

    name = "places"
    file_types = frozenset({"ehr_csv"})
    tables = (TABLE,)

    def read(self, store: ObjectStore, files: Sequence[StagedFile]) -> Iterator[Event]:
        return delimited.read(store, files, TABLE, _place)


def _place(row: Row) -> dict[str, object]:
    return {
        "name": row.text("NAME", required=True),
        "revenue": row.decimal("REVENUE"),
        "utilisation": row.integer("UTILIZATION", bits=32),
    }


def _line(name: str, revenue: str = "1.50", uses: str = "3") -> str:
    return f"1,{name},,,,,,,,{revenue},{uses}"


def _read(reader: Any, content: bytes, **said: Any) -> Any:
    info = reader.store.put("raw/s/places.csv", content)
    file = StagedFile("places.csv", info.key, info.size, "ehr_csv", "synthea_organizations", "1", **said)  # fmt: skip
    return reader.read(Places(), [file])


def _text(*lines: str, header: str = HEADER, end: str = "\n") -> str:
    return end.join([header, *lines, ""])


@pytest.mark.parametrize(
    "encoded",
    [
        _text(_line("Käthe")).encode(),
        _text(_line("Käthe")).encode("utf-8-sig"),
        _text(_line("Käthe")).encode("utf-16"),
        b"\xfe\xff" + _text(_line("Käthe")).encode("utf-16-be"),
        _text(_line("Käthe")).encode("windows-1252"),
        _text(_line("Käthe"), end="\r\n").encode(),
        gzip.compress(_text(_line("Käthe")).encode()),
        _text(_line("Käthe"), header="sep=,\n\n" + HEADER).encode(),
        _text(_line("Käthe").replace(",", ";"), header=HEADER.replace(",", ";")).encode(),
    ],
    ids=["utf8", "bom", "utf16", "utf16be", "cp1252", "crlf", "gzip", "preamble", "semicolons"],
)
def test_a_table_is_read_however_it_was_written(reader: Any, encoded: bytes) -> None:
    outcome = _read(reader, encoded)

    assert outcome.refused == []
    assert [row["name"] for row in outcome.rows] == ["Käthe"]


def test_a_quoted_line_break_belongs_to_its_value_and_lines_are_counted_on(reader: Any) -> None:
    outcome = _read(reader, _text(_line('"North\nWing, 2"'), _line("x", revenue="much")).encode())

    assert [row["name"] for row in outcome.rows] == ["North\nWing, 2"]
    assert outcome.refused == [("line 4", "invalid_value")]


def test_each_bad_row_is_refused_alone_with_its_line_and_no_value(reader: Any) -> None:
    lines = [
        _line("good"),
        _line("Secret Name") + ",more",
        "1,Secret Name",
        _line("Secret Name", revenue="12,5x"),
        _line("Secret Name", uses="2.5"),
        _line(""),
        _line("also good", revenue="-0.1"),
    ]
    outcome = _read(reader, _text(*lines).encode())

    assert [row["name"] for row in outcome.rows] == ["good", "also good"]
    assert outcome.refused == [
        ("line 3", "wrong_column_count"),
        ("line 4", "wrong_column_count"),
        ("line 5", "wrong_column_count"),
        ("line 6", "invalid_value"),
        ("line 7", "missing_value"),
    ]
    assert not any("Secret" in one.detail for one in outcome.rejected)


@pytest.mark.parametrize("behind", [3, 2500])
def test_a_quote_that_nobody_closes_takes_one_row_only(reader: Any, behind: int) -> None:
    lines = [_line("a"), _line('"open'), *[_line("b")] * behind]
    outcome = _read(reader, _text(*lines).encode())

    assert [row["name"] for row in outcome.rows] == ["a", *["b"] * behind]
    assert outcome.refused == [("line 3", "wrong_shape")]


def test_a_number_keeps_its_digits(reader: Any) -> None:
    outcome = _read(reader, _text(_line("x", revenue="12345678901234.5601")).encode())

    assert outcome.rows[0]["revenue"] == Decimal("12345678901234.5601")


def test_columns_may_be_missing_or_more(reader: Any) -> None:
    text = "Id,NAME,ADDRESS,CITY,REVENUE,UTILIZATION,Invented\n1,x,,,2,3,new\n"
    outcome = _read(reader, text.encode())

    assert [(row["name"], row["utilisation"]) for row in outcome.rows] == [("x", 3)]


def test_of_a_file_with_too_many_bad_rows_nothing_is_taken(reader: Any) -> None:
    text = _text(_line("a"), _line("b", uses="?"), _line("c", uses="?")).encode()

    assert len(_read(reader, text, rejected_share_limit=0.7).rows) == 1
    strict = _read(reader, text, rejected_share_limit=0.5)
    assert strict.rows == []
    assert strict.refused == [(None, "too_many_rejected")]
    assert strict.files["places.csv"].quarantined == 3


def test_many_refusals_are_counted_in_one_line(reader: Any) -> None:
    outcome = _read(reader, _text(*[_line("x", uses="?")] * 250).encode())

    assert len(outcome.rejected) == 101
    assert sum(one.records for one in outcome.rejected) == 250


@pytest.mark.parametrize(
    ("text", "locale", "number"),
    [
        ("1204.50", None, "1204.50"),
        ("1,204", None, None),
        ("1.204,50", "de-DE", "1204.50"),
        ("1,204", "en-US", "1204"),
        ("-3", None, "-3"),
        ("NaN", None, None),
        ("1e999999999", None, None),
        ("1_000", None, None),
    ],
)
def test_numbers_by_locale(text: str, locale: str | None, number: str | None) -> None:
    assert parsed_number(text, locale) == (None if number is None else Decimal(number))


@pytest.mark.parametrize(
    ("text", "formats", "locale", "day"),
    [
        ("2026-02-28", (), None, date(2026, 2, 28)),
        ("2026-02-30", (), None, None),
        ("27-OCT-1999", ("%d-%b-%Y", "%Y%m%d"), None, date(1999, 10, 27)),
        ("19991027", ("%d-%b-%Y", "%Y%m%d"), None, date(1999, 10, 27)),
        ("30-Feb-2015", ("%d-%b-%Y",), None, None),
        ("04/11/2023", (), None, None),
        ("04/11/2023", (), "en-US", date(2023, 4, 11)),
        ("04/11/2023", (), "en-GB", date(2023, 11, 4)),
        ("04.11.2023", (), "de-DE", date(2023, 11, 4)),
        ("13/11/2023", (), "en-US", None),
    ],
)
def test_dates_by_format_and_locale(
    text: str, formats: tuple[str, ...], locale: str | None, day: date | None
) -> None:
    assert parsed_date(text, formats, locale) == day
