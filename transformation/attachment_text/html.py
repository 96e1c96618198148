"""HTML and XHTML to text: headings and breaks as lines, tables as columns, powers marked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from transformation.attachment_text.charsets import UnreadableError, decoded

if TYPE_CHECKING:
    import lxml.html
    from inscriptis.model.config import ParserConfig

_OWN_CHARSET: Final = re.compile(
    rb"""<\?xml[^>]{0,100}?\bencoding\s*=\s*["']([\w.:-]{1,40})"""
    rb"""|<meta\b[^>]{0,200}?\bcharset\s*=\s*["']?\s*([\w.:-]{1,40})""",
    re.I,
)


def read_html(raw: bytes, declared: str | None, damage: list[str]) -> str:
    text = decoded(raw, declared, damage, own=own_charset(raw))
    return laid_out(html_tree(text))


def own_charset(raw: bytes) -> str | None:
    """The charset that a document's first kilobyte names: XML declaration or ``<meta>``."""
    found = _OWN_CHARSET.search(raw[:1024])
    return (found[1] or found[2]).decode("ascii").lower() if found else None


def html_tree(text: str) -> lxml.html.HtmlElement | None:
    """The tree as a browser reads it: XHTML as XML where it is well-formed, else as HTML.

    XML's ``<script/>`` is closed; read as HTML it would swallow what follows.
    """
    import lxml.etree
    import lxml.html

    body = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    if "http://www.w3.org/1999/xhtml" in body[:2048]:
        xhtml = lxml.html.XHTMLParser(
            resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
        )
        try:
            tree = lxml.html.fromstring(body.strip(), parser=xhtml)
        except lxml.etree.LxmlError:
            pass  # not well-formed, as most of what calls itself XHTML: read as HTML
        else:
            lxml.html.xhtml_to_html(tree)
            return tree
    html = lxml.html.HTMLParser(huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        return lxml.html.document_fromstring(body, parser=html)
    except lxml.etree.ParserError:
        return None  # no element and no text


def laid_out(tree: lxml.html.HtmlElement | None) -> str:
    """A tree's text: blocks, headings, breaks and rows are lines, cells stand in columns."""
    from inscriptis.html_engine import Inscriptis

    if tree is None:
        return ""
    _mark_powers(tree)
    try:
        text = Inscriptis(tree, _layout()).get_text()
    except RecursionError:
        raise UnreadableError("html is nested too deeply") from None
    return tidied(text)


#: What a superscript starts with that would change the number before it: 10<sup>-9</sup> is not 10-9,
#: and 10<sup>9</sup> not 109.
POWER: Final = re.compile("\\s*[+\u2010-\u2013\u2212-]?\\s*\\d")
_RAISED_STYLE: Final = re.compile(r"vertical-align\s*:\s*super", re.I)


def _mark_powers(tree: lxml.html.HtmlElement) -> None:
    """Write ``^`` before each raised number; raised elements side by side are one."""
    import lxml.etree

    for element in tree.iter(lxml.etree.Element):
        before = element.getprevious()
        if not _is_raised(element) or (before is not None and _is_raised_to(before)):
            continue
        words = list(element.xpath(".//text()"))
        part = element
        while _is_raised_to(part) and (following := part.getnext()) is not None:
            if not _is_raised(following):
                break
            part = following
            words += part.xpath(".//text()")
        first = next((word for word in words if word.strip()), None)
        if first is None or not POWER.match("".join(words)):
            continue
        marked, parent = "^" + first.lstrip(), first.getparent()
        if first.is_text:
            parent.text = marked
        else:
            parent.tail = marked


def _is_raised(element: lxml.html.HtmlElement) -> bool:
    return element.tag == "sup" or bool(_RAISED_STYLE.search(element.get("style") or ""))


def _is_raised_to(element: lxml.html.HtmlElement) -> bool:
    """Whether an element is raised and what follows stands right behind it."""
    return not element.tail and _is_raised(element)


def _layout() -> ParserConfig:
    from inscriptis.css_profiles import STRICT_CSS_PROFILE
    from inscriptis.html_properties import Display
    from inscriptis.model.config import ParserConfig
    from inscriptis.model.html_element import HtmlElement

    lines = "caption center dd details dl dt fieldset form hr legend option section summary tr"
    css = dict(STRICT_CSS_PROFILE)
    css |= {name: HtmlElement(display=Display.block) for name in lines.split()}
    # A dose that was struck out is not a dose.
    css |= {name: HtmlElement(prefix="~~", suffix="~~") for name in ("del", "s", "strike")}
    css |= {name: HtmlElement(display=Display.none) for name in ("template", "noscript", "object")}
    return ParserConfig(css=css)


def tidied(text: str) -> str:
    """No space at the ends of lines, no-break spaces as spaces, at most one empty line together."""
    lines = (line.rstrip() for line in text.replace("\xa0", " ").replace("\xad", "").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
