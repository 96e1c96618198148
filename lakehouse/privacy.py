"""Keyed references that stand for identifiers in logs, messages, run metadata and marts.

``ref("Jane_Doe.json")`` gives ``ref:4f0c2a9b17de``: the same value gives the same reference under
the same key, and without the key it cannot be reversed or guessed (HMAC-SHA-256, RFC 2104).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from functools import lru_cache

_LENGTH = 12


@lru_cache(maxsize=1)
def _default_key() -> bytes:
    from lakehouse.settings import load_settings

    settings = load_settings()
    if settings.privacy_key is None:  # load_settings always sets one
        raise AssertionError("settings without a privacy key")
    return settings.privacy_key.get_secret_value().encode()


def ref(value: str, key: bytes | None = None) -> str:
    """``ref:`` and 12 hex digits for ``value``; ``key`` defaults to this process's PRIVACY_KEY."""
    digest = hmac.new(key or _default_key(), value.encode(), hashlib.sha256).hexdigest()
    return f"ref:{digest[:_LENGTH]}"


def pseudonym(value: str, key: bytes | None = None) -> str:
    """The key that stands for ``value`` (``Encounter/<id>``, ``Patient/<id>``) in the marts: 32 hex digits.

    The same as the dbt macro of this name.
    """
    secret = key or _default_key()
    inner = hashlib.sha256(secret + value.encode()).hexdigest()
    return hashlib.sha256(secret + inner.encode()).hexdigest()[:32]


#: Loggers of libraries that print statements, rows, object keys or whole requests below this level.
_CHATTY = {
    "dlt": logging.WARNING,
    "botocore": logging.WARNING,
    "aiobotocore": logging.WARNING,
    "s3fs": logging.WARNING,
    "fsspec": logging.WARNING,
    "urllib3": logging.WARNING,
    "pydicom": logging.ERROR,
    "great_expectations": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "asyncio": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
}


#: Loggers of this project: what they say carries no identifiers.
_OURS = ("lakehouse", "ingestion", "quality", "publishing", "orchestration", "hub")


def log_at(level: str) -> None:
    """Let this process log from LOG_LEVEL on; libraries say warnings, and at DEBUG all that
    :func:`quiet_libraries` allows them."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger().setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    quiet_libraries()


def quiet_libraries() -> None:
    """Keep libraries that log data values from doing so, whatever LOG_LEVEL is."""
    for name, level in _CHATTY.items():
        logging.getLogger(name).setLevel(level)
