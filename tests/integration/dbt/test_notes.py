"""What is a note, and what of it can be read: formats, charsets, Binaries, statuses, over three drops."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dbt.bronze import Arrival, Silver
from tests.integration.dbt.conftest import fresh_silver

HTML = "<style>b{}</style><h3>Plan</h3><p>Walk &lt; 5&nbsp;km<br>daily.</p>"
RTF = r"{\rtf1\ansi Plan:\par Gr\'fc\'dfe.}"

#: What stands in `attachment.data` instead of base64 of text, and why it is none.
DAMAGED = {
    "punctuation": ("!!! this is no base64 !!!", "text/plain", "not text in base64"),
    "cut-off": ("SGVsbG8gd29ybGQhIQ", "text/plain", "not text in base64"),
    "one-letter": ("A", "text/plain", "not text in base64"),
    "padding-inside": ("SGV=sbG8=", "text/plain", "not text in base64"),
    "html-no-base64": ("<p>plain html</p>", "text/html", "not text in base64"),
    "bytes-no-text": (base64.b64encode(b"Gr\xfc\xdfe").decode(), "text/plain", "not text in utf-8"),
}


def base64_of(content: str | bytes) -> str:
    return base64.b64encode(content if isinstance(content, bytes) else content.encode()).decode()


def attachment(
    content: str | bytes, content_type: str = "text/plain", **more: Any
) -> dict[str, Any]:
    return {"contentType": content_type, "data": base64_of(content), **more}


def document(id_: str, *attachments: dict[str, Any], **more: Any) -> Arrival:
    """A document of patient p1, recorded in an encounter of its own unless it says which."""
    encounter = more.pop("encounter", f"e-{id_}")
    return Arrival(
        {
            "resourceType": "DocumentReference",
            "id": id_,
            "status": "current",
            "subject": {"reference": "Patient/p1"},
            "context": {"encounter": [{"reference": f"Encounter/{encounter}"}]},
            "content": [{"attachment": one} for one in attachments],
            **more,
        }
    )


def report(id_: str, *attachments: dict[str, Any], **more: Any) -> Arrival:
    encounter = more.pop("encounter", f"e-{id_}")
    return Arrival(
        {
            "resourceType": "DiagnosticReport",
            "id": id_,
            "status": "final",
            "subject": {"reference": "Patient/p1"},
            "encounter": {"reference": f"Encounter/{encounter}"},
            "presentedForm": list(attachments),
            **more,
        }
    )


def binary(id_: str, content: str | bytes, content_type: str) -> Arrival:
    return Arrival(
        {
            "resourceType": "Binary",
            "id": id_,
            "contentType": content_type,
            "data": base64_of(content),
        }
    )


def held(id_: str, content: str, content_type: str = "text/plain") -> dict[str, Any]:
    return dict(binary(id_, content, content_type).content)


def replacing(id_: str) -> dict[str, Any]:
    return {
        "relatesTo": [{"code": "replaces", "target": {"reference": f"DocumentReference/{id_}"}}]
    }


def visit(id_: str) -> Arrival:
    return Arrival(
        {
            "resourceType": "Encounter",
            "id": id_,
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": {"reference": "Patient/p1"},
            "period": {"start": "2024-03-01T09:00:00Z"},
        }
    )


FIRST = [
    Arrival({"resourceType": "Patient", "id": "p1", "gender": "female"}),
    # formats of one note
    document("two-formats", attachment(HTML, "text/html"), attachment("Plan:\nrest")),
    document("html-and-rtf", attachment(RTF, "application/rtf"), attachment(HTML, "text/html")),
    document("rtf", attachment(RTF, "text/rtf"), attachment(b"%PDF-1.7", "application/pdf")),
    document("wrapped", {"data": "IyBQbGFu\n  CnJlc3Q=", "contentType": "text/plain"}),
    report("two-forms", attachment("Plan:\nrest"), attachment(HTML, "text/html")),
    document("next-format", attachment(b"\xff", "text/plain"), attachment(HTML, "text/html")),
    # characters
    document("latin-1", attachment("5 µg".encode("latin-1"), "text/plain; charset=ISO-8859-1")),
    document("utf-16", attachment("Plan:\nGrüße".encode("utf-16"), "text/plain;charset=utf-16")),
    document("wrong", attachment("“rest”".encode("cp1252"), 'text/plain; charset="iso-8859-1"')),
    document("bom", attachment(b"\xef\xbb\xbfPlan: rest", "text/plain; charset=utf-8")),
    # attachments elsewhere
    document("by-url", {"contentType": "text/plain", "url": "Binary/b1"}),
    document("by-urn", {"url": "urn:uuid:b2"}),
    document("absolute", {"contentType": "text/html", "url": "https://ehr.example/r4/Binary/b3"}),
    document("later", {"contentType": "text/plain", "url": "Binary/b4"}, encounter="e-later"),
    report("same-as-later", attachment("Plan:  come\r\nagain"), encounter="e-later"),
    binary("b1", "Plan: see b1", "text/plain"),
    binary("b2", HTML, "text/html"),
    binary("b3", "<p>Gr\xfc\xdfe".encode("cp1252"), "text/html; charset=windows-1252"),
    document(
        "inside", {"url": "#b"}, contained=[held("a", "Plan: other"), held("b", "Plan: in it")]
    ),
    report("inside-html", {"url": "#b"}, contained=[held("b", HTML, "text/html")]),
    document("data-url", {"url": "data:text/html;base64," + base64_of(HTML)}),
    document("percent", {"url": "data:;charset=utf-8,Plan%3A%20Gr%C3%BC%C3%9Fe+,%20rest"}),
    # what cannot be read
    document("external", {"contentType": "text/plain", "url": "https://elsewhere.example/note"}),
    document("scan", attachment(b"%PDF-1.7", "application/pdf"), attachment(b"x", "image/png")),
    document("not-inside", {"url": "#c"}, contained=[held("b", "Plan: none of it")]),
    document("nothing", {"contentType": "text/plain"}),
    document("altered", attachment("Plan: rest", size=3, hash="aGFzaA==")),
    # what is not the note
    document("superseded", attachment("Plan: old"), status="superseded", encounter="e1"),
    document(
        "replaced", attachment("Plan: older"), encounter="e1", date="2024-03-09T10:00:00+09:00"
    ),
    document(
        "current",
        attachment("Plan: new"),
        encounter="e1",
        date="2024-03-09T02:00:00Z",
        **replacing("replaced"),
    ),
    document("earlier", attachment("Plan: x"), encounter="e1", date="2024-03-09T10:30:00+09:00"),
    document("mistake", attachment("Plan: no"), docStatus="entered-in-error", encounter="e2"),
    report("cancelled", attachment("Plan: none"), status="cancelled", encounter="e2"),
    document("still", attachment("Plan: keep"), encounter="e3"),
    document(
        "void", attachment("x"), status="entered-in-error", encounter="e3", **replacing("still")
    ),
    document("twin-mistake", attachment("Plan: twin"), status="entered-in-error", encounter="e4"),
    report("twin", attachment("Plan: twin"), encounter="e4"),
    *(visit(f"e{n}") for n in range(1, 5)),
    *(
        document(name, {"contentType": content_type, "data": data}, encounter="e-damaged")
        for name, (data, content_type, _) in DAMAGED.items()
    ),
]
BINARY_LATER = [binary("b4", "Plan: come\nagain", "text/plain")]
REPLACED_LATER = [document("by-url-2", attachment("Plan: other"), **replacing("by-url"))]


@pytest.fixture(scope="module")
def built(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, parsed_once: Path
) -> Iterator[Silver]:
    with fresh_silver(postgres_url, tmp_path_factory.mktemp("notes"), parsed_once) as silver:
        silver.land(FIRST)
        silver.build(select=None)
        yield silver


def texts(silver: Silver) -> dict[str, str | None]:
    return dict(
        silver.connection.execute("select note_id, note_text from lake.silver.soap_note").fetchall()
    )


def issues(silver: Silver) -> dict[str, list[str]]:
    return dict(
        silver.connection.execute(
            "select resource_id, list_sort(list(reason)) from lake.silver.data_issue"
            " where table_name = 'soap_note' and column_name = 'note_text' group by 1"
        ).fetchall()
    )


def test_formats_of_one_document_or_report_are_one_note_read_from_the_plainest(
    built: Silver,
) -> None:
    notes = texts(built)
    assert notes["two-formats"] == "Plan:\nrest"
    assert notes["html-and-rtf"] == "Plan\n\nWalk < 5 km\ndaily."
    assert notes["rtf"] == "Plan:\nGrüße."
    assert notes["wrapped"] == "# Plan\nrest"
    assert notes["DiagnosticReport/two-forms"] == "Plan:\nrest"
    assert notes["next-format"] == "Plan\n\nWalk < 5 km\ndaily."


def test_headings_of_converted_notes_are_sections(built: Silver) -> None:
    planned = built.connection.execute(
        "select note_id from lake.silver.soap_note where has_plan and not has_objective"
        " and note_id in ('html-and-rtf', 'rtf', 'utf-16', 'by-urn') order by 1"
    ).fetchall()
    assert planned == [("by-urn",), ("html-and-rtf",), ("rtf",), ("utf-16",)]


def test_the_charset_of_the_content_type_is_used(built: Silver) -> None:
    notes = texts(built)
    assert notes["latin-1"] == "5 µg"
    assert notes["utf-16"] == "Plan:\nGrüße"
    assert notes["wrong"] == "“rest”"
    assert notes["bom"] == "Plan: rest"
    assert "bom" not in issues(built)


def test_a_binary_within_reach_is_read_by_its_url(built: Silver) -> None:
    notes = texts(built)
    assert notes["by-url"] == "Plan: see b1"
    assert notes["by-urn"] == "Plan\n\nWalk < 5 km\ndaily."
    assert notes["absolute"] == "Grüße"


def test_a_contained_binary_and_a_data_url_are_read(built: Silver) -> None:
    notes = texts(built)
    assert notes["inside"] == "Plan: in it"
    assert notes["DiagnosticReport/inside-html"] == "Plan\n\nWalk < 5 km\ndaily."
    assert notes["data-url"] == "Plan\n\nWalk < 5 km\ndaily."
    assert notes["percent"] == "Plan: Grüße+, rest"


def test_a_note_that_should_be_text_and_is_damaged_is_kept_without_one(built: Silver) -> None:
    notes = texts(built)
    # Two documents with the same text are one note; two that cannot be read are two.
    assert {name: notes[name] for name in DAMAGED} == dict.fromkeys(DAMAGED)


def test_what_cannot_be_read_or_is_not_as_declared_is_told(built: Silver) -> None:
    assert issues(built) == {
        **{name: [reason] for name, (_, _, reason) in DAMAGED.items()},
        "next-format": ["not text in utf-8"],
        "wrong": ["charset is windows-1252, not as declared"],
        "later": ["Binary that is not there"],
        "external": ["attachment by url that is not in reach"],
        "scan": ["format that is not read: application/pdf", "format that is not read: image/png"],
        "not-inside": ["Binary that is not there"],
        "nothing": ["attachment without data"],
        "altered": ["hash differs from the data", "size differs from the data"],
    }
    assert not {"later", "external", "scan", "nothing"} & texts(built).keys()
    reported = built.connection.execute(
        "select affected_count from lake.marts.data_quality where table_name = 'soap_note'"
        " and measure = 'dropped value' and detail = 'not text in base64'"
    ).fetchall()
    assert reported == [(5,)]


def test_only_the_current_note_is_the_note_of_an_encounter(built: Silver) -> None:
    current = dict(
        built.connection.execute(
            "select note_id, counts from lake.silver.soap_note"
            " where encounter_id in ('e1', 'e2', 'e3', 'e4')"
        ).fetchall()
    )
    assert current == {
        "superseded": False,
        "replaced": False,
        "current": True,
        "earlier": True,
        "mistake": False,
        "DiagnosticReport/cancelled": False,
        "still": True,
        "void": False,
        "DiagnosticReport/twin": True,
    }
    gold = built.connection.execute(
        "select encounter_id, note.note_id, note_count from lake.gold.encounter_summary order by 1"
    ).fetchall()
    assert gold == [
        ("e1", "current", 2),
        ("e2", None, 0),
        ("e3", "still", 1),
        ("e4", "DiagnosticReport/twin", 1),
    ]
    counted = built.connection.execute(
        "select sum(event_count) from lake.marts.clinical_event_monthly where event_type = 'note'"
    ).fetchall()
    assert counted == [(4,)]


def test_a_binary_or_a_replacement_that_comes_later_or_leaves_touches_the_note_that_names_it(
    built: Silver,
) -> None:
    def state() -> dict[str, list[tuple[Any, ...]]]:
        return built.content()

    before = state()
    assert texts(built)["DiagnosticReport/same-as-later"] == "Plan:  come\r\nagain"
    with_binary = built.land(BINARY_LATER)
    with_replacement = built.land(REPLACED_LATER)
    built.build()
    notes = texts(built)
    # The report of the same text is now this note, sent twice.
    assert notes["later"] == "Plan: come\nagain"
    assert "DiagnosticReport/same-as-later" not in notes
    assert built.connection.execute(
        "select counts from lake.silver.soap_note where note_id = 'by-url'"
    ).fetchall() == [(False,)]
    incremental = state()
    built.build(full_refresh=True)
    assert state() == incremental
    built.withdraw(with_binary)
    built.withdraw(with_replacement)
    built.build()
    assert state() == before
