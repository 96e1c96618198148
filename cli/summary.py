"""What a person sees at the end of a run, and in ``lakehouse status``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding

from cli.console import console, table
from installation.platform import Platform
from lakehouse import lake
from lakehouse.metadata import publishes
from lakehouse.metadata.publishes import Comparison
from lakehouse.metadata.status import (
    CheckLine,
    HeldLine,
    StatusReport,
    SubmissionLine,
    status,
)

if TYPE_CHECKING:
    from orchestration.processes.runner import PipelineRun

#: What people count in a corpus, and the table that has one row for each.
_COUNTED = {
    "patients": "silver.patient",
    "encounters": "gold.encounter_summary",
    "conditions": "silver.condition",
    "observations": "silver.observation",
    "notes": "silver.soap_note",
    "imaging studies": "silver.imaging_study",
}

#: Columns from which a terminal shows the submissions' numbers in full.
_WIDE = 100

_ROLLED_BACK = (
    "[yellow]Rolled back[/]: readers see an earlier publish, until something is built or "
    "`lakehouse publish` goes forward again."
)

_STAGE_NAMES = {
    "raw__layout_registry": "layouts",
    "raw__submission": "intake",
    "land": "landing (dlt)",
    "silver": "Silver (dbt)",
    "silver_checks": "checks on Silver",
    "gold": "Gold and marts (dbt)",
    "gold_checks": "checks on Gold",
    "published": "publish",
    "published_checks": "checks on published marts",
}


@dataclass(frozen=True)
class Summary:
    """What a run did and what is there now.

    ``tables`` maps ``layer.table`` to rows; ``added`` maps what people count to how many more (or,
    below zero, fewer) there are than before the run.
    """

    nothing_new: bool
    seconds: float
    landed: Sequence[str]
    added: dict[str, int]
    tables: dict[str, int]
    stages: dict[str, float]
    status: StatusReport
    run_ids: Sequence[str] = field(default_factory=list)
    rolled_back: bool = False

    @property
    def held(self) -> Sequence[HeldLine]:
        """Who is held now, by which rules."""
        return self.status.held


def summarise(
    platform: Platform, *, run: PipelineRun | None, seconds: float, before: Mapping[str, int]
) -> Summary:
    """The state of everything after ``run`` (None: there was nothing to do), and what it added to
    the tables' rows ``before`` it."""
    tables = row_counts(platform)
    return Summary(
        nothing_new=run is None,
        seconds=round(seconds, 3),
        landed=list(run.landed) if run else [],
        added={what: tables.get(name, 0) - before.get(name, 0) for what, name in _COUNTED.items()},
        tables=tables,
        stages=dict(run.seconds) if run else {},
        status=status(platform.engine),
        run_ids=list(run.run_ids) if run else [],
        rolled_back=publishes.rolled_back(platform.engine),
    )


def row_counts(platform: Platform) -> dict[str, int]:
    """Rows of every table of the lake, from the catalog's statistics where they are exact."""
    counts: dict[str, int] = {}
    with (
        lake.connect(platform.settings, read_only=True) as connection,
        lake.one_snapshot(connection),
    ):
        names = connection.execute(
            "select table_schema, table_name from information_schema.tables "
            f"where table_catalog = '{lake.LAKE}' and table_type = 'BASE TABLE' order by all"
        ).fetchall()
        for schema, name in names:
            row = connection.execute(f'select count(*) from "{schema}"."{name}"').fetchone()
            counts[f"{schema}.{name}"] = int(row[0]) if row else 0
    return counts


def show_summary(summary: Summary, *, totals: bool = False) -> None:
    """The end of ``demo`` and ``run``: what was added, what needs a person; before it, where
    ``totals`` are asked for, all that is there now."""
    if totals:
        _show_totals(summary)
    if summary.nothing_new:
        words = "built and published" if not summary.rolled_back else "built"
        apart = ", or held" if summary.held else ""
        console.print(f"[bold]Nothing new[/]: every drop is registered, {words}{apart}.")
    else:
        _show_added(summary)
    _show_checks_line(summary.status)
    _show_needs_a_person(summary)
    if summary.rolled_back:
        console.print(_ROLLED_BACK)
    show_held(summary.held)
    held = {line.submission_id for line in summary.held} & set(summary.landed)
    landed = f"{len(summary.landed)} submission(s) landed, " if summary.landed else ""
    landed += f"{len(held)} of them held, " if held else ""
    console.print(f"[bold green]Done[/] in {summary.seconds:.1f} s: {landed}all above is current.")
    if not totals:
        console.print("[dim]Rows of every table: lakehouse run --totals, lakehouse tables[/]")


def _show_totals(summary: Summary) -> None:
    _show_tables(summary.tables)
    _show_quarantine(summary.status)
    _show_published(summary.status)
    if summary.stages:
        rows = [
            (_STAGE_NAMES.get(name, name), seconds)
            for name, seconds in summary.stages.items()
            if name != "total"
        ]
        console.print(table("Seconds per stage", ("stage", "seconds"), rows))


def _show_added(summary: Summary) -> None:
    """What people count: how many more than before, and how many there are."""
    rows = [
        (what, summary.added[what], summary.tables[name])
        for what, name in _COUNTED.items()
        if name in summary.tables
    ]
    if rows:
        console.print(table("What this run added", ("", "added", "now"), rows))


def _show_needs_a_person(summary: Summary) -> None:
    """What this run could not take, and files that somebody has to name. Who is held comes apart."""
    for line in summary.status.submissions:
        if line.submission_id in summary.landed and line.quarantined:
            console.print(
                f"[yellow]Quarantine[/]: {line.quarantined:,} of {line.arrived:,} records of "
                f"{escape(line.drop)}. Why, and what to do:"
            )
            console.print(f"   lakehouse quarantine {line.submission_id}", soft_wrap=True)
    reviewed = {item.submission_id for item in summary.status.needs_review}
    if reviewed:
        console.print(
            f"[yellow]Review[/]: {len(summary.status.needs_review)} file(s) of {len(reviewed)} "
            "submission(s) whose type a person has to name: lakehouse status"
        )


def show_comparison(found: Comparison, *, build_id: str | None, rolled_back: bool) -> None:
    """Which submissions the marts that readers see lack, or hold though they left."""
    forward = "`lakehouse publish`" if rolled_back else "`lakehouse run`"
    for names, words, next_step in (
        (found.missing, "are not in the marts that readers see", forward),
        (found.gone, "left the lake and are in the marts that readers see", forward),
        (found.misstated, "have a state that says otherwise", "`lakehouse publish`"),
    ):
        if names:
            listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            console.print(f"   [red]{len(names)} submission(s)[/] {words}: {next_step} ({listed})")
    if rolled_back:
        console.print(_ROLLED_BACK)
    if found.agrees:
        console.print(f"Readers see every submission that belongs there (build {build_id}).")


def show_status(report: StatusReport) -> None:
    """``lakehouse status``."""
    by_state = ", ".join(f"{count} {state}" for state, count in report.submissions_by_state.items())
    console.print(f"[bold]Submissions[/]: {by_state or 'none yet'}")
    if report.submissions:
        console.print(_submissions(report.submissions))
    for group in report.open_groups:
        console.print(
            f"   still arriving: {escape(group.group_key)} ({group.file_count} files) – {group.note}"
        )
    if report.duplicates:
        console.print(f"   {report.duplicates} drop(s) repeat content that is already registered")
    for item in report.needs_review:
        from lakehouse.privacy import ref

        console.print(
            f"   [yellow]needs review[/]: {item.submission_id} {ref(item.path)} – "
            f"{escape(item.note or '')}"
        )
    if report.waiting_for_silver:
        console.print(
            f"   {report.waiting_for_silver} submission(s) wait for a build: `lakehouse run`"
        )
    _show_quarantine(report)
    _show_checks_line(report)
    _show_published(report)
    show_held(report.held)
    console.print(
        table(
            "Freshness",
            ("stage", "newest", "hours ago"),
            [
                (s.stage, s.newest_at, None if s.age_seconds is None else s.age_seconds / 3600)
                for s in report.freshness
            ],
        )
    )


def _submissions(lines: Sequence[SubmissionLine]) -> RenderableType:
    columns = {
        "submission": "submission_id",
        "drop": "drop",
        "from": "submitter",
        "type": "file_type",
        "state": "state",
        "files": "file_count",
        "arrived": "arrived",
        "accepted": "accepted",
        "quarantined": "quarantined",
    }
    if console.width < _WIDE:
        for name in ("from", "type", "files", "arrived", "accepted"):
            del columns[name]
    rows = [[getattr(line, name) for name in columns.values()] for line in lines]
    return table(None, list(columns), rows)


def show_checks(checks: Sequence[CheckLine], *, every: bool = False) -> None:
    """Rules that failed with their numbers, or every rule; and how many of each table passed.

    Layers that have not been built are named in one line.
    """
    from quality.suites import LAYERS

    for check in checks:
        if every or not check.passed:
            _show_check(check)
    counted = Counter((f"{check.layer}.{check.table_name}", check.passed) for check in checks)
    tables = sorted({name for name, _ in counted})
    rows = [(name, counted[name, True], counted[name, False]) for name in tables]
    console.print(table("Rules", ("table", "passed", "failed"), rows))
    built = {check.layer for check in checks}
    absent = [layer for layer in LAYERS if layer not in built]
    if absent:
        console.print(f"Not built yet, so not checked: {', '.join(absent)}.")


def show_held(lines: Sequence[HeldLine], *, in_full: bool = False) -> None:
    """Who is held, by which rules with their numbers, and what to do; ``in_full`` with what the
    rules expect."""
    for submission_id, of_one in groupby(lines, key=attrgetter("submission_id")):
        broken = list(of_one)
        sender = f"{broken[0].submitter} · {broken[0].file_type}"
        console.print(
            f"[bold red]Held[/]: [bold]{submission_id}[/] ({escape(sender)}); all else goes on."
        )
        for line in broken:
            message = line.message if in_full else _in_brief(line.message, line.expected)
            rule = f"{line.layer}.{line.table_name} {line.rule}: {message}"
            console.print(Padding(escape(rule), (0, 0, 0, 3)))
        console.print(
            Padding(
                "→ Correct the drop and send it again, or take it in nevertheless, or withdraw it:\n"
                f"  lakehouse release {submission_id} --reason …\n"
                f"  lakehouse withdraw {submission_id} --reason …",
                (0, 0, 0, 3),
                style="dim",
            )
        )


def _show_check(check: CheckLine) -> None:
    mark = "[green]✓[/]" if check.passed else "[red]✗[/]"
    severity = "" if check.passed else f" ({check.severity})"
    console.print(f" {mark} [bold]{check.layer}.{check.table_name}[/] {check.rule}{severity}")
    text = f"{check.expected} ({_numbers(check.observed)})" if check.passed else check.message or ""
    console.print(Padding(escape(text), (0, 0, 0, 5), style="dim"))


def _in_brief(message: str, expected: str | None) -> str:
    """A rule's message without the SQL that it expects; `lakehouse check` shows that."""
    return message.replace(f"; expected: {expected}", "") if expected else message


def _numbers(observed: Any) -> str:
    if not observed:
        return ""
    return ", ".join(f"{name} {value}" for name, value in observed.items())


def _show_tables(tables: dict[str, int]) -> None:
    layers = [layer for layer in lake.LAYERS if any(t.startswith(f"{layer}.") for t in tables)]
    for layer in layers:
        rows = [
            (name.partition(".")[2], count)
            for name, count in tables.items()
            if name.startswith(f"{layer}.")
        ]
        console.print(table(f"{layer.capitalize()}", ("table", "rows"), rows))


def _show_checks_line(report: StatusReport) -> None:
    failed = report.checks_failed
    colour = "green" if not failed else "yellow"
    console.print(
        f"[bold]Checks[/]: {report.checks_passed} passed, [{colour}]{failed} failed[/]"
        + (" (lakehouse check shows the rules)" if failed else "")
    )
    for check in report.failed_checks:
        message = _in_brief(check.message or check.expected or "", check.expected)
        line = (
            f"[{'red' if check.severity == 'error' else 'yellow'}]{check.severity}[/] "
            f"{check.layer}.{check.table_name} {check.rule}: {escape(message)}"
        )
        console.print(Padding(line, (0, 0, 0, 3)))
    console.print(
        f"[bold]Records[/]: {report.arrived:,} arrived = {report.accepted:,} accepted + "
        f"{report.quarantined:,} quarantined"
    )


def _show_quarantine(report: StatusReport) -> None:
    if report.quarantine:
        console.print(
            table(
                "Quarantine (`lakehouse quarantine` shows each)",
                ("reason", "items", "records"),
                [(line.reason, line.items, line.records) for line in report.quarantine],
            )
        )


def _show_published(report: StatusReport) -> None:
    published = report.last_publish
    if published is None:
        console.print("[bold]Published[/]: nothing yet")
        return
    console.print(
        table(
            f"Published marts ({published.schema_name}, {published.published_at:%Y-%m-%d %H:%M:%S})",
            ("mart", "rows"),
            sorted(published.row_counts.items()),
        )
    )
