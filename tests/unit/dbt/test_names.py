"""How marts name things: the class of an encounter in words, displays without SNOMED CT's tags."""

from __future__ import annotations

import duckdb
import pytest
from jinja2 import Environment

from transformation import views

MACROS = views.DBT / "macros" / "marts"


def evaluated(call: str) -> str:
    """What DuckDB makes of the SQL that a call of these macros writes."""
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(MACROS.glob("*.sql")))
    expression = Environment().from_string(f"{source}{{{{ {call} }}}}").render()
    row = duckdb.execute(f"select {expression}").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize(
    ("display", "shown"),
    [
        ("Asthma (disorder)", "Asthma"),
        ("Full-time employment (finding) ", "Full-time employment"),
        ("Dialysis (regime/therapy)", "Dialysis"),
        ("Entire knee (body structure)", "Entire knee"),
        ("Body height (standing)", "Body height (standing)"),  # no tag of SNOMED CT
        ("Fracture (disorder) of rib", "Fracture (disorder) of rib"),
        ("Asthma", "Asthma"),
    ],
)
def test_a_display_ends_without_the_tag_of_its_hierarchy(display: str, shown: str) -> None:
    assert evaluated(f"without_tag(\"'{display}'\")") == shown


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("'AMB'", "ambulatory"),
        ("'IMP'", "inpatient"),
        ("'EMER'", "emergency"),
        ("'own-code'", "own-code"),
        ("null", "unknown"),
    ],
)
def test_a_class_is_in_words_and_an_unknown_code_stays(code: str, words: str) -> None:
    assert evaluated(f'class_in_words("{code}")') == words
