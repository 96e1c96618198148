"""Every reason for quarantine has a next step."""

from __future__ import annotations

import ast
from pathlib import Path

from ingestion import advice
from ingestion.intake import classify, examine
from ingestion.sources import Reason


def reasons_of_intake() -> set[str]:
    """First argument of every call that refuses a file, and the codes that intake gives itself."""
    found = {examine.VANISHED}
    for module in (classify, examine):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id == "_not_readable":
                    found.add(ast.literal_eval(node.args[0]))
                found |= {
                    keyword.value.value
                    for keyword in node.keywords
                    if keyword.arg == "reason"
                    and isinstance(keyword.value, ast.Constant)
                    and isinstance(keyword.value.value, str)
                }
    return found


def test_every_reason_has_a_next_step_and_no_step_is_left_over() -> None:
    intake = reasons_of_intake()
    assert {"no_layout", "unknown_text", "fhir_xml"} <= intake
    given_by_judge = {"unknown_type", "no_source_yet"}
    assert {*Reason, *intake, *given_by_judge} == set(advice.NEXT_STEPS)


def test_a_reason_of_somebody_elses_classifier_gets_a_general_word() -> None:
    assert "send the file again" in advice.next_step("too_many_pages")
