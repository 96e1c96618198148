"""`lakehouse drop`: what is asked before something changes, and what is said of what was put."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from cli.console import console, print_json

if TYPE_CHECKING:
    from ingestion.intake.drop import Change, DropReport, Plan
    from installation.platform import Platform


@dataclass(frozen=True)
class Wishes:
    """What was typed. ``change`` is what shall become of a drop that holds something else."""

    submitter: str
    file_type: str
    name: str | None
    change: Change | None
    close: bool
    actor: str


def drop(
    platform: Platform, paths: Sequence[Path], wishes: Wishes, *, as_json: bool = False
) -> None:
    """Look at all paths, ask what has to be asked, then put them.

    Raises :class:`ingestion.intake.drop.DropQuestion` where a question is open and nobody is there
    to answer it.
    """
    from ingestion.intake.drop import plan

    plans = plan(
        platform.store,
        platform.engine,
        platform.settings,
        paths,
        submitter=wishes.submitter,
        file_type=wishes.file_type,
        name=wishes.name,
    )
    answered = [_answered(platform, one, wishes, may_ask=not as_json) for one in plans]
    done = [(one, change, _put(platform, one, change, wishes)) for one, change in answered]
    if as_json:
        print_json([_as_json(*one) for one in done])
        return
    for one, _, report in done:
        _tell(one, report)
    if any(report.written or report.removed for _, _, report in done):
        console.print("Next: [bold]lakehouse run[/] (or wait for the sensor of `make up`).")


def _put(platform: Platform, plan: Plan, change: Change | None, wishes: Wishes) -> DropReport:
    from ingestion.intake.drop import put

    return put(
        platform.store,
        platform.engine,
        platform.settings,
        plan,
        close=wishes.close,
        actor=wishes.actor,
        change=change,
    )


# Questions ------------------------------------------------------------------------------------


def _answered(
    platform: Platform, plan: Plan, wishes: Wishes, *, may_ask: bool
) -> tuple[Plan, Change | None]:
    """The plan that was chosen and what becomes of what is there."""
    from ingestion.intake.drop import DropQuestion, free_name

    if plan.is_withdrawn:
        question = _withdrawn(plan)
    elif plan.kind == "changed" and wishes.change is None:
        question = _differs(plan)
    else:
        return plan, wishes.change if plan.kind == "changed" else None
    name = free_name(platform.engine, platform.store, plan)
    ways = {"as": f"--as {_quoted(name)} takes it as a drop of its own"}
    if not plan.is_withdrawn:
        ways["supersede"] = f"--supersede replaces all of it{_what_leaves(plan)}"
        ways["amend"] = (
            f"--amend adds {plan.new} and replaces {plan.replaced} file(s), keeps the rest"
        )
    if not (may_ask and sys.stdin.isatty() and sys.stdout.isatty()):
        raise DropQuestion(question, hint="Choose: " + "; ".join(ways.values()) + ".")
    console.print(escape(question))
    for way in ways.values():
        console.print(f"   {escape(way)}")
    answer = typer.prompt("as, supersede, amend or nothing", default="nothing", show_default=False)
    if answer == "as":
        from ingestion.intake.drop import plan as plan_again

        (other,) = plan_again(
            platform.store,
            platform.engine,
            platform.settings,
            [one.source for one in plan.given],
            submitter=wishes.submitter,
            file_type=wishes.file_type,
            name=name,
        )
        return other, None
    if answer in ways:
        return plan, "supersede" if answer == "supersede" else "amend"
    raise typer.Exit(0)


def _withdrawn(plan: Plan) -> str:
    assert plan.submission is not None  # noqa: S101 - only what was taken can be withdrawn
    why = f" ({plan.submission.state_reason})" if plan.submission.state_reason else ""
    return (
        f"The drop {plan.name} was withdrawn as submission {plan.submission.submission_id}{why}: "
        "it is not taken in again under this name."
    )


def _differs(plan: Plan) -> str:
    state = f", submission {plan.submission.submission_id}" if plan.submission else ""
    there = plan.unchanged + plan.replaced + len(plan.leaving)
    return (
        f"The drop {plan.name} holds something else already ({there} file(s){state}): of these, "
        f"{plan.unchanged} are the same here, {plan.replaced} differ, {len(plan.leaving)} are not "
        f"here; {plan.new} are new."
    )


def _what_leaves(plan: Plan) -> str:
    words = [f"{len(plan.leaving)} file(s) leave"] if plan.leaving else []
    if plan.submission and plan.submission.records:
        words.append(f"the {plan.submission.records:,} records of the submission go")
    return f" ({', '.join(words)})" if words else ""


# Answers --------------------------------------------------------------------------------------


def _tell(plan: Plan, report: DropReport) -> None:
    """One drop's lines."""
    what = f"[bold]{escape(plan.name)}[/]"
    if plan.taken is not None:
        console.print(
            f"{what}: called so because {escape(plan.taken)} is a drop from another path."
        )
    if plan.kind == "same" and not report.written:
        console.print(f"{what}: the same content is there already{_where(plan)}. Nothing to do.")
    else:
        console.print(
            f"{what}: {report.written} file(s) put into {escape(report.prefix)}, "
            f"{report.unchanged} already there ({report.bytes / 1e6:,.1f} MB).",
            soft_wrap=True,
        )
    if report.removed or (plan.kind == "changed" and plan.submission):
        leaving = f"{report.removed} file(s) leave it" if report.removed else "no file leaves it"
        console.print(f"   {plan.replaced} file(s) replaced, {plan.new} new, {leaving}.")
        if plan.submission is not None:
            console.print(
                f"   It supersedes submission {plan.submission.submission_id}: with the next run its "
                f"{plan.submission.records:,} records leave, and those of the new content come."
            )
    if plan.repeats is not None and report.written:
        console.print(
            f"   [yellow]The same content[/] as the drop {escape(plan.repeats.drop)} (submission "
            f"{plan.repeats.submission_id}, {plan.repeats.state}): it will not be taken in again."
        )
    for number, words in _passed_by(plan).items():
        console.print(f"   [yellow]{words}[/] {escape(number)} passed by: not followed, not taken.")
    odd = sum(one.odd_names for one in plan.given)
    if odd:
        console.print(
            f"   {odd} file name(s) are not UTF-8: their bytes stand for themselves in the inbox."
        )


def _passed_by(plan: Plan) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in plan.given:
        total.update(one.passed_by)
    return +total


def _where(plan: Plan) -> str:
    if plan.submission is None:
        return ", waiting for `lakehouse run`"
    return f" as submission {plan.submission.submission_id} ({plan.submission.state})"


def _as_json(plan: Plan, change: Change | None, report: DropReport) -> dict[str, object]:
    return {
        "drop": plan.name,
        "prefix": report.prefix,
        "kind": plan.kind,
        "change": change,
        "written": report.written,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "bytes": report.bytes,
        "submission": plan.submission,
        "same_content_as": plan.repeats,
        "passed_by": dict(_passed_by(plan)),
    }


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)
