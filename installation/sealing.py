"""Backups sealed to a public key, in the format of age (age-encryption.org/v1), as a stream.

Whoever backs up needs the public half alone (``age1…``); the secret half opens, and need not be on this
machine. Content goes through in pieces: the size of a backup costs no memory. ``age`` itself opens and
makes such files as well.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import pyrage

from lakehouse.errors import ConfigurationError, LakehouseError, StorageError

_FIRST_BYTES: Final = b"age-encryption.org/"
_SECRET_KEY: Final = "AGE-SECRET-KEY-1"  # noqa: S105 (how all of them begin)


@dataclass(frozen=True)
class KeyPair:
    """``public`` seals, ``secret`` opens."""

    public: str
    secret: str


def new_key() -> KeyPair:
    identity = pyrage.x25519.Identity.generate()
    return KeyPair(str(identity.to_public()), str(identity))


def public_keys(listed: str) -> list[str]:
    """The keys of a comma-separated list. Raises :class:`ConfigurationError` where one is none."""
    keys = [key.strip() for key in listed.split(",") if key.strip()]
    for key in keys:
        _recipient(key)
    return keys


@contextmanager
def sealed(target: IO[bytes], keys: Sequence[str]) -> Iterator[IO[bytes]]:
    """A stream whose content arrives in ``target`` sealed to each of ``keys``."""
    recipients = [_recipient(key) for key in keys]

    def seal(plain: IO[bytes]) -> None:
        pyrage.encrypt_io(plain, target, recipients)

    with _pipe() as (reader, writer), ThreadPoolExecutor(1) as other:
        sealing = other.submit(_with, reader, seal)
        try:
            with writer:
                yield writer
        except BrokenPipeError:  # nobody reads any more: that has the reason
            _finish(sealing)
            raise
        _finish(sealing)


def is_sealed(source: io.BufferedReader) -> bool:
    """Whether a stream, nothing of which was read yet, is sealed."""
    return source.peek(len(_FIRST_BYTES)).startswith(_FIRST_BYTES)


@contextmanager
def opened(source: IO[bytes], key_file: Path) -> Iterator[IO[bytes]]:
    """The content of a sealed ``source``.

    Raises :class:`ConfigurationError` where the key in ``key_file`` is none or does not open it, and
    :class:`LakehouseError` where the file was changed or cut off.
    """
    identities = _identities(key_file)

    def unseal(plain: IO[bytes]) -> None:
        pyrage.decrypt_io(source, plain, identities)

    with _pipe() as (reader, writer), ThreadPoolExecutor(1) as other:
        opening = other.submit(_with, writer, unseal)
        try:
            with reader:
                yield reader
        finally:
            _explain(opening)


@contextmanager
def _pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    out, into = os.pipe()
    with os.fdopen(out, "rb") as reader, os.fdopen(into, "wb") as writer:
        yield reader, writer


def _with(end: IO[bytes], work: Callable[[IO[bytes]], None]) -> None:
    """Work at one end of a pipe, and close it whatever happens: the other end waits for that."""
    with end:
        work(end)


def _finish(sealing: Future[None]) -> None:
    try:
        sealing.result()
    except pyrage.EncryptError as error:
        raise StorageError(
            f"The sealed backup cannot be written ({error}).", hint="Is there room where it goes?"
        ) from error


def _explain(opening: Future[None]) -> None:
    """Raises where the stream could not be opened to its end; a reader that stopped early is no reason."""
    error = opening.exception()
    if isinstance(error, pyrage.DecryptError):
        raise ConfigurationError(
            "This key does not open the backup, or the backup was changed or cut off.",
            hint="Its key is the one whose public half BACKUP_KEYS named when it was made.",
        ) from error
    if error is not None and not isinstance(error, BrokenPipeError):
        raise LakehouseError(
            "The sealed backup cannot be read.",
            hint="It was cut off while it was written or copied.",
        ) from error


def _recipient(key: str) -> pyrage.x25519.Recipient:
    try:
        return pyrage.x25519.Recipient.from_str(key)
    except pyrage.RecipientError as error:
        raise ConfigurationError(
            "BACKUP_KEYS holds something that is no public key of age.",
            hint="They begin with age1; `lakehouse backup-key` makes a pair.",
        ) from error


def _identities(key_file: Path) -> list[pyrage.x25519.Identity]:
    """The secret keys in a file as `age-keygen` writes it: a line each, comments begin with #."""
    try:
        lines = key_file.read_text(encoding="utf-8").splitlines()
        found = [
            pyrage.x25519.Identity.from_str(line.strip())
            for line in lines
            if line.strip().startswith(_SECRET_KEY)
        ]
    except (OSError, UnicodeDecodeError, pyrage.IdentityError) as error:
        raise ConfigurationError(
            "The file of the secret key cannot be read.", hint="It is the one that --key names."
        ) from error
    if not found:
        raise ConfigurationError(
            "There is no secret key in the file that --key names.",
            hint=f"A line of it begins with {_SECRET_KEY}.",
        )
    return found
