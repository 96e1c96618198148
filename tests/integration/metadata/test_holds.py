"""A submission whose rows break a rule is held alone: what it replaced counts again, and so on."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from lakehouse.errors import IntakeError
from lakehouse.metadata import audit, builds, models, submissions, work
from lakehouse.metadata.status import held, status
from lakehouse.metadata.submissions import Breach
from tests.integration.metadata.conftest import Submit, move, state_of
from tests.integration.metadata.test_builds import live, pending_view, start

BREACH = Breach(
    layer="silver",
    table="patient",
    rule="birth_date_plausible",
    column="birth_date",
    observed={"rows": 40, "checked": 40, "unexpected": 40, "share": 1.0},
    expected="birth_date is between 1880 and today",
    message="40 of 40 (100.00%) break the rule.",
)


def hold(engine: Engine, build: builds.Build, *submission_ids: str) -> list[str]:
    breaches = {submission_id: [BREACH] for submission_id in submission_ids}
    return builds.hold(engine, build.build_id, breaches, actor="test")


def finish(engine: Engine, build: builds.Build) -> builds.Finished:
    return builds.finish_build(engine, build.build_id, "succeeded", 1)


def release(engine: Engine, submission_id: str) -> list[str]:
    with Session(engine) as session, session.begin():
        return submissions.release(session, submission_id, actor="person:a", reason="known")


def actions(engine: Engine, submission_id: str) -> list[str]:
    with Session(engine) as session:
        history = audit.history(session, f"submission:{submission_id}")
        return [event.action.removeprefix("submission.") for event in history]


def test_a_held_submission_leaves_the_running_build_and_the_others_go_on(
    engine: Engine, submit: Submit
) -> None:
    good, bad, worse = (submit("STAGED", "LANDED") for _ in range(3))
    build = start(engine)
    assert builds.to_judge(engine, build.build_id) == [good, bad, worse]

    assert hold(engine, build, bad, worse) == [bad, worse]

    assert pending_view(engine) == {good: "added", bad: "removed", worse: "removed"}
    assert live(engine) == {good}
    done = finish(engine, build)
    assert (done.integrated, done.removed) == ([good], [bad, worse])
    assert [state_of(engine, one) for one in (good, bad, worse)] == ["INTEGRATED", "HELD", "HELD"]
    assert not work.pending(engine).pending, "what is held asks for no further build"
    found = status(engine)
    assert found.submissions_by_state == {"INTEGRATED": 1, "HELD": 2}
    assert [(one.submission_id, one.rule, one.observed["unexpected"]) for one in found.held] == [
        (bad, "birth_date_plausible", 40),
        (worse, "birth_date_plausible", 40),
    ]
    assert actions(engine, bad) == ["staged", "landed", "held"]


def test_a_crash_after_holding_leaves_the_same_to_do(engine: Engine, submit: Submit) -> None:
    good, bad = submit("STAGED", "LANDED"), submit("STAGED", "LANDED")
    hold(engine, start(engine), bad)

    again = start(engine)  # the first build died

    assert again.pending == {good: "added", bad: "removed"}
    assert live(engine) == {good}
    assert builds.to_judge(engine, again.build_id) == [good]
    finish(engine, again)
    assert builds.pending(engine) == {}


def test_what_a_held_submission_had_replaced_counts_again_in_the_same_build(
    engine: Engine, submit: Submit
) -> None:
    first = submit("STAGED", "LANDED")
    finish(engine, start(engine))
    second = submit("STAGED", "LANDED", supersedes=first)
    assert state_of(engine, first) == "SUPERSEDED"
    build = start(engine)
    assert build.pending == {first: "removed", second: "added"}

    hold(engine, build, second)

    assert pending_view(engine) == {first: "added", second: "removed"}
    assert builds.to_judge(engine, build.build_id) == [], "the first one was judged when it came"
    assert live(engine) == {first}
    assert finish(engine, build).integrated == [first]
    assert builds.pending(engine) == {}


def test_release_takes_it_in_and_replaces_again(engine: Engine, submit: Submit) -> None:
    first = submit("STAGED", "LANDED")
    finish(engine, start(engine))
    second = submit("STAGED", "LANDED", supersedes=first)
    build = start(engine)
    hold(engine, build, second)
    finish(engine, build)

    assert release(engine, second) == ["silver.patient birth_date_plausible"]

    assert (state_of(engine, first), state_of(engine, second)) == ("SUPERSEDED", "LANDED")
    assert submissions.released_rules(engine) == {
        ("silver", "patient", "birth_date_plausible"): [second]
    }
    build = start(engine)
    assert build.pending == {first: "removed", second: "added"}
    finish(engine, build)
    assert live(engine) == {second}
    assert held(engine) == []
    assert actions(engine, second)[-2:] == ["released", "integrated"]
    with Session(engine) as session:
        (event,) = (
            one
            for one in audit.history(session, f"submission:{second}")
            if one.action == "submission.released"
        )
    assert (event.actor, event.reason) == ("person:a", "known")
    with pytest.raises(IntakeError, match="not HELD"):
        release(engine, second)


def test_a_submission_that_is_landed_again_is_judged_anew(engine: Engine, submit: Submit) -> None:
    bad = submit("STAGED", "LANDED")
    build = start(engine)
    hold(engine, build, bad)
    finish(engine, build)
    release(engine, bad)
    finish(engine, start(engine))

    move(engine, bad, "LANDED")

    assert submissions.released_rules(engine) == {}
    assert builds.to_judge(engine, start(engine).build_id) == [bad]


def test_a_correction_ends_the_hold_and_its_withdrawal_brings_it_back(
    engine: Engine, submit: Submit
) -> None:
    first = submit("STAGED", "LANDED")
    finish(engine, start(engine))
    bad = submit("STAGED", "LANDED", supersedes=first)
    build = start(engine)
    hold(engine, build, bad)
    finish(engine, build)

    corrected = submit("STAGED", "LANDED", supersedes=bad)

    assert [state_of(engine, one) for one in (first, bad)] == ["SUPERSEDED", "SUPERSEDED"]
    assert held(engine) == []
    build = start(engine)
    assert builds.to_judge(engine, build.build_id) == [corrected]
    finish(engine, build)
    assert live(engine) == {corrected}

    with Session(engine) as session, session.begin():
        submissions.transition(session, corrected, "WITHDRAWN", actor="a", reason="r")
        submissions.restore_replaced(session, corrected, actor="a", reason="r")

    assert [state_of(engine, one) for one in (first, bad)] == ["LANDED", "HELD"]
    assert [one.submission_id for one in held(engine)] == [bad]
    build = start(engine)
    assert build.pending == {first: "added", corrected: "removed"}
    assert builds.to_judge(engine, build.build_id) == [], "each was judged as it was landed"


def test_withdrawing_what_is_held_needs_no_build(engine: Engine, submit: Submit) -> None:
    bad = submit("STAGED", "LANDED")
    build = start(engine)
    hold(engine, build, bad)
    finish(engine, build)

    move(engine, bad, "WITHDRAWN")

    assert builds.pending(engine) == {}
    assert held(engine) == []


def test_what_was_withdrawn_while_it_was_judged_only_leaves_the_build(
    engine: Engine, submit: Submit
) -> None:
    going = submit("STAGED", "LANDED")
    build = start(engine)
    move(engine, going, "WITHDRAWN")

    assert hold(engine, build, going) == []

    assert state_of(engine, going) == "WITHDRAWN"
    assert live(engine) == set()
    finish(engine, build)
    assert builds.pending(engine) == {going: "removed"}


def test_a_landing_during_the_build_stays_queued(engine: Engine, submit: Submit) -> None:
    bad = submit("STAGED", "LANDED")
    build = start(engine)
    beside = submit("STAGED", "LANDED")

    hold(engine, build, bad)
    finish(engine, build)

    assert builds.pending(engine) == {beside: "added"}
    with Session(engine) as session:
        queued = session.scalars(select(models.IntegrationQueue.submission_id)).all()
    assert queued == [beside]


def test_only_the_newest_evaluation_of_a_layer_says_what_fails_now(engine: Engine) -> None:
    with engine.begin() as connection:
        for rule, passed, when in (
            ("deleted", False, "2026-01-01"),
            ("corrected", False, "2026-01-01"),
            ("corrected", True, "2026-01-02"),
            ("broken", False, "2026-01-02"),
        ):
            connection.execute(
                text(
                    "insert into check_result (layer, table_name, rule, severity, passed, checked_at)"
                    " values ('silver', 'patient', :rule, 'error', :passed, :at)"
                ),
                {"rule": rule, "passed": passed, "at": when},
            )
        failing = connection.scalars(text("select rule from ops.failing_check")).all()

    assert failing == ["broken"]
