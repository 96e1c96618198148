"""Commands about drops and submissions: put, look, review, take again, withdraw."""

from __future__ import annotations

import getpass
from dataclasses import asdict, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.padding import Padding

from cli.console import AsJson, console, print_json, table

_PANEL = "Drops"


def add_to(app: typer.Typer) -> None:
    for command in (drop, pull, status, quarantine, coverage, review, retake, release, withdraw):
        app.command(rich_help_panel=_PANEL)(command)


def actor() -> str:
    """Who runs this command, as the audit trail names it."""
    return f"person:{getpass.getuser()}"


def drop(
    paths: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            metavar="PATH",
            help="Folders, files or archives (zip, tar, tar.gz, tar.xz, tar.zst).",
        ),
    ],
    submitter: Annotated[str, typer.Option(help="Who sends it.")] = "local",
    file_type: Annotated[
        str, typer.Option(help="What it is; content decides in the end.")
    ] = "mixed",
    name: Annotated[
        str | None,
        typer.Option(
            "--as",
            "--drop-id",
            help="Name of the drop, all paths together; default: each path is one of its own name.",
        ),
    ] = None,
    supersede: Annotated[
        bool,
        typer.Option(
            "--supersede", help="Where the drop holds something else: this replaces all of it."
        ),
    ] = False,
    amend: Annotated[
        bool,
        typer.Option(
            "--amend", help="Where the drop holds something else: add to it, file by file."
        ),
    ] = False,
    close: Annotated[
        bool, typer.Option(help="Write _SUCCESS at the end, so that the drop closes at once.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Put files into the inbox, as any S3 client would. `lakehouse run` takes it from there.

    Each path is a drop of its own. Archives are unpacked on the way. What is in the inbox is never
    overwritten without --supersede or --amend: in a terminal you are asked, else the exit code is 2.
    """
    from cli import dropping
    from installation.platform import open_platform

    if supersede and amend:
        raise typer.BadParameter("--supersede replaces all, --amend keeps the rest: choose one.")
    dropping.drop(
        open_platform(create=True),
        paths,
        dropping.Wishes(
            submitter,
            file_type,
            name,
            change="supersede" if supersede else "amend" if amend else None,
            close=close,
            actor=actor(),
        ),
        as_json=as_json,
    )


def pull(
    site: Annotated[
        list[str] | None, typer.Argument(help="Names of sites; default: all of NIGHTSCOUT_SITES.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the Nightscout sites for what is new: each pull becomes a drop in the inbox.

    A site that does not answer leaves the others alone; the exit code is then 1.
    """
    from datetime import UTC, datetime

    from ingestion.pulls import nightscout
    from installation.platform import open_platform
    from lakehouse.errors import ConfigurationError, PullError

    platform = open_platform(create=True)
    listed = nightscout.sites(platform.settings)
    if unknown := set(site or ()) - {one.name for one in listed}:
        raise typer.BadParameter(f"NIGHTSCOUT_SITES lists no {', '.join(sorted(unknown))}.")
    if not listed:
        raise ConfigurationError(
            "No Nightscout site is listed.", hint="Set NIGHTSCOUT_SITES: docs/glucose.md says how."
        )
    done: list[nightscout.PullReport] = []
    failed: list[PullError] = []
    for one in listed:
        if site and one.name not in site:
            continue
        try:
            report = nightscout.pull(
                one,
                platform.store,
                platform.engine,
                platform.settings,
                now=datetime.now(UTC),
                actor=actor(),
            )
        except PullError as error:
            failed.append(error)
            continue
        done.append(report)
        if not as_json:
            words = (
                f"{report.documents:,} document(s) in {report.drop}"
                if report.drop
                else "nothing new"
            )
            console.print(f"   {report.site}: {words}", markup=False)
    if as_json:
        print_json([asdict(report) for report in done])
    if failed:
        raise failed[0]


def status(
    as_json: AsJson = False,
) -> None:
    """Where everything stands: drops, submissions, quarantine, last build, checks and publish."""
    from cli.summary import show_status
    from installation.platform import open_platform
    from lakehouse.metadata.status import status as read_status

    report = read_status(open_platform().engine)
    if as_json:
        print_json(report)
    else:
        show_status(report)


def quarantine(
    submission: Annotated[str | None, typer.Argument(help="A submission; default: all.")] = None,
    names: Annotated[
        bool, typer.Option(help="Show file names: they may hold names of patients.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What was not taken: reason, place and what to do about it."""
    from sqlalchemy.orm import Session

    from ingestion.reasons import meaning, next_step
    from installation.platform import open_platform
    from lakehouse.metadata import submissions
    from lakehouse.metadata.status import quarantined
    from lakehouse.privacy import ref

    engine = open_platform().engine
    if submission is not None:
        with Session(engine) as session:
            submissions.get(session, submission)  # an unknown one is an error, not an empty list
    items = [
        item if names else replace(item, path=ref(item.path))
        for item in quarantined(engine, submission_id=submission, limit=limit)
    ]
    if as_json:
        print_json(
            [
                {
                    **asdict(item),
                    "meaning": meaning(item.reason),
                    "next_step": next_step(item.reason),
                }
                for item in items
            ]
        )
        return
    if not items:
        console.print("Nothing is in quarantine.")
    by_submission = attrgetter("submission_id")
    by_reason = attrgetter("submission_id", "reason")
    for submission_id, its in groupby(sorted(items, key=by_reason), key=by_submission):
        console.print(f"[bold]{submission_id}[/]")
        for (_, reason), same in groupby(its, key=by_reason):
            console.print(f"\n [yellow]{reason}[/]: {meaning(reason)}")
            console.print(Padding(f"→ {next_step(reason)}", (0, 0, 0, 3)))
            for item in same:
                place = f", {item.position}" if item.position else ""
                lost = "" if item.record_count == 1 else f" ({item.record_count:,} records)"
                console.print(
                    Padding(escape(f"{item.path}{place}: {item.detail}{lost}"), (0, 0, 0, 3)),
                    style="dim",
                )
        console.print()
    if len(items) == limit:
        console.print(f"The newest {limit:,}; more with --limit.")


def review(
    submission: Annotated[str, typer.Argument(help="A submission in NEEDS_REVIEW.")],
    path: Annotated[str, typer.Argument(help="The file, as `lakehouse status` names it.")],
    file_type: Annotated[str, typer.Argument(help="What the file is.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the audit trail.")],
) -> None:
    """Say what an ambiguous file is, so that its submission can go on."""
    from ingestion.intake import resolve_review
    from installation.platform import open_platform

    platform = open_platform()
    state = resolve_review(
        platform.engine, platform.store, submission, path, file_type, actor=actor(), reason=reason
    )
    console.print(f"Noted; the submission is {state}. Next: [bold]lakehouse run[/].")


def retake(
    as_json: AsJson = False,
) -> None:
    """Look again at files in quarantine that no source could read: a newer version may read them.

    For use after an upgrade that brought a new source, layout or classifier. Exit code 0 also where
    nothing can be taken.
    """
    from ingestion.intake import retake as look_again
    from installation.platform import open_platform

    platform = open_platform()
    taken = look_again(platform.store, platform.engine, platform.settings, actor=actor())
    if as_json:
        print_json({"submissions": taken, "files": sum(taken.values())})
        return
    if not taken:
        console.print("Nothing in quarantine can be read now that could not be read before.")
        return
    for submission, files in taken.items():
        console.print(f"{submission}: {files} file(s) can be taken now.")
    console.print("Next: [bold]lakehouse run[/] lands them (or wait for the sensor of `make up`).")


def release(
    submission: Annotated[str, typer.Argument(help="A submission that is HELD.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the audit trail.")],
    as_json: AsJson = False,
) -> None:
    """Take a held submission in nevertheless: the rules that it broke do not hold it any more.

    Where it had replaced an earlier state of its drop, it does so again.
    """
    from sqlalchemy.orm import Session

    from installation.platform import open_platform
    from lakehouse.metadata import submissions

    with Session(open_platform().engine) as session, session.begin():
        released = submissions.release(session, submission, actor=actor(), reason=reason)
    if as_json:
        print_json({"submission": submission, "released_from": released})
        return
    for rule in released:
        console.print(f"Released from [bold]{escape(rule)}[/].")
    console.print("Next: [bold]lakehouse run[/] takes it into Silver, Gold and marts.")


def withdraw(
    submission: Annotated[str, typer.Argument(help="The submission to withdraw.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the audit trail.")],
    whole_drop: Annotated[
        bool, typer.Option(help="Also withdraw the earlier states of its drop.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Withdraw a submission: after the next build everything reads as if it had never come.

    Where it replaced an earlier state of its drop, that one counts again (unless --whole-drop).
    """
    from ingestion.intake import withdraw as withdraw_submission
    from installation.platform import open_platform

    done = withdraw_submission(
        open_platform().engine, submission, reason=reason, actor=actor(), whole_drop=whole_drop
    )
    if as_json:
        print_json(done)
        return
    console.print(f"{len(done.withdrawn)} submission(s) withdrawn.")
    for restored in done.restored:
        console.print(f"[yellow]{restored}[/], which it had replaced, counts again.")
    if done.repeated_by:
        console.print(
            f"[yellow]{done.repeated_by} drop(s)[/] had the same content and were not taken in; "
            "drop one under a new name if it shall count."
        )
    console.print("Next: [bold]lakehouse run[/] takes it out of Silver, Gold and marts.")


def coverage(
    submission: Annotated[str, typer.Argument(help="A submission id.")],
    as_json: AsJson = False,
    only_missing: Annotated[
        bool, typer.Option("--missing", help="Only the elements that no column takes.")
    ] = False,
) -> None:
    """List the FHIR elements that a submission filled, with counts and the Silver column that takes each.

    Values are never shown. An element without a column stays in Bronze.
    """
    from sqlalchemy.orm import Session

    from installation.platform import open_platform
    from lakehouse import lake
    from lakehouse.errors import UnknownSubmission
    from lakehouse.metadata import submissions
    from transformation.coverage import coverage as covered

    platform = open_platform()
    with Session(platform.engine) as session:
        try:
            submissions.get(session, submission)
        except UnknownSubmission as error:
            raise typer.BadParameter(str(error), param_hint="SUBMISSION") from None
    with lake.connect(platform.settings, read_only=True) as connection:
        found = covered(connection, submission)
    shown = [element for element in found if not (only_missing and element.columns)]
    if as_json:
        print_json([asdict(element) for element in shown])
        return
    if not found:
        console.print("It holds no FHIR resource that was landed.")
        return
    rows = [
        (e.resource_type, e.path, e.resource_count, e.value_count, "\n".join(e.columns) or "none")
        for e in shown
    ]
    console.print(table(None, ["resource", "element", "resources", "values", "taken by"], rows))
    missing = sum(not element.columns for element in found)
    console.print(f"{len(found)} elements, {missing} of them taken by no column.")
