"""Attachments become text: forms, charsets, and why something is none."""

from __future__ import annotations

import base64
import hashlib

import pytest

from transformation.attachment_text import AttachmentText, read


def text_of(content: str | bytes, content_type: str | None = "text/html") -> str | None:
    return reading(content, content_type).body


def reading(content: str | bytes, content_type: str | None) -> AttachmentText:
    raw = content.encode() if isinstance(content, str) else content
    return read(base64.b64encode(raw).decode(), content_type)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (
            "<h2>Subjective</h2><p>Cough &amp; fever &gt; 38&nbsp;C.</p>",
            "Subjective\n\nCough & fever > 38 C.",
        ),
        ("a<br>b<br/>c<div>d</div>e", "a\nb\nc\nd\ne"),
        ("<title>t</title><script>var a='<p>x'</script><style>p{}</style><p>x", "x"),
        ("<p>a<p style='display:none'>hidden<p>b", "a\n\nb"),
        ("<ul><li>a<li>b</ul>", "  * a\n  * b"),
        ("<dl><dt>Plan<dd>walk</dl>", "Plan\nwalk"),
        (
            "<table><caption>Labs</caption><tr><th>Test<th>Value<tr><td>Na<td>140</table>",
            "Labs\nTest  Value\nNa    140",
        ),
        ("4 x 10<sup>9</sup>/L on the 1<sup>st</sup>", "4 x 10^9/L on the 1st"),
        ("10<sup><b>9</b></sup>/L, 10<sup>\n 12</sup>", "10^9/L, 10^12"),
        ("10<sup>-3</sup>, 10<sup>&minus;3</sup>, 10<sup>&ndash;3</sup>", "10^-3, 10^−3, 10^–3"),
        ("10<sup>-</sup><sup>1</sup><sup>2</sup> 3<sup>x</sup>", "10^-12 3x"),
        ("10<span style='font-size:8pt; Vertical-Align: super'>9</span>/L", "10^9/L"),
        ("10<sup><i></i>9</sup>/L", "10^9/L"),
        ("CO<sub>2</sub>, HbA<sub>1c</sub>", "CO2, HbA1c"),
        ("<s>5 mg</s> 10 mg", "~~5 mg~~ 10 mg"),
        ("BP 120<80 and T<38", "BP 120<80 and T<38"),
        ("a<!-- no --> b<?xml:namespace prefix = o ?> c", "a b c"),
        ("<p>a<?xml:namespace prefix = o ns = 'urn:o' />b<o:p></o:p> c</p>d", "ab c\n\nd"),
        ("<pre>a\n   b</pre>", "a\n   b"),
        ("plain <b>Plan:</b> rest", "plain Plan: rest"),
    ],
)
def test_html_is_laid_out_as_lines(html: str, text: str) -> None:
    assert text_of(html) == text


def test_xhtml_is_read_as_xml_and_where_it_is_not_well_formed_as_html() -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">'
    assert text_of(f"{div}<script/><p>a</p><p/>b</div>", "application/xhtml+xml") == "a\n\nb"
    assert text_of(f"{div}a&nbsp;b<br>c</div>", "application/xhtml+xml") == "a b\nc"


def test_html_that_is_too_deep_is_told_and_deep_html_is_whole() -> None:
    assert text_of("<div>" * 400 + "deep") == "deep"
    xhtml = '<div xmlns="http://www.w3.org/1999/xhtml">'
    for start, tag in (("", "div"), ("", "font"), (xhtml, "span")):
        for depth in (3_000, 20_000):
            deep = start + f"<{tag}>" * depth + "deep" + f"</{tag}>" * depth
            found = reading(deep, "text/html")
            assert found == AttachmentText(form="html", damage=("html is nested too deeply",))


@pytest.mark.parametrize(
    ("rtf", "text"),
    [
        (rb"{\rtf1\ansi Plan:\par rest\line and\tab walk}", "Plan:\nrest\nand\twalk"),
        (rb"{\rtf1\ansi{\fonttbl{\f0 Arial;}}{\stylesheet{\s1 H;}}{\*\generator x;}a}", "a"),
        (rb"{\rtf1\ansi\ansicpg1252 Gr\'fc\'dfe \u8364?}", "Grüße €"),
        (rb"{\rtf1\ansi\ansicpg1251 \'cf\'eb\'e0\'ed}", "План"),
        (b"{\\rtf1\\ansi 5 \xb5g}", "5 µg"),
        (rb"{\rtf1 \u-10179?\u-8704?}", "😀"),
        (b"{\\rtf1 a{\\pict\\bin4 }{}}}b}", "ab"),
        (rb"{\rtf1 10{\super 9}/L, 10\super -3\nosupersub /L}", "10^9/L, 10^-3/L"),
        (rb"{\rtf1 10{\fs16\up6\b 9}/L, 10\up6 9\up0 /L}", "10^9/L, 10^9/L"),
        (rb"{\rtf1 10{\super\insrsid12 -}{\super\insrsid34 1}{\super 2}}", "10^-12"),
        (rb"{\rtf1 10{\super\u8722?3}, 10{\super\'963}, 10{\super\'39}}", "10^−3, 10^–3, 10^9"),
        (rb"{\rtf1 a {\v b\par {\b c}}d\v\par e\v0\par f\v g\plain  h\vieww1 }", "a d\nf h"),
        (b"{\\rtf1 {\\v x}a\\par\r\nb}", "a\nb"),
        (rb"{\rtf1 10\super 9\plain /L 4\par 2{\super th}}", "10^9/L 4\n2th"),
        (b"{\\rtf1 10{\\super\r\n 9}/L}", "10 ^9/L"),
        (rb"{\rtf1 CO{\sub 2} 5\super0 6 \\super 7\{8\}}", "CO2 56 \\super 7{8}"),
        (rb"{\rtf1\trowd Na\cell 140\cell\row K\cell 4\cell\row}", "Na|140|\nK|4|"),
    ],
)
def test_rtf_becomes_text(rtf: bytes, text: str) -> None:
    for content_type in ("text/rtf", "application/rtf", None):
        assert text_of(rtf, content_type) == text


def test_rtf_in_a_charset_that_was_declared_outside_is_of_that_charset() -> None:
    assert text_of("{\\rtf1\\ansi Grüße 😀}", "text/rtf; charset=utf-8") == "Grüße 😀"


def test_powers_in_the_narrative_of_a_cda_document_are_powers() -> None:
    cda = """<ClinicalDocument xmlns="urn:hl7-org:v3"><component><structuredBody><component>
      <section><text>4 x 10<sup>9</sup>/L, CO<sub>2</sub></text></section>
      </component></structuredBody></component></ClinicalDocument>"""
    assert text_of(cda, "text/xml") == "4 x 10^9/L, CO2"


def test_a_cda_document_is_its_narrative() -> None:
    cda = """<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><title>Note</title>
      <code displayName="not narrative"/><component><structuredBody><component><section>
      <title>Plan</title><text><paragraph>Rest<br/>fluids</paragraph>
      <list><item>walk</item></list></text></section></component></structuredBody></component>
    </ClinicalDocument>"""
    assert text_of(cda, "text/xml") == "Note\n\nPlan\n\nRest\nfluids\n\n  * walk"
    assert reading("<x/>", "application/xml").damage == ("xml that is no clinical document",)
    entity = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>' + cda[21:].replace(
        "Rest", "&x;"
    )
    assert text_of(entity, "text/xml") is None


LETTERS = "Grüße, “5 µg”"


@pytest.mark.parametrize(
    ("charset", "raw"),
    [
        ("; charset=windows-1252", LETTERS.encode("cp1252")),
        ('; format=flowed; charset="UTF-8"', LETTERS.encode()),
        ("", LETTERS.encode()),
        ("", LETTERS.encode("utf-8-sig")),
        (";charset=utf-16", LETTERS.encode("utf-16")),
        (";charset=utf-16", LETTERS.encode("utf-16-le")),
        (";charset=UTF-16", LETTERS.encode("utf-16-be")),
        (";charset=utf-16le", b"\xff\xfe" + LETTERS.encode("utf-16-le")),
    ],
)
def test_characters_are_decoded_by_the_declared_charset(charset: str, raw: bytes) -> None:
    assert reading(raw, f"text/plain{charset}") == AttachmentText(LETTERS, "plain")


@pytest.mark.parametrize(
    ("content_type", "raw", "damage"),
    [
        (
            "text/plain; charset=iso-8859-1",
            LETTERS.encode("cp1252"),
            "charset is windows-1252, not as declared",
        ),
        ("text/plain; charset=us-ascii", LETTERS.encode(), "charset is utf-8, not as declared"),
        (
            "text/plain; charset=utf-8",
            LETTERS.encode("utf-16"),
            "charset is utf-16, not as declared",
        ),
        ("text/plain", LETTERS.encode("utf-16-le"), "charset is utf-16, not as declared"),
        ("text/plain; charset=klingon", LETTERS.encode(), "charset that is none"),
        ("text/plain; charset=rot13", LETTERS.encode(), "charset that is none"),
        ("text/plain; charset=utf-7", LETTERS.encode(), "charset that is none"),
    ],
)
def test_a_wrong_declaration_is_told_and_the_text_is_right(
    content_type: str, raw: bytes, damage: str
) -> None:
    assert reading(raw, content_type) == AttachmentText(LETTERS, "plain", (damage,))


def test_a_document_may_name_its_charset_itself() -> None:
    meta = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1252"><p>Grüße'
    assert text_of(meta.encode("cp1252")) == "Grüße"
    xml = '<?xml version="1.0" encoding="ISO-8859-1"?><html xmlns="http://www.w3.org/1999/xhtml">Grüße</html>'
    assert text_of(xml.encode("latin-1"), "application/xhtml+xml") == "Grüße"


@pytest.mark.parametrize(
    ("content_type", "raw", "fault"),
    [
        ("text/plain", b"Gr\xfc\xdfe", "not text in utf-8"),
        ("text/plain; charset=us-ascii", b"Gr\xfc\xdfe", "not text in ascii"),
        ("text/plain", b"Pl\0an: rest", "not text: has U+0000"),
        ("text/rtf", b"Plan", "not rtf"),
    ],
)
def test_bytes_that_are_no_text_have_a_reason(content_type: str, raw: bytes, fault: str) -> None:
    found = reading(raw, content_type)
    assert (found.body, found.damage) == (None, (fault,))


@pytest.mark.parametrize(
    ("content_type", "told"),
    [
        ("application/pdf", "application/pdf"),
        ("image/png", "image/png"),
        ("Mrs Planted/1970", "unknown"),
        ("application/octet-stream", "application/octet-stream"),
    ],
)
def test_what_is_no_text_is_told_by_its_type_alone(content_type: str, told: str) -> None:
    found = reading(b"\x89PNG", content_type)
    assert found == AttachmentText(unread=f"format that is not read: {told}")
    assert read("no base64!", "application/pdf").damage == ()


def test_bytes_of_any_type_are_known_by_their_start() -> None:
    assert text_of(b"<html><body>a", "application/octet-stream") == "a"
    assert text_of(rb"{\rtf1 a}", "application/octet-stream") == "a"
    assert text_of(b"Plan: a", None) == "Plan: a"


def test_a_size_or_a_hash_that_differs_is_told() -> None:
    raw = b"Plan: rest"
    data = base64.b64encode(raw).decode()
    sha1 = base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest()).decode()
    assert read(data, "text/plain", len(raw), sha1) == AttachmentText("Plan: rest", "plain")
    found = read(data, "text/plain", len(raw) + 1, "aGFzaA==")
    assert found.damage == ("size differs from the data", "hash differs from the data")


def test_nothing_to_read_is_told() -> None:
    for content, content_type in ((b" \n", "text/plain"), (b"<img src=x>", "text/html")):
        found = reading(content, content_type)
        assert (found.body, found.unread) == (None, "attachment without text")
