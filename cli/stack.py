"""Commands for whoever keeps the installation: ``credentials``, ``backup``, ``backup-key``, ``restore``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import BufferedReader
from pathlib import Path
from typing import IO, Annotated, cast

import typer

from cli.console import console as standard_console
from cli.console import errors_console, print_json, progress_lines
from lakehouse.errors import ConfigurationError, StorageError

_PANEL = "Administration"
_CONSOLE_PORT = 9001


def add_to(app: typer.Typer) -> None:
    for command in (credentials, backup, backup_key, restore):
        app.command(rich_help_panel=_PANEL)(command)


def credentials(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Addresses and logins of everything that people open."""
    from installation import secrets, submitters
    from installation.platform import existing_settings

    settings = existing_settings()
    folder = secrets.logins_folder(settings.home)
    if not folder.is_dir():
        raise ConfigurationError(
            "There are no logins yet: the first start has not made them.",
            hint="Start it (`docker compose up -d --wait`); if that failed, its message comes first.",
        )
    addresses = {"superset": f"http://localhost:{settings.superset_port}"}
    if settings.uses_s3:
        addresses["console"] = f"http://localhost:{_CONSOLE_PORT}"
        addresses["proxy"] = "https://localhost:8443"
    found = secrets.credentials(folder, addresses)
    if "console" in addresses:
        found += [
            secrets.Credential(
                "MinIO console", addresses["console"], login.access_key, login.secret_key
            )
            for login in submitters.kept(folder)
        ]
    if as_json:
        print_json(found)
        return
    lines = [("Hub", f"http://localhost:{settings.hub_port}", "", "")]
    lines.append(("Dagster", f"http://localhost:{settings.dagster_port}", "", ""))
    lines += [(entry.service, entry.address, entry.user, entry.password) for entry in found]
    for what, address, user, password in lines:
        # Plain lines, never wrapped: people copy from here.
        standard_console.print(
            f"{what:<22} {address:<24} {user:<14} {password}", soft_wrap=True, markup=False
        )


def backup(
    target: Annotated[str, typer.Argument(help="The file to write; - is standard output.")],
) -> None:
    """Everything into one file, while the platform runs: databases, catalog, objects.

    The file is for its owner's eyes alone, and sealed to the keys that BACKUP_KEYS names.
    """
    from installation import backup as archive
    from installation import sealing
    from installation.platform import open_platform

    platform = open_platform()
    keys = sealing.public_keys(platform.settings.backup_keys)
    with (
        _output(target) as file,
        sealing.sealed(file, keys) if keys else nullcontext(file) as stream,
        progress_lines(quiet=target == "-"),
    ):
        report = archive.backup(platform.settings, platform.store, stream)
    errors_console.print(
        f"{len(report.databases)} databases and {report.objects:,} objects "
        f"({report.object_bytes / 1e6:,.1f} MB), {'sealed' if keys else 'not sealed'}."
        " Secrets are not in it: keep PRIVACY_KEY apart."
    )


def backup_key() -> None:
    """A new pair of keys for backups, as `age-keygen` writes it: the public half goes into BACKUP_KEYS."""
    from installation import sealing

    pair = sealing.new_key()
    standard_console.print(f"# public key: {pair.public}", soft_wrap=True, markup=False)
    standard_console.print(pair.secret, soft_wrap=True, markup=False)
    errors_console.print(
        f"BACKUP_KEYS={pair.public} in .env seals backups. Keep the secret key away from this"
        " machine: without it no sealed backup can be opened."
    )


def restore(
    source: Annotated[str, typer.Argument(help="The file to read; - is standard input.")],
    key: Annotated[
        Path | None, typer.Option(help="File with the secret key, where the backup is sealed.")
    ] = None,
) -> None:
    """A backup into an empty installation; every count is compared afterwards."""
    from cli import worker
    from installation import backup as archive
    from installation.platform import open_platform
    from publishing import reconcile

    platform = open_platform()
    worker.stop(platform.settings)  # it holds databases open that are made anew
    with _input(source, key) as stream, progress_lines():
        report = archive.restore(platform.settings, platform.store, stream)
    # Databases are dumped one after the other: readers may see a publish that the record lacks.
    reconcile(platform.settings, platform.engine, actor="lakehouse restore")
    rows = sum(report.inventory.lake_rows.values())
    standard_console.print(
        f"Restored: {len(report.databases)} databases, {report.objects:,} objects, {rows:,} rows in "
        f"the lake; audit trail {'intact' if report.inventory.audit_intact else '[red]broken[/]'}."
    )


@contextmanager
def _input(source: str, key: Path | None) -> Iterator[IO[bytes]]:
    """The backup to read, opened with the secret key in the file ``key`` where it is sealed."""
    from installation import sealing

    with sys.stdin.buffer if source == "-" else Path(source).open("rb") as file:
        buffered = cast("BufferedReader", file)
        if not sealing.is_sealed(buffered):
            yield file
            return
        if key is None:
            raise ConfigurationError(
                "The backup is sealed.", hint="Name the file with its secret key: --key FILE."
            )
        with sealing.opened(file, key) as content:
            yield content


@contextmanager
def _output(target: str) -> Iterator[IO[bytes]]:
    """The stream to write to; a file appears under its name only when it is complete.

    It holds what the platform holds, so nobody but its owner may read it.
    """
    if target == "-":
        yield sys.stdout.buffer
        return
    path = Path(target)
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        stream = os.fdopen(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written ({error.strerror}).",
            hint="Name a file in a folder that is there and that this user may write to.",
        ) from error
    with stream:
        yield stream
    unfinished.replace(path)
