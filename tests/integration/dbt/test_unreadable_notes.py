"""Notes whose text is not what it says: none stops the build, each is counted with its reason."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.integration.dbt.bronze import Arrival, Silver

#: What stands in `attachment.data` instead of base64 of text.
UNREADABLE = {
    "punctuation": "!!! this is no base64 !!!",
    "cut-off": "SGVsbG8gd29ybGQhIQ",
    "one-letter": "A",
    "padding-inside": "SGV=sbG8=",
    "bytes-no-text": base64.b64encode(b"\xff\xfe\x00\x81").decode(),
    "html-no-base64": "<p>plain html</p>",
}


def document(id_: str, data: str, content_type: str = "text/plain") -> Arrival:
    content: dict[str, Any] = {
        "resourceType": "DocumentReference",
        "id": id_,
        "status": "current",
        "subject": {"reference": "Patient/p1"},
        "content": [{"attachment": {"contentType": content_type, "data": data}}],
    }
    return Arrival(content)


@pytest.fixture
def built(silver: Silver) -> Silver:
    good = base64.b64encode(b"# Plan\nrest").decode()
    kinds = {"html-no-base64": "text/html"}
    silver.land(
        [
            Arrival({"resourceType": "Patient", "id": "p1", "gender": "female"}),
            document("good", good),
            document("wrapped", f"{good[:4]}\n  {good[4:]}"),
            *(
                document(name, data, kinds.get(name, "text/plain"))
                for name, data in UNREADABLE.items()
            ),
        ]
    )
    silver.build(select=None)
    return silver


def test_a_note_that_cannot_be_decoded_has_no_text_and_is_kept(built: Silver) -> None:
    notes = dict(
        built.connection.execute("select note_id, note_text from lake.silver.soap_note").fetchall()
    )
    # Two documents with the same text are one note; two that cannot be read are two.
    assert notes == {"good": "# Plan\nrest", **dict.fromkeys(UNREADABLE)}


def test_each_is_counted_with_its_reason_and_reported(built: Silver) -> None:
    issues = built.connection.execute(
        "select resource_id, column_name, reason from lake.silver.data_issue order by 1"
    ).fetchall()
    assert issues == [(name, "note_text", "not text in base64") for name in sorted(UNREADABLE)]
    reported = built.connection.execute(
        "select detail, affected_count from lake.marts.data_quality"
        " where table_name = 'soap_note' and measure = 'dropped value'"
    ).fetchall()
    assert reported == [("not text in base64", len(UNREADABLE))]
