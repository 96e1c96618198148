"""Commands for whoever runs the platform: ``init``, ``audit``, ``maintain``, ``docs``, ``generate``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.console import AsJson, console, print_json, table

_PANEL = "Administration"


def add_to(app: typer.Typer) -> None:
    for command in (init, audit, maintain, docs, generate):
        app.command(rich_help_panel=_PANEL)(command)


def init() -> None:
    """Databases, migrations, lake schemas and the store's areas; safe to repeat."""
    from installation import embedded
    from installation.platform import set_up
    from lakehouse.settings import load_settings

    set_up(embedded.ensure_running(load_settings()))
    console.print("Set up.")


def audit(
    subject: Annotated[
        str | None, typer.Argument(help="kind:id, as submission:2026…; default: verify the chain.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The audit trail: verify its hash chain and its anchors, or show the history of one subject.

    An intact trail's head is noted in the object store, so that removed events are found next time.
    """
    from sqlalchemy.orm import Session

    from installation.platform import open_platform
    from lakehouse.errors import UnknownName
    from lakehouse.metadata import anchors
    from lakehouse.metadata import audit as trail

    platform = open_platform()
    engine = platform.engine
    if subject is None:
        chain = anchors.anchor(engine, platform.store)
        if as_json:
            print_json({"intact": chain.intact, **asdict(chain)})
            if not chain.intact:
                raise typer.Exit(1)
            return
        if chain.intact:
            console.print(f"{chain.events:,} events, intact. Head: {chain.head}")
            return
        console.print(
            f"[red]Broken at event {chain.broken_at}:[/] it {chain.problem}. "
            f"The {chain.events:,} events before it are intact."
        )
        raise typer.Exit(1)
    with Session(engine) as session:
        events = trail.history(session, subject)
        if not events:
            raise UnknownName(
                f"The audit trail has no event of {subject}.",
                hint="A subject is kind:id, as submission:2026…; `lakehouse status` lists them.",
            )
        if as_json:
            print_json(
                [
                    {
                        "occurred_at": event.occurred_at,
                        "actor": event.actor,
                        "action": event.action,
                        "reason": event.reason,
                    }
                    for event in events
                ]
            )
            return
        console.print(
            table(
                subject,
                ("when", "who", "what", "why"),
                [(e.occurred_at, e.actor, e.action, e.reason) for e in events],
            )
        )


def maintain(as_json: AsJson = False) -> None:
    """Compact the lake's files, expire old snapshots, remove files nobody needs."""
    from installation.platform import open_platform
    from lakehouse.lake import maintenance
    from lakehouse.metadata import anchors

    platform = open_platform()
    report = maintenance.run(platform.settings)
    trail = anchors.anchor(platform.engine, platform.store)
    if as_json:
        print_json(report)
        trail.require_intact()
        return
    console.print(
        f"{report.files_rewritten} file(s) written without deleted rows, "
        f"{report.files_merged} file(s) merged, {report.snapshots_expired} snapshot(s) expired, "
        f"{report.files_removed} file(s) removed in {report.seconds:.1f} s."
    )
    trail.require_intact()


def docs(
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the generated documents are current.")
    ] = False,
    site: Annotated[
        bool, typer.Option("--site", help="Write the hub's pages instead: Data Docs, dbt docs.")
    ] = False,
) -> None:
    """Write the generated documents: data dictionary and corpus contract.

    With --site, the pages that the hub serves; the service makes them by itself after the first
    publish, when models change, and every night.
    """
    if site:
        _write_site()
        return
    from transformation.documents import write_documents

    changed = write_documents(check=check)
    for path in changed:
        console.print(f"   {'differs' if check else 'written'}: {path}")
    if check and changed:
        raise typer.Exit(1)
    if not changed:
        console.print("All generated documents are current.")


def generate(
    check: Annotated[
        bool, typer.Option("--check", help="Only say which generated files are not current.")
    ] = False,
) -> None:
    """Write every generated file of the repository, after a change of what it is made from.

    From the sources' declarations dbt's sources.yml; from the ViewDefinitions, code lists and units
    macros and documentation; from all YAML the data dictionary and the corpus contract.
    """
    from ingestion.bronze_yaml import write_sources
    from transformation.documents import write_documents
    from transformation.views import compile_views

    changed = [
        *write_sources(check=check),
        *compile_views(check=check),
        *write_documents(check=check),
    ]
    for path in changed:
        console.print(f"   {'differs' if check else 'written'}: {path}", soft_wrap=True)
    if check and changed:
        raise typer.Exit(1)
    if not changed:
        console.print("All generated files are current.")


def _write_site() -> None:
    import quality
    from installation.platform import open_platform
    from transformation.documents import write_dbt_docs

    settings = open_platform().settings
    with console.status("writing Data Docs and dbt docs …"):
        pages = [quality.build_data_docs(settings), write_dbt_docs(settings, anew=True)]
    for page in pages:
        console.print(f"   written: {page}", soft_wrap=True)
