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
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING, Any, Final

from transformation.attachment_text.cda import read_cda
from transformation.attachment_text.charsets import UnreadableError, decoded
from transformation.attachment_text.html import read_html
from transformation.attachment_text.rtf import RTF_START, read_rtf

if TYPE_CHECKING:
    import duckdb

SQL_NAME: Final = "attachment_text"
SQL_PARAMETERS: Final = ("VARCHAR", "VARCHAR", "BIGINT", "VARCHAR")
SQL_RESULT: Final = "STRUCT(body VARCHAR, form VARCHAR, damage VARCHAR[], unread VARCHAR)"

_HTML: Final = frozenset({"text/html", "application/xhtml+xml", "text/xhtml", "application/xhtml"})
_RTF: Final = frozenset({"text/rtf", "application/rtf", "application/x-rtf", "text/richtext"})
_XML: Final = frozenset({"text/xml", "application/xml", "text/cda"})
_UNTOLD: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_XML_START: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|ClinicalDocument)\b")
_HTML_START: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|body|div|p)\b", re.I)


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
    except UnreadableError as fault:
        if _form(essence, b"") is None:
            return AttachmentText(unread=_not_read(essence))
        return AttachmentText(damage=(str(fault),))
    form = _form(essence, raw)
    if form is None:
        return AttachmentText(unread=_not_read(essence))
    damage = list(_altered(raw, size, digest))
    try:
        text = _READERS[form](raw, declared, damage)
    except UnreadableError as fault:
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
        if RTF_START.match(raw):
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
        raise UnreadableError("not text in base64") from None


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


def read_plain(raw: bytes, declared: str | None, damage: list[str]) -> str:
    return decoded(raw, declared, damage)


_READERS: Final[dict[str, Callable[[bytes, str | None, list[str]], str]]] = {
    "plain": read_plain,
    "html": read_html,
    "rtf": read_rtf,
    "cda": read_cda,
}
