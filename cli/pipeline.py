"""Commands that work: ``demo``, ``run`` and each step by itself."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import AsJson, console, print_json, progress_lines, table

if TYPE_CHECKING:
    from installation.platform import Platform
    from lakehouse.settings import Settings
    from orchestration.processes.runner import PipelineRun

_PANEL = "Pipeline"
_SAMPLES = Path(__file__).resolve().parents[1] / "samples" / "drops"
#: Where the clocks of a sample drop's submitter ran, whose files do not say it.
_TIME_ZONES = {"diabetes-clinic": "America/New_York"}


def add_to(app: typer.Typer) -> None:
    for command in (demo, run, land, build, check, publish, verify):
        app.command(rich_help_panel=_PANEL)(command)


def demo() -> None:
    """Put the sample drops into the inbox and run the whole pipeline on them.

    Where the service is up, it takes them; this command then waits and shows the same result.
    """
    from cli.drops import actor
    from ingestion.intake.drop import put_as
    from installation.platform import open_platform
    from lakehouse.metadata import submitters

    started = time.monotonic()
    console.print("[bold]The sample drops[/] (samples/README.md says what each holds)")
    platform = open_platform(create=True)
    known = {one.name for one in submitters.registered(platform.engine)}
    for name, zone in _TIME_ZONES.items():
        if name not in known:
            submitters.register(platform.engine, name, locale=None, time_zone=zone, actor=actor())
    for folder in sorted(path for path in _SAMPLES.glob("*/*/*") if path.is_dir()):
        group = folder.relative_to(_SAMPLES).as_posix()
        report = put_as(
            platform.store, platform.engine, platform.settings, folder, group, actor=actor()
        )
        word = f"{report.written} file(s) put" if report.written else "already there"
        console.print(f"   inbox/{group:<44} [dim]{word}[/]")
    console.print()
    _run(platform, started, totals=True)
    console.print(f"\n[bold]Next[/]\n{_next_steps(platform.settings)}")


def _next_steps(settings: Settings) -> str:
    """What to do after the demo, where it ran: in the container stack, or in a checkout."""
    query = 'sql "select * from gold.encounter_summary limit 3"'
    if "LAKEHOUSE_LOGINS" in os.environ:
        command = "docker compose run --rm lakehouse"
        return (
            f"   http://localhost:{settings.hub_port}   the hub: everything from there\n"
            f"   http://localhost:{settings.superset_port}    the dashboards\n"
            f"   {command} credentials   their logins\n"
            f"   {command} walkthrough   one patient from raw file to mart\n"
            f"   {command} {query}"
        )
    return (
        "   make up                 the Dagster UI on this data, with the inbox watched\n"
        "   lakehouse walkthrough   one patient from raw file to mart\n"
        f"   lakehouse {query}\n"
        "   [dim](the command is .venv/bin/lakehouse)[/]"
    )


def run(
    as_json: AsJson = False,
    full_refresh: Annotated[
        bool, typer.Option(help="Build Silver anew from Bronze instead of what was touched.")
    ] = False,
    totals: Annotated[
        bool,
        typer.Option(
            "--totals", help="Show also the rows of every table, and all that is in quarantine."
        ),
    ] = False,
) -> None:
    """Everything pending: register closed drops, land, build, check, publish; ends with what it added.

    A submission whose rows break an error rule is held alone; the others are published. Exit code 3
    where nothing but held submissions was landed, or a rule of a whole table fails.

    Where the service is up, its daemon does the work and this command waits for it, so nothing is
    done twice. With --full-refresh it then builds here.
    """
    from installation.platform import open_platform

    started = time.monotonic()
    _run(open_platform(), started, as_json=as_json, full_refresh=full_refresh, totals=totals)


def _run(
    platform: Platform,
    started: float,
    *,
    as_json: bool = False,
    full_refresh: bool = False,
    totals: bool = False,
) -> None:
    """Run what is pending and show the summary."""
    from cli.summary import row_counts, show_summary, summarise
    from lakehouse.errors import QualityError
    from lakehouse.lake import kept_open

    done = None
    with kept_open(platform.settings):
        before = row_counts(platform)
        if full_refresh or _is_pending(platform):
            with progress_lines(quiet=as_json):
                done = _work(platform, full_refresh=full_refresh)
        summary = summarise(platform, run=done, seconds=time.monotonic() - started, before=before)
    if as_json:
        print_json(summary)
    else:
        show_summary(summary, totals=totals)
    if summary.landed and not set(summary.landed) - {one.submission_id for one in summary.held}:
        raise QualityError(
            f"All that this run landed is held: {len(summary.landed)} submission(s).",
            hint="Correct and drop it again, release or withdraw it; `lakehouse status` shows why.",
        )


def _work(platform: Platform, *, full_refresh: bool) -> PipelineRun | None:
    """Do what is pending, or see it done; None where another command line did it meanwhile."""
    from orchestration.processes.follow import follow
    from orchestration.processes.presence import alone
    from orchestration.processes.runner import run_pending

    followed = follow(platform)
    if followed is not None and not full_refresh:
        return followed
    with alone(platform.settings):
        if not (full_refresh or _is_pending(platform)):
            return None
        return run_pending(platform, full_refresh=full_refresh)


def _is_pending(platform: Platform) -> bool:
    from ingestion.intake import anything_pending

    return anything_pending(platform.store, platform.engine, platform.settings)


def land(
    submission: Annotated[
        list[str] | None, typer.Argument(help="Submissions; default: all staged.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Land staged submissions in Bronze (a submission named again is landed again)."""
    from sqlalchemy.orm import Session

    from installation.platform import open_platform
    from lakehouse.metadata import submissions

    platform = open_platform()
    with Session(platform.engine) as session:
        for name in submission or []:
            submissions.get(session, name)  # before a run of it is made
    with progress_lines(quiet=as_json):
        from orchestration.processes.instance import open_instance
        from orchestration.processes.runner import PipelineRun, land_staged

        done = PipelineRun()
        with open_instance(platform.settings) as instance:
            land_staged(platform, instance, done, only=submission)
    if as_json:
        print_json(done)
    else:
        console.print(f"{len(done.landed)} landed, {len(done.failed)} failed.")
    if done.failed:
        raise typer.Exit(1)


def build(
    full_refresh: Annotated[
        bool, typer.Option(help="Build Silver anew from Bronze instead of what was touched.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build Silver and Gold from what was landed or withdrawn, and check them; do not publish."""
    done = _job("transform", full_refresh=full_refresh, quiet=as_json)
    if as_json:
        print_json(done)


def check(
    every: Annotated[
        bool,
        typer.Option("--all", help="Show every rule with its numbers, not only those that fail."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run all quality suites on every layer as it is now, and show what fails and who is held.

    Exit code 3 where a rule of severity error fails.
    """
    from cli.summary import show_checks, show_held
    from installation.platform import open_platform
    from lakehouse.errors import QualityError
    from lakehouse.metadata.status import held, latest_checks

    _job("check", quiet=as_json)
    engine = open_platform().engine
    checks = latest_checks(engine)
    if as_json:
        shown = [check for check in checks if every or not check.passed]
        print_json({"checks": shown, "held": held(engine)})
    else:
        show_checks(checks, every=every)
        show_held(held(engine), in_full=True)
    broken = sum(check.severity == "error" and not check.passed for check in checks)
    if broken:
        raise QualityError(
            f"{broken} rule(s) of severity error fail: nothing would be published.",
            hint="Mend or withdraw the drop, then `lakehouse run`.",
        )


def publish(
    rollback: Annotated[
        bool, typer.Option(help="Re-point the views to the previous publish instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish what Gold holds to Postgres, or go back to the previous publish.

    Says which submissions are not in the marts that readers see then: they wait for a build.
    """
    from cli.drops import actor
    from cli.summary import show_comparison
    from installation.platform import open_platform
    from lakehouse.metadata import publishes

    platform = open_platform()
    if not rollback:
        _job("publish", quiet=as_json)
        shown = publishes.current(platform.engine)
        build_id = shown.build_id if shown is not None else None
        found = publishes.compare(platform.engine, build_id)
        if as_json:
            print_json({"build_id": build_id, "submissions": found})
            return
        show_comparison(found, build_id=build_id, rolled_back=False)
        return
    from publishing import rollback as roll_back

    report = roll_back(platform.settings, platform.engine, actor=actor())
    if as_json:
        print_json(report)
    else:
        console.print(report.message)


def verify(as_json: AsJson = False) -> None:
    """Compare what readers see with what they should see, and check the audit chain.

    Exit code 1 where the marts that readers see lack a submission that belongs there, still hold one
    that left, or have other counts than the lake.
    """
    from cli.summary import show_comparison
    from installation.platform import open_platform
    from lakehouse.metadata import anchors
    from publishing import verify as verify_published

    platform = open_platform()
    report = verify_published(platform.settings, platform.engine)
    chain = anchors.verify(platform.engine, platform.store)
    if as_json:
        agree = report.agrees and chain.intact
        print_json({"agrees": agree, "published": report, "audit_trail": chain})
        if not agree:
            raise typer.Exit(1)
        return
    console.print(
        table(
            f"Publish {report.n}, compared with {report.source}",
            ("mart", "readers see", "lake holds", "agrees"),
            [(t.table, t.published, t.lake, t.agrees) for t in report.tables],
        )
    )
    show_comparison(report.submissions, build_id=report.build_id, rolled_back=report.rolled_back)
    state = "intact" if chain.intact else f"broken: event {chain.broken_at} {chain.problem}"
    console.print(f"Audit chain: {chain.events:,} events, {state}.")
    if not (report.agrees and chain.intact):
        raise typer.Exit(1)


def _job(name: str, *, full_refresh: bool = False, quiet: bool = False) -> PipelineRun:
    """Run one job; where not ``quiet``, with its progress and its time."""
    from installation.platform import open_platform

    platform = open_platform()
    with progress_lines(quiet=quiet):
        from orchestration.processes.runner import run_job

        done = run_job(platform, name, full_refresh=full_refresh)
    if not quiet:
        console.print(f"Done in {done.seconds.get('total', 0.0):.1f} s (run {done.run_ids[-1]}).")
    return done
