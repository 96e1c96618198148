"""``lakehouse submitter``: who may drop files, each with a key of their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import console, print_json, table

if TYPE_CHECKING:
    from minio import MinioAdmin

    from lakehouse.settings import Settings

app = typer.Typer(help="Who may drop files: one key for each submitter.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Lower-case letters, digits, hyphens: north-clinic.")]


@app.command()
def add(
    name: Name,
    locale: Annotated[
        str | None, typer.Option(help="How its files write numbers and dates, as de-DE.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Where its clocks run, as Europe/Berlin.")
    ] = None,
) -> None:
    """Register a submitter and give it a key that writes below inbox/NAME/ and nowhere else.

    Run again, it changes what is given and makes a new key; the former one ends at once. In the
    container stack: `docker compose run --rm admin submitter add NAME`.
    """
    from cli.drops import actor
    from installation import secrets, submitters
    from installation.platform import open_platform
    from lakehouse.metadata import submitters as register

    submitters.checked_name(name)
    submitters.checked_zone(time_zone)
    platform = open_platform()
    admin = _administration(platform.settings)
    login = None
    if admin is not None:
        login = submitters.make_user(admin, name, platform.settings.raw_bucket)
        submitters.keep(secrets.logins_folder(platform.settings.home), login)
    is_new = register.register(
        platform.engine, name, locale=locale, time_zone=time_zone, actor=actor()
    )
    console.print(f"Submitter {name} is {'registered' if is_new else 'changed'}.")
    if login is not None:
        console.print("Its key (`lakehouse credentials` shows it again):")
        console.print(f"   access key  {login.access_key}", soft_wrap=True)
        console.print(f"   secret key  {login.secret_key}", soft_wrap=True)
    elif platform.settings.uses_s3:
        console.print("This store's users are made there. The policy for this one's key:")
        print_json(submitters.policy(name, platform.settings.raw_bucket))
    console.print(f"Drops go to inbox/{name}/<file type>/<drop>/…")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """The submitters that may drop files."""
    from installation.platform import open_platform
    from lakehouse.metadata import submitters as register

    found = [
        {"name": one.name, "locale": one.locale, "time_zone": one.time_zone}
        for one in register.registered(open_platform().engine)
    ]
    if as_json:
        print_json(found)
        return
    rows = [(one["name"], one["locale"] or "", one["time_zone"] or "") for one in found]
    console.print(table("Submitters", ("name", "locale", "time zone"), rows))


@app.command()
def remove(name: Name) -> None:
    """Take a submitter's key away. What it dropped stays; `lakehouse withdraw` takes that out."""
    from cli.drops import actor
    from installation import secrets, submitters
    from installation.platform import open_platform
    from lakehouse.metadata import submitters as register

    submitters.checked_name(name)
    platform = open_platform()
    admin = _administration(platform.settings)
    if admin is not None:  # first: what is noted as removed has no key any more
        submitters.remove_user(admin, name)
        submitters.forget(secrets.logins_folder(platform.settings.home), name)
    register.remove(platform.engine, name, actor=actor())
    console.print(f"Submitter {name} may not drop files any more.")


def _administration(settings: Settings) -> MinioAdmin | None:
    """The store's admin API; None where the store makes its users elsewhere, or has none."""
    if not settings.uses_s3 or settings.object_store_admin == "none":
        return None
    from installation import secrets
    from installation.bucket_setup import Key, administration

    root = Key(
        secrets.read("MINIO_ROOT_USER", os.environ), secrets.read("MINIO_ROOT_PASSWORD", os.environ)
    )
    return administration(
        settings.object_store_endpoint or "https://s3.amazonaws.com",
        root,
        settings.object_store_region,
    )
