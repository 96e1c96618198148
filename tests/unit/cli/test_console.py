"""Tables in a terminal of 80 columns, the width that most people start with."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cli import console as drawing


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing.console, "_width", 80)


def lines(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    with drawing.console.capture() as captured:
        drawing.console.print(drawing.table(title, columns, rows))
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


ID = "20261121T194058967-1fed04"


def test_ids_times_and_numbers_stay_on_one_line_and_texts_make_room() -> None:
    text = "Acute non-ST segment elevation myocardial infarction (disorder), treated elsewhere"
    shown = lines(None, ("id", "display", "rows"), [(ID, text, 1_234_567), (ID, "–", 1)])
    first = [line for line in shown if ID in line]
    assert len(first) == 2
    assert first[0].endswith("1,234,567")
    assert all(len(line) <= 80 for line in shown)
    middle = [line[len(ID) + 2 :].removesuffix("1,234,567").strip() for line in shown[2:-1]]
    assert " ".join(middle) == text


def test_a_title_is_not_broken_at_the_width_of_its_table() -> None:
    title = "Published marts (marts_1, 2026-11-21 19:20:13)"
    assert lines(title, ("mart", "rows"), [("a", 1)])[0] == title


def test_a_row_that_is_too_wide_is_a_list_of_its_columns() -> None:
    columns = [f"column_{number}" for number in range(12)]
    shown = lines(None, columns, [["x" * 1_000, *range(11)]])
    assert shown[0].startswith("column_0   xxx")
    assert "…" in "".join(shown)
    assert shown[-1].split() == ["column_11", "10"]
    assert all(len(line) <= 80 for line in shown)


def test_brackets_in_values_are_text_and_no_markup() -> None:
    assert "entry[3] [red]" in " ".join(lines(None, ("place",), [("entry[3] [red]",)]))


def test_an_id_inside_a_text_is_not_broken() -> None:
    columns = ("when", "who", "what", "why")
    row = ("2026-03-01 10:15:00", "dagster:publish", "submission.published", f"readers see {ID}")
    shown = lines(None, columns, [row])
    assert any(ID in line for line in shown)
    assert all(len(line) <= 80 for line in shown)


def test_a_column_is_called_as_its_query_says() -> None:
    name = "regexp_extract(x, '[a-z]')"
    assert name in lines(None, (name, "n"), [("a", 1)])[0]
    assert name in "".join(lines(None, (name, *(f"column_{n}" for n in range(12))), [range(13)]))
