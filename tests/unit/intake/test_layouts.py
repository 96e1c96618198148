"""The layout registry as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.intake import layouts
from ingestion.intake.classify import file_types
from lakehouse.errors import ConfigurationError

GOOD = """
file_type: ehr_csv
layouts:
  visits:
    description: Visits.
    versions:
      "1": {delimiter: ",", columns: {Id: string, START: timestamp}}
      "2": {delimiter: ",", columns: {Id: string, START: timestamp, STOP: timestamp}}
"""


def test_every_layout_of_the_project_reads() -> None:
    found = layouts.load()

    assert {layout.file_type for layout in found} <= set(file_types())
    assert {"synthea_patients", "cms_rif_inpatient", "cms_idr_clm"} <= {one.name for one in found}


def test_no_two_layouts_have_the_same_columns() -> None:
    headers = [layout.header for layout in layouts.load()]

    assert len(set(headers)) == len(headers)


def test_order_case_and_a_byte_order_mark_do_not_matter() -> None:
    header = ["\ufeffdescription", "code ", "encounter", "patient", "stop", "start"]

    assert [one.name for one in layouts.match(header)] == ["synthea_conditions"]


def test_a_header_is_known_by_some_of_its_columns_and_may_have_others() -> None:
    header = ["START", "STOP", "PATIENT", "ENCOUNTER", "CODE", "DESCRIPTION"]

    assert [one.name for one in layouts.match([*header, "MORE"])] == ["synthea_conditions"]
    assert [one.name for one in layouts.match([*header, "UDI"])] == ["synthea_devices"]
    assert layouts.match(header[:-1]) == []
    assert layouts.match([*header, "CODE"]) == []


def test_the_layout_that_shares_most_with_a_header_is_it() -> None:
    names = ["claim_id", "claim_line_number", "member_id", "claim_start_date", "ndc_code"]

    assert [one.name for one in layouts.match([*names, "dispensing_date"])] == ["plain_medical"]
    pharmacy = ["claim_id", "member_id", "dispensing_date", "ndc_code", "days_supply", "quantity"]
    assert [one.name for one in layouts.match(pharmacy)] == ["plain_pharmacy"]


def test_a_layout_without_a_mark_has_exactly_its_columns(tmp_path: Path) -> None:
    (tmp_path / "visits.yml").write_text(GOOD)
    first, second = layouts.load(tmp_path)

    assert first.is_of(frozenset({"id", "start"}))
    assert not first.is_of(frozenset({"id", "start", "more"}))
    assert second.is_of(frozenset({"id", "start", "stop"}))


def test_numbered_columns_are_written_once(tmp_path: Path) -> None:
    (tmp_path / "codes.yml").write_text(
        GOOD.replace("Id: string", '"code_#3": string, "month_##2": string')
    )

    assert list(layouts.load(tmp_path)[0].columns) == [
        "code_1", "code_2", "code_3", "month_01", "month_02", "START",
    ]  # fmt: skip


def test_the_nearest_layout_names_what_is_missing_and_counts_what_is_unknown() -> None:
    nearest = layouts.nearest(["START", "STOP", "PATIENT", "ENCOUNTER", "CODE", "Jane Doe"])

    assert nearest is not None
    assert nearest.layout.name == "synthea_conditions"
    assert nearest.missing == ("DESCRIPTION",)
    assert nearest.unknown == 1
    assert "Jane" not in nearest.describe()


def test_a_header_that_shares_nothing_has_no_nearest_layout() -> None:
    assert layouts.nearest(["x", "y"]) is None


def test_versions_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "visits.yml").write_text(GOOD)

    assert [one.title for one in layouts.load(tmp_path)] == [
        "visits (version 1)",
        "visits (version 2)",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        "layouts: [",
        "layouts: {a: {}}",
        GOOD.replace("Id: string", "Id: text"),
        GOOD.replace('"1"', "1"),
        GOOD.replace("START: timestamp, STOP", "START: timestamp, start"),
    ],
)
def test_a_wrong_layout_file_is_named(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "visits.yml").write_text(wrong)

    with pytest.raises(ConfigurationError, match=r"visits\.yml"):
        layouts.load(tmp_path)


def test_the_same_version_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(GOOD)
    (tmp_path / "b.yml").write_text(GOOD)

    with pytest.raises(ConfigurationError, match="twice"):
        layouts.load(tmp_path)
