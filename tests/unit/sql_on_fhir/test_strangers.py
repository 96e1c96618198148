"""Views as others write them: each compiles, says what is odd about it, and gives its rows.

The ten views of `strangers/` were written for this project in the manner of implementation guides
(SUSHI), of pipelines that flatten FHIR, of servers, warehouses and registries.
"""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from sql_on_fhir import check_view, compile_view, run_view

FOLDER = Path(__file__).parent / "strangers"
URL = "resourceType: this is the URL of the type"
#: Name of the view, what its warnings begin with, its rows.
ROWS: list[tuple[str, list[str], list[tuple[Any, ...]]]] = [
    (
        "contacts-union",
        [],
        [("p1", "Graz", False), ("p1", "Linz", False), ("p1", "Wels", True)],
    ),
    (
        "flat-pipeline",
        [URL],
        [
            (
                "c1",
                "p1",
                "e1",
                "2020-02",
                "http://snomed.info/sct",
                "44054006",
                "problem-list-item",
            ),
            (
                "c1",
                "p1",
                "e1",
                "2020-02",
                "http://hl7.org/fhir/sid/icd-10",
                "E11",
                "problem-list-item",
            ),
            ("c2", "p2", None, None, None, None, None),
        ],
    ),
    (
        "icu-blood-pressure",
        ["constant[3].valueDecimal: '300' is text"],
        [("bp", "2021-05-01T08:00:00+02:00", 121.0, 79.0)],
    ),
    (
        "ig-instance",
        [URL],
        [("p1", "female", "Mona Li", "GT"), ("p2", None, None, "T")],
    ),
    (
        "orders-mixed-types",
        [
            "select[0].column[3].type: the column is declared date",
            "select[0].column[4].type: the column is declared string",
            "select[0].column[5].type: the column is declared code",
        ],
        [
            ("m1", "Aspirin 100 mg", None, "2022-03-04T10:00:00Z", "1.50", "true"),
            ("m2", "Metformin", "m2#med", None, None, None),
        ],
    ),
    (
        "registry-metadata",
        [],
        [
            (
                "v1",
                "p1",
                "2020-01-01",
                "2020-02-29T23:59:59.999-12:00",
                False,
                2,
                "KK",
                0,
                "plan:A",
            ),
            ("v1", "p1", "2020-01-01", "2020-02-29T23:59:59.999-12:00", False, 2, "KK", 1, ":B"),
            ("v2", None, None, None, True, 0, None, 0, None),
        ],
    ),
    (
        "server-hyphens",
        [
            "name: 'lab-results' has a hyphen",
            "constant[0].name: 'lab-category' has a hyphen",
            "select[0].column[0].name: 'result-id' has a hyphen",
        ],
        [("o1", "p1", 5.6, "mmol/L", None), ("o2", None, None, None, "Detected")],
    ),
    (
        "survey-answers",
        [URL, "QuestionnaireResponse has no element 'answer'"],
        [
            ("q1", "1", 0, "[1]", None, None),
            ("q1", "1", 1, None, 3, None),
            ("q1", "1.1", 0, None, None, "yes"),
            ("q1", "2", 0, None, None, None),
            ("q1", "2.1", 0, None, None, None),
        ],
    ),
    (
        "us-extensions",
        [],
        [
            ("p1", "2106-3", "White", False, "1961-03-01", "M-7"),
            ("p2", None, None, True, None, None),
        ],
    ),
    (
        "warehouse-types",
        [],
        [
            (
                "e1",
                datetime.datetime(2021, 1, 2, 4, 30, tzinfo=datetime.UTC),
                datetime.date(2021, 1, 1),
                ["a", "b"],
                '{"code":"AMB"}',
                "2021-01-02T23:59:59.999-12:00",
            ),
            ("e2", None, None, [], None, None),
        ],
    ),
]


def test_every_view_has_its_rows_here() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == [name for name, _, _ in ROWS]


@pytest.mark.parametrize(("name", "warnings", "rows"), ROWS, ids=[name for name, _, _ in ROWS])
def test_a_strangers_view_runs(name: str, warnings: list[str], rows: list[tuple[Any, ...]]) -> None:
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    said = compile_view(text, source="resources").warnings
    assert len(said) == len(warnings)
    assert all(one.startswith(start) for one, start in zip(said, warnings, strict=True))
    assert {problem.severity for problem in check_view(json.loads(text))} <= {"warning"}
    assert run_view(text, [FOLDER / "resources.ndjson"]).fetchall() == rows
