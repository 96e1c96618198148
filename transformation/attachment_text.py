"""The text of a FHIR attachment: its base64 decoded, its characters too, and its markup taken off.

dbt calls it as a SQL function (:func:`register`) for the attachments that SQL cannot read by itself;
plain UTF-8 stays in SQL (``dbt/macros/fhir/notes.sql``). Nothing raises for what a source sent:
what cannot be read has a reason instead of a text. Reasons are column values and never quote the
attachment.

https://hl7.org/fhir/R4/datatypes.html#Attachment
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import duckdb
    import lxml.html
    from inscriptis.model.config import ParserConfig

SQL_NAME: Final = "attachment_text"
SQL_PARAMETERS: Final = ("VARCHAR", "VARCHAR", "BIGINT", "VARCHAR")
SQL_RESULT: Final = "STRUCT(body VARCHAR, form VARCHAR, damage VARCHAR[], unread VARCHAR)"

_HTML: Final = frozenset({"text/html", "application/xhtml+xml", "text/xhtml", "application/xhtml"})
_RTF: Final = frozenset({"text/rtf", "application/rtf", "application/x-rtf", "text/richtext"})
_XML: Final = frozenset({"text/xml", "application/xml", "text/cda"})
_UNTOLD: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_RTF_START: Final = re.compile(rb"\s*\{\\rtf")
_XML_START: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|ClinicalDocument)\b")
_HTML_START: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|body|div|p)\b", re.I)

#: Python's codecs that are no character encodings of a text, or one that nobody may send.
_NO_CHARSETS: Final = frozenset(
    {
        "utf-7",
        "idna",
        "punycode",
        "unicode_escape",
        "raw_unicode_escape",
        "undefined",
        "mbcs",
        "oem",
    }
)
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OWN_CHARSET: Final = re.compile(
    rb"""<\?xml[^>]{0,100}?\bencoding\s*=\s*["']([\w.:-]{1,40})"""
    rb"""|<meta\b[^>]{0,200}?\bcharset\s*=\s*["']?\s*([\w.:-]{1,40})""",
    re.I,
)
_C1_CONTROL: Final = re.compile("[\x80-\x9f]")


@dataclass(frozen=True)
class AttachmentText:
    """What an attachment says. Without ``body`` there is ``unread``, or a damage, which say why.

    ``damage`` are faults of data that is there and should be text; ``unread`` is the reason why a
    whole attachment is none that is read here.
    """

    body: str | None = None
    form: str | None = None
    damage: tuple[str, ...] = ()
    unread: str | None = None


class _UnreadableError(Exception):
    """The attachment has no text because of this fault."""


def read(
    data: str, content_type: str | None, size: int | None = None, digest: str | None = None
) -> AttachmentText:
    """The text of one attachment.

    ``data`` is base64, ``size`` counts the bytes before base64, ``digest`` is the base64 of their
    SHA-1. A text whose size or digest differs is given all the same, with its damage.
    """
    essence, declared = _media_type(content_type)
    try:
        raw = _from_base64(data)
    except _UnreadableError as fault:
        if _form(essence, b"") is None:
            return AttachmentText(unread=_not_read(essence))
        return AttachmentText(damage=(str(fault),))
    form = _form(essence, raw)
    if form is None:
        return AttachmentText(unread=_not_read(essence))
    damage = list(_altered(raw, size, digest))
    try:
        text = _READERS[form](raw, declared, damage)
    except _UnreadableError as fault:
        return AttachmentText(form=form, damage=(*damage, str(fault)))
    if not text.strip():
        return AttachmentText(form=form, damage=tuple(damage), unread="attachment without text")
    return AttachmentText(text, form, tuple(damage))


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the SQL function for the whole DuckDB of ``connection``, until that is closed."""
    from duckdb.func import FunctionNullHandling, PythonUDFType

    connection.create_function(
        SQL_NAME,
        _read_batch,
        list(SQL_PARAMETERS),
        SQL_RESULT,
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
    )


def unregister(connection: duckdb.DuckDBPyConnection) -> None:
    """Take away what :func:`register` made; ``connection`` is the one that it was made with."""
    connection.remove_function(SQL_NAME)


def _read_batch(data: Any, content_type: Any, size: Any, digest: Any) -> Any:
    """:func:`read` for Arrow arrays. DuckDB evaluates the annotations when it is registered."""
    import pyarrow as pa

    bodies: list[str | None] = []
    forms: list[str | None] = []
    damages: list[list[str]] = []
    unread: list[str | None] = []
    columns = (column.to_pylist() for column in (data, content_type, size, digest))
    for one_data, *facts in zip(*columns, strict=True):
        found = AttachmentText() if one_data is None else read(one_data, *facts)
        bodies.append(found.body)
        forms.append(found.form)
        damages.append(list(found.damage))
        unread.append(found.unread)
    return pa.StructArray.from_arrays(
        [
            pa.array(bodies, pa.string()),
            pa.array(forms, pa.string()),
            pa.array(damages, pa.list_(pa.string())),
            pa.array(unread, pa.string()),
        ],
        names=["body", "form", "damage", "unread"],
    )


# What it is ----------------------------------------------------------------------------------


def _media_type(content_type: str | None) -> tuple[str, str | None]:
    """The type without parameters, in lower case, and the charset parameter (RFC 2045)."""
    header = Message()
    header["Content-Type"] = re.sub(r"\s+", " ", content_type or "").strip()
    essence = (content_type or "").partition(";")[0].strip().lower()
    charset = header.get_param("charset")
    return essence, charset.strip().lower() or None if isinstance(charset, str) else None


def _form(essence: str, raw: bytes) -> str | None:
    if essence in _UNTOLD:
        if _RTF_START.match(raw):
            return "rtf"
        if _XML_START.match(raw):
            return "cda"
        if _HTML_START.match(raw):
            return "html"
        return None if essence else "plain"
    if essence in _HTML:
        return "html"
    if essence in _RTF:
        return "rtf"
    if essence in _XML or (essence.startswith("application/") and essence.endswith("+xml")):
        return "cda"
    return "plain" if essence.startswith("text/") else None


def _not_read(essence: str) -> str:
    """Why a format is not read; a type is quoted only where it looks like one."""
    known = re.fullmatch(
        r"(?:application|audio|image|video|message|multipart|model|font)/[a-z0-9.+-]{1,60}", essence
    )
    return f"format that is not read: {essence if known else 'unknown'}"


def _from_base64(data: str) -> bytes:
    """R4's base64Binary may be broken over lines (datatypes.html#base64Binary)."""
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _UnreadableError("not text in base64") from None


def _altered(raw: bytes, size: int | None, digest: str | None) -> Iterator[str]:
    if size is not None and size != len(raw):
        yield "size differs from the data"
    if (
        digest is not None
        and "".join(digest.split())
        != base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest()).decode()
    ):
        yield "hash differs from the data"


# Characters ----------------------------------------------------------------------------------


def _decoded(raw: bytes, declared: str | None, damage: list[str], own: str | None = None) -> str:
    """The characters of ``raw``: by its byte order mark, else as declared outside, else by its ``own``
    declaration, else UTF-8 (the order of https://encoding.spec.whatwg.org/#decode).

    A declaration that the bytes contradict is told in ``damage``. No charset is ever guessed from
    what letters would be likely.
    """
    charset = _known_charset(declared, damage) or _known_charset(own, damage)
    marked = next((name for mark, name in _BYTE_ORDER_MARKS if raw.startswith(mark)), None)
    wide = None if marked else _unmarked_utf16(raw)
    if marked is not None:
        if charset is not None and not charset.startswith(marked[:6]):
            damage.append(f"charset is {marked}, not as declared")
        text = _strictly(raw, marked)
    elif charset is not None and charset.startswith("utf-16"):
        # RFC 2781, 4.3: big-endian where nothing tells; the zero bytes of Latin letters mostly do.
        text = _strictly(raw, charset if charset != "utf-16" else wide or "utf-16-be")
    elif wide is not None:
        damage.append("charset is utf-16, not as declared")
        text = _strictly(raw, wide)
    else:
        text = _single_bytes(raw, charset or "utf-8", damage)
    text = (text or "").removeprefix("\ufeff")
    if "\0" in text:
        raise _UnreadableError("not text: has U+0000")
    return text


def _single_bytes(raw: bytes, charset: str, damage: list[str]) -> str:
    text = _strictly_or_none(raw, charset)
    if charset == "iso8859-1" and text is not None and _C1_CONTROL.search(text):
        # Nobody writes C1 controls: what says ISO-8859-1 and has 0x80-0x9F is windows-1252.
        text = _strictly(raw, "cp1252")
        damage.append("charset is windows-1252, not as declared")
    elif text is None:
        text = _strictly_or_none(raw, "utf-8")
        if text is None:
            raise _UnreadableError(f"not text in {charset}")
        damage.append("charset is utf-8, not as declared")
    return text


def _strictly_or_none(raw: bytes, charset: str) -> str | None:
    try:
        text = raw.decode(charset)
        text.encode("utf-8")
    except (UnicodeError, LookupError):
        return None
    return text


def _strictly(raw: bytes, charset: str) -> str:
    text = _strictly_or_none(raw, charset)
    if text is None:
        raise _UnreadableError(f"not text in {charset}")
    return text


def _known_charset(name: str | None, damage: list[str]) -> str | None:
    """Python's name of a charset; None for none, and for one that is no charset, which is told."""
    if name is None:
        return None
    try:
        known = codecs.lookup(name).name
        if known not in _NO_CHARSETS:
            b"\0\0\0\0".decode(known)  # raises for codecs that give no text
            return known
    except (LookupError, ValueError):
        pass  # told below, as a codec that is known for other things is
    damage.append("charset that is none")
    return None


def _unmarked_utf16(raw: bytes) -> str | None:
    """UTF-16 without a mark: half of its characters or more are Latin and have a zero byte each."""
    if not raw or len(raw) % 2:
        return None
    even, odd = raw[0::2].count(0), raw[1::2].count(0)
    if max(even, odd) < len(raw) / 4 or min(even, odd) > max(even, odd) / 4:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


# Forms ---------------------------------------------------------------------------------------


def _plain(raw: bytes, declared: str | None, damage: list[str]) -> str:
    return _decoded(raw, declared, damage)


def _html(raw: bytes, declared: str | None, damage: list[str]) -> str:
    text = _decoded(raw, declared, damage, own=_own_charset(raw))
    return _laid_out(_html_tree(text))


def _own_charset(raw: bytes) -> str | None:
    """The charset that a document's first kilobyte names: XML declaration or ``<meta>``."""
    found = _OWN_CHARSET.search(raw[:1024])
    return (found[1] or found[2]).decode("ascii").lower() if found else None


def _html_tree(text: str) -> lxml.html.HtmlElement | None:
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


def _laid_out(tree: lxml.html.HtmlElement | None) -> str:
    """A tree's text: blocks, headings, breaks and rows are lines, cells stand in columns."""
    from inscriptis.html_engine import Inscriptis

    if tree is None:
        return ""
    _mark_powers(tree)
    try:
        text = Inscriptis(tree, _layout()).get_text()
    except RecursionError:
        raise _UnreadableError("html is nested too deeply") from None
    return _tidied(text)


#: What a superscript starts with that would change the number before it: 10<sup>-9</sup> is not 10-9,
#: and 10<sup>9</sup> not 109.
_POWER: Final = re.compile("\\s*[+\u2010-\u2013\u2212-]?\\s*\\d")
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
        if first is None or not _POWER.match("".join(words)):
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


def _tidied(text: str) -> str:
    """No space at the ends of lines, no-break spaces as spaces, at most one empty line together."""
    lines = (line.rstrip() for line in text.replace("\xa0", " ").replace("\xad", "").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


_RTF_HIDES: Final = re.compile(r"\\v(?![a-z0])")
_RTF_RAISES: Final = re.compile(r"\\(?:super|up\d)")
#: Control words, braces and texts; of a letter as ``\uN`` also what old readers show instead.
_RTF_TOKEN: Final = re.compile(
    r"""\\u(?P<code>-?\d{1,6})[ ]?(?:\\'[0-9a-f]{2}|[?-])?|\\'(?P<byte>[0-9a-f]{2})"""
    r"""|\\(?P<word>[a-z]{1,32})(?P<number>-?\d{1,10})?[ ]?|(?P<brace>[{}])"""
    r"""|\\(?P<sign>[^a-z])|(?P<text>[^\\{}\r\n]+)""",
    re.I,
)
_RTF_NOT_RAISED: Final = frozenset({"nosupersub", "sub", "dn", "plain"})
_RTF_LAYOUT: Final = frozenset({"par", "line", "tab", "cell", "row", "sect", "page"})
_RTF_BINARY: Final = re.compile(rb"\\bin(\d{1,9}) ?")


def _rtf(raw: bytes, declared: str | None, damage: list[str]) -> str:
    """RTF is ASCII that names its code page; bytes beyond ASCII are of that code page, or of the
    charset that was declared outside."""
    from striprtf.striprtf import rtf_to_text

    if not _RTF_START.match(raw):
        raise _UnreadableError("not rtf")
    raw = _without_binary(raw)
    outside = _known_charset(declared, damage)
    if raw.isascii() or outside in (None, "ascii"):
        marked = re.sub(rb"[\x80-\xff]", lambda found: b"\\'%02x" % found[0][0], raw).decode(
            "ascii"
        )
    else:
        marked = re.sub(
            r"[^\x00-\x7f]",
            lambda found: f"{{\\uc0\\u{ord(found[0])} }}",
            _decoded(raw, declared, damage),
        )
    if _RTF_HIDES.search(marked):
        marked = _without_hidden(marked)
    if _RTF_RAISES.search(marked):
        marked = _with_powers_marked(marked)
    try:
        text = rtf_to_text(marked, errors="replace")  # type: ignore[no-untyped-call]
    except (ValueError, LookupError, RecursionError):
        raise _UnreadableError("not rtf") from None
    # \u writes UTF-16: a letter beyond the basic plane is two of them.
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if "\ufffd" in text:
        damage.append("characters that the code page does not have")
    return _tidied(text.replace("\r", "").replace("\0", ""))


def _without_hidden(rtf: str) -> str:
    r"""RTF without hidden text: what stands after ``\v`` to the end of the group, to ``\v0`` or
    ``\plain`` (RTF 1.9.1, Font Formatting). No reader of the document sees it."""
    hidden = False
    outside: list[bool] = []
    kept: list[str] = []
    end = 0
    for token in _RTF_TOKEN.finditer(rtf):
        # Between tokens are ends of lines, of which one may end a control word.
        kept.append(rtf[end : token.start()])
        end = token.end()
        word = token["word"]
        if token["brace"] == "{":
            outside.append(hidden)
        elif token["brace"]:
            hidden = outside.pop() if outside else False
        elif word == "v":
            hidden = token["number"] != "0"
        elif word == "plain":
            hidden = False
        if not hidden or not (word in _RTF_LAYOUT or _rtf_characters(token)):
            kept.append(token[0])
    return "".join(kept)


def _with_powers_marked(rtf: str) -> str:
    r"""RTF with ``^`` before each raised number. Raised is what stands after ``\super`` or ``\upN``
    to the end of the group, or to a control word that ends it (RTF 1.9.1, Font Formatting)."""
    raised = False
    outside: list[bool] = []
    run, run_start = "", 0
    starts: list[int] = []
    for token in _RTF_TOKEN.finditer(rtf):
        word = token["word"]
        text = _rtf_characters(token)
        if token["brace"] == "{":
            outside.append(raised)
        elif token["brace"]:
            raised = outside.pop() if outside else False
        elif word in ("super", "up"):
            raised = token["number"] != "0"
        elif word in _RTF_NOT_RAISED:
            raised = False
        elif raised and text:
            if not run:
                text = text.lstrip()
                run_start = token.end() - len(text) if token["text"] else token.start()
            run += text
        if (text and not raised) or word in _RTF_LAYOUT:
            if _POWER.match(run):
                starts.append(run_start)
            run = ""
    if _POWER.match(run):
        starts.append(run_start)
    edges = zip([0, *starts], [*starts, len(rtf)], strict=True)
    return "^".join(rtf[start:end] for start, end in edges)


def _rtf_characters(token: re.Match[str]) -> str:
    """What a token shows; digits and signs have the same bytes in all code pages of Windows."""
    if token["code"]:
        return chr(int(token["code"]) % 0x10000)
    if token["byte"]:
        return bytes.fromhex(token["byte"]).decode("cp1252", "replace")
    return token["text"] or {"_": "\u2011", "~": "\xa0"}.get(token["sign"] or "", "")


def _without_binary(raw: bytes) -> bytes:
    r"""RTF without its ``\binN`` runs of N raw bytes, which may hold braces."""
    kept = bytearray()
    start = 0
    while found := _RTF_BINARY.search(raw, start):
        kept += raw[start : found.start()]
        start = found.end() + int(found[1])
    return bytes(kept + raw[start:])


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


def _cda(raw: bytes, declared: str | None, damage: list[str]) -> str:
    """The narrative of a CDA document: titles and texts of its sections, in their order."""
    import lxml.etree
    import lxml.html

    text = _decoded(raw, declared, damage, own=_own_charset(raw))
    if "http://www.w3.org/1999/xhtml" in text[:2048] and "urn:hl7-org:v3" not in text[:2048]:
        return _laid_out(_html_tree(text))
    parser = lxml.etree.XMLParser(
        resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        root = lxml.etree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text).strip(), parser)
    except lxml.etree.LxmlError:
        raise _UnreadableError("not xml") from None
    if (
        root.tag != f"{_CDA}ClinicalDocument"
        or next(root.iter(lxml.etree.Entity), None) is not None
    ):
        raise _UnreadableError("xml that is no clinical document")
    body = lxml.html.Element("body")
    for part in root.iter(f"{_CDA}title", f"{_CDA}text"):
        parent = part.getparent()
        if parent is not None and parent.tag in (f"{_CDA}ClinicalDocument", f"{_CDA}section"):
            body.append(_as_html(part, "h2" if part.tag == f"{_CDA}title" else "div"))
    return _laid_out(body)


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


_READERS: Final[dict[str, Callable[[bytes, str | None, list[str]], str]]] = {
    "plain": _plain,
    "html": _html,
    "rtf": _rtf,
    "cda": _cda,
}
