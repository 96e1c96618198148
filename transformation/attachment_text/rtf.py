"""RTF to text: what is hidden left out, powers marked, binary parts skipped."""

from __future__ import annotations

import re
from typing import Final

from transformation.attachment_text.charsets import UnreadableError, decoded, known_charset
from transformation.attachment_text.html import POWER, tidied

RTF_START: Final = re.compile(rb"\s*\{\\rtf")

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


def read_rtf(raw: bytes, declared: str | None, damage: list[str]) -> str:
    """RTF is ASCII that names its code page; bytes beyond ASCII are of that code page, or of the
    charset that was declared outside."""
    from striprtf.striprtf import rtf_to_text

    if not RTF_START.match(raw):
        raise UnreadableError("not rtf")
    raw = _without_binary(raw)
    outside = known_charset(declared, damage)
    if raw.isascii() or outside in (None, "ascii"):
        marked = re.sub(rb"[\x80-\xff]", lambda found: b"\\'%02x" % found[0][0], raw).decode(
            "ascii"
        )
    else:
        marked = re.sub(
            r"[^\x00-\x7f]",
            lambda found: f"{{\\uc0\\u{ord(found[0])} }}",
            decoded(raw, declared, damage),
        )
    if _RTF_HIDES.search(marked):
        marked = _without_hidden(marked)
    if _RTF_RAISES.search(marked):
        marked = _with_powers_marked(marked)
    try:
        text = rtf_to_text(marked, errors="replace")  # type: ignore[no-untyped-call]
    except (ValueError, LookupError, RecursionError):
        raise UnreadableError("not rtf") from None
    # \u writes UTF-16: a letter beyond the basic plane is two of them.
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if "\ufffd" in text:
        damage.append("characters that the code page does not have")
    return tidied(text.replace("\r", "").replace("\0", ""))


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
            if POWER.match(run):
                starts.append(run_start)
            run = ""
    if POWER.match(run):
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
