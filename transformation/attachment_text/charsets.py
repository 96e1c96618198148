"""Bytes to characters: the declared charset, the document's own, byte order marks, and what a guess costs."""

from __future__ import annotations

import codecs
import re
from typing import Final


class UnreadableError(Exception):
    """The attachment has no text because of this fault."""


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
_C1_CONTROL: Final = re.compile("[\x80-\x9f]")


def decoded(raw: bytes, declared: str | None, damage: list[str], own: str | None = None) -> str:
    """The characters of ``raw``: by its byte order mark, else as declared outside, else by its ``own``
    declaration, else UTF-8 (the order of https://encoding.spec.whatwg.org/#decode).

    A declaration that the bytes contradict is told in ``damage``. No charset is ever guessed from
    what letters would be likely.
    """
    charset = known_charset(declared, damage) or known_charset(own, damage)
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
        raise UnreadableError("not text: has U+0000")
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
            raise UnreadableError(f"not text in {charset}")
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
        raise UnreadableError(f"not text in {charset}")
    return text


def known_charset(name: str | None, damage: list[str]) -> str | None:
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
