"""The narrative of a CDA document to text, by way of HTML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from transformation.attachment_text.charsets import UnreadableError, decoded
from transformation.attachment_text.html import html_tree, laid_out, own_charset

if TYPE_CHECKING:
    import lxml.etree
    import lxml.html

_CDA: Final = "{urn:hl7-org:v3}"
#: CDA's narrative (R2, 4.3.5) in the words of HTML.
_NARRATIVE: Final = {
    "paragraph": "p",
    "content": "span",
    "list": "ul",
    "item": "li",
    "linkHtml": "a",
    "footnote": "div",
}


def read_cda(raw: bytes, declared: str | None, damage: list[str]) -> str:
    """The narrative of a CDA document: titles and texts of its sections, in their order."""
    import lxml.etree
    import lxml.html

    text = decoded(raw, declared, damage, own=own_charset(raw))
    if "http://www.w3.org/1999/xhtml" in text[:2048] and "urn:hl7-org:v3" not in text[:2048]:
        return laid_out(html_tree(text))
    parser = lxml.etree.XMLParser(
        resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        root = lxml.etree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text).strip(), parser)
    except lxml.etree.LxmlError:
        raise UnreadableError("not xml") from None
    if (
        root.tag != f"{_CDA}ClinicalDocument"
        or next(root.iter(lxml.etree.Entity), None) is not None
    ):
        raise UnreadableError("xml that is no clinical document")
    body = lxml.html.Element("body")
    for part in root.iter(f"{_CDA}title", f"{_CDA}text"):
        parent = part.getparent()
        if parent is not None and parent.tag in (f"{_CDA}ClinicalDocument", f"{_CDA}section"):
            body.append(_as_html(part, "h2" if part.tag == f"{_CDA}title" else "div"))
    return laid_out(body)


def _as_html(part: lxml.etree._Element, name: str) -> lxml.html.HtmlElement:
    import lxml.etree
    import lxml.html

    made: lxml.html.HtmlElement = lxml.html.Element(name)
    made.text, made.tail = part.text, part.tail
    if "delete" in (part.get("revised") or ""):
        made.tag = "del"
    for child in part:
        local = lxml.etree.QName(child).localname
        made.append(_as_html(child, _NARRATIVE.get(local, local)))
    return made
