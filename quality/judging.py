"""Judging each submission by the errors of Bronze and Silver, on its own rows.

The one that breaks a rule is held (:func:`lakehouse.metadata.builds.hold`). A share is judged from
``minimum_rows`` rows; where many submissions of a few rows break it together, those of them that are
new are told as well. A rule from which a person released a submission does not judge it again, and
its rows do not count where the whole table is judged; nor do those of a submitter with limits of its
own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
from sqlalchemy import Engine, or_, select
from sqlalchemy.orm import Session

from lakehouse.metadata import models
from lakehouse.metadata.submissions import Breach, released_rules
from lakehouse.settings import Settings
from quality import own_rules
from quality.measure import measure, measure_submissions
from quality.own_rules import OwnRules
from quality.results import Facts, counted_in_words, observed_of, severity_of
from quality.suites import Layer, Rule, Suite

#: Layers whose rows name their submission.
LAYERS: tuple[Layer, ...] = ("bronze", "silver")


@dataclass(frozen=True)
class _Judged:
    """One error rule and what was counted for it on the rows of one submission."""

    submission_id: str
    suite: Suite
    rule: Rule
    facts: Facts

    @property
    def is_broken(self) -> bool:
        return self.facts.value > self.rule.allowed_share

    @property
    def is_small(self) -> bool:
        return severity_of(self.rule, self.facts) == "warning"


def judge_submissions(
    submission_ids: Collection[str],
    *,
    settings: Settings,
    con: duckdb.DuckDBPyConnection,
    engine: Engine,
) -> dict[str, list[Breach]]:
    """The error rules that the rows of each of these submissions break; nothing of those that pass.

    Raises :class:`QualityError` where the installation's own rules cannot be used.
    """
    if not submission_ids:
        return {}
    own = own_rules.read(settings.quality_rules)
    profiles = _profiles(engine, submission_ids)
    released = released_rules(engine)
    breaches: dict[str, list[Breach]] = defaultdict(list)
    for layer in LAYERS:
        for suite in own.suites(layer):
            broken = [
                judged
                for judged in _judged(suite, profiles, own, con, engine)
                if judged.is_broken
                and judged.submission_id
                not in released.get((layer, suite.table, judged.rule.name), ())
            ]
            together = _broken_together(suite, broken, own, con, engine)
            for judged in broken:
                whole = together.get(judged.rule.name)
                if not judged.is_small:
                    breaches[judged.submission_id].append(_breach(judged))
                elif whole is not None:
                    breaches[judged.submission_id].append(_breach(judged, whole))
    return dict(breaches)


def set_apart(
    engine: Engine, own: OwnRules, suites: Sequence[Suite]
) -> dict[str, dict[str, list[str]]]:
    """By table and rule, the submissions whose rows do not count where the whole table is judged.

    Those that were released from the rule; those that were judged by limits of their own; in Bronze,
    those that are not part of Silver: their rows stay there after a withdrawal or while they are held.
    """
    released = released_rules(engine)
    absent = _not_in_silver(engine)
    profiles = _profiles(engine, None) if any(not one.is_for_all for one in own.entries) else {}
    apart: dict[str, dict[str, list[str]]] = {}
    for suite in suites:
        if suite.layer not in LAYERS:
            continue
        names = {
            rule.name: set(released.get((suite.layer, suite.table, rule.name), ()))
            | (absent if suite.layer == "bronze" else set())
            for rule in suite.rules
            if rule.by_submission
        }
        for (submitter, types), submissions in _alike(profiles).items():
            theirs = {rule.name: rule for rule in own.suite_of(suite, submitter, types).rules}
            for rule in suite.rules:
                if rule.name in names and theirs.get(rule.name) != rule:
                    names[rule.name].update(submissions)
        apart[suite.name] = {name: sorted(found) for name, found in names.items() if found}
    return apart


def _judged(
    suite: Suite,
    profiles: Mapping[str, tuple[str, frozenset[str]]],
    own: OwnRules,
    con: duckdb.DuckDBPyConnection,
    engine: Engine,
) -> Iterable[_Judged]:
    """Every error rule of a table on every submission that has rows in it."""
    for (submitter, types), submissions in _alike(profiles).items():
        theirs = own.suite_of(suite, submitter, types)
        errors = tuple(
            rule for rule in theirs.rules if rule.severity == "error" and rule.by_submission
        )
        if not errors:
            continue
        counted = measure_submissions(
            replace(suite, rules=errors), submissions, con=con, engine=engine
        )
        for submission_id, facts in sorted(counted.items()):
            for rule in errors:
                if rule.name in facts:
                    yield _Judged(submission_id, suite, rule, facts[rule.name])


def _broken_together(
    suite: Suite,
    broken: Sequence[_Judged],
    own: OwnRules,
    con: duckdb.DuckDBPyConnection,
    engine: Engine,
) -> dict[str, Facts]:
    """Rules that submissions of a few rows break, and the whole table with them."""
    few = {judged.rule.name for judged in broken if judged.is_small}
    if not few:
        return {}
    rules = tuple(rule for rule in suite.rules if rule.name in few)
    asked = replace(suite, rules=rules)
    apart = set_apart(engine, own, [asked]).get(suite.name)
    counted = measure(asked, con=con, engine=engine, apart=apart)
    return {
        rule.name: counted[rule.name]
        for rule in rules
        if counted[rule.name].value > rule.allowed_share
        and severity_of(rule, counted[rule.name]) == "error"
    }


def _breach(judged: _Judged, whole: Facts | None = None) -> Breach:
    rule, facts = judged.rule, judged.facts
    message = f"{counted_in_words(rule, facts)}; expected: {rule.requirement}."
    if whole is not None:
        message = (
            f"{counted_in_words(rule, facts)}, and with it {whole.unexpected:,.0f} of "
            f"{whole.total:,.0f} ({whole.share:.2%}) of the table; expected: {rule.requirement}."
        )
    return Breach(
        layer=judged.suite.layer,
        table=judged.suite.table,
        rule=rule.name,
        column=rule.column or (", ".join(rule.columns) or None),
        observed=observed_of(rule, facts),
        expected=rule.requirement,
        message=f"{message} {rule.advice}" if rule.advice else message,
    )


def _alike(
    profiles: Mapping[str, tuple[str, frozenset[str]]],
) -> dict[tuple[str, frozenset[str]], list[str]]:
    """Submissions by submitter and file types: those have the same rules."""
    found: dict[tuple[str, frozenset[str]], list[str]] = defaultdict(list)
    for submission_id, profile in sorted(profiles.items()):
        found[profile].append(submission_id)
    return found


def _profiles(
    engine: Engine, submission_ids: Collection[str] | None
) -> dict[str, tuple[str, frozenset[str]]]:
    """Submitter and file types of these (or all) submissions: as the drop names it, and its files'."""
    submission, file = models.Submission, models.SubmissionFile
    query = select(
        submission.submission_id, submission.submitter, submission.file_type, file.file_type
    ).outerjoin(file, file.submission_id == submission.submission_id)
    if submission_ids is not None:
        query = query.where(submission.submission_id.in_(submission_ids))
    submitters: dict[str, str] = {}
    types: dict[str, set[str]] = defaultdict(set)
    with Session(engine) as session:
        for submission_id, submitter, named, of_file in session.execute(query.distinct()):
            submitters[submission_id] = submitter
            types[submission_id] |= {named, of_file} - {None}
    return {name: (submitters[name], frozenset(types[name])) for name in submitters}


def _not_in_silver(engine: Engine) -> set[str]:
    """Submissions that have been in the lake and are no part of it now."""
    submission = models.Submission
    with Session(engine) as session:
        return set(
            session.scalars(
                select(submission.submission_id).where(
                    ~submission.in_silver,
                    or_(submission.landed_at.is_not(None), submission.judged_at.is_not(None)),
                )
            )
        )
