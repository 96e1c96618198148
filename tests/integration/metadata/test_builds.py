"""Builds consume exactly what they took, whatever happens beside them."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, insert, text
from sqlalchemy.orm import Session

from lakehouse.errors import BuildError
from lakehouse.metadata import builds, models, publishes, work
from tests.integration.metadata.conftest import Submit, move, state_of


def start(engine: Engine) -> builds.Build:
    return builds.start_build(engine, full_refresh=False, run_id="r", actor="test")


def live(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(text("select submission_id from live_submission")))


def pending_view(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        rows = connection.execute(text("select submission_id, change from pending_submission"))
        return {row[0]: row[1] for row in rows}


def test_a_build_takes_what_is_queued_and_integrates_it(engine: Engine, submit: Submit) -> None:
    submission_id = submit("STAGED", "LANDED")

    build = start(engine)
    assert build.pending == pending_view(engine) == {submission_id: "added"}
    assert live(engine) == {submission_id}
    done = builds.finish_build(engine, build.build_id, "succeeded", 7)

    assert done.integrated == [submission_id]
    assert state_of(engine, submission_id) == "INTEGRATED"
    assert live(engine) == {submission_id}
    assert pending_view(engine) == builds.pending(engine) == {}


def test_what_is_only_landed_is_not_live(engine: Engine, submit: Submit) -> None:
    submit("STAGED", "LANDED")

    assert live(engine) == set()


def test_a_failed_build_consumes_nothing(engine: Engine, submit: Submit) -> None:
    submission_id = submit("STAGED", "LANDED")

    build = start(engine)
    builds.finish_build(engine, build.build_id, "failed", None, note="dbt: 1 error")

    assert state_of(engine, submission_id) == "LANDED"
    assert live(engine) == set()
    assert start(engine).pending == {submission_id: "added"}


def test_what_lands_while_a_build_runs_is_for_the_next(engine: Engine, submit: Submit) -> None:
    first = submit("STAGED", "LANDED")
    build = start(engine)
    second = submit("STAGED", "LANDED")
    assert live(engine) == {first}

    builds.finish_build(engine, build.build_id, "succeeded", 1)

    assert state_of(engine, second) == "LANDED"
    assert builds.pending(engine) == {second: "added"}


def test_what_is_withdrawn_while_a_build_runs_stays_live_until_the_next(
    engine: Engine, submit: Submit
) -> None:
    kept = submit("STAGED", "LANDED")
    going = submit("STAGED", "LANDED")
    build = start(engine)
    move(engine, going, "WITHDRAWN")
    assert live(engine) == {kept, going}

    builds.finish_build(engine, build.build_id, "succeeded", 1)
    assert state_of(engine, going) == "WITHDRAWN"

    following = start(engine)
    assert following.pending == {going: "removed"}
    assert live(engine) == {kept}
    assert builds.finish_build(engine, following.build_id, "succeeded", 2).removed == [going]
    assert live(engine) == {kept}


def test_a_successor_and_what_it_replaces_change_in_one_build(
    engine: Engine, submit: Submit
) -> None:
    first = submit("STAGED", "LANDED")
    builds.finish_build(engine, start(engine).build_id, "succeeded", 1)
    second = submit("STAGED", "LANDED", supersedes=first)
    assert live(engine) == {first}

    build = start(engine)
    assert build.pending == {first: "removed", second: "added"}
    assert live(engine) == {second}
    builds.finish_build(engine, build.build_id, "succeeded", 2)
    assert live(engine) == {second}


def test_what_came_and_went_between_builds_counts_as_removed(
    engine: Engine, submit: Submit
) -> None:
    submission_id = submit("STAGED", "LANDED", "WITHDRAWN")

    assert start(engine).pending == {submission_id: "removed"}
    assert live(engine) == set()


def test_a_submission_that_is_landed_again_stays_live(engine: Engine, submit: Submit) -> None:
    submission_id = submit("STAGED", "LANDED")
    builds.finish_build(engine, start(engine).build_id, "succeeded", 1)
    move(engine, submission_id, "LANDED")
    assert live(engine) == {submission_id}

    builds.finish_build(engine, start(engine).build_id, "succeeded", 2)

    assert state_of(engine, submission_id) == "INTEGRATED"


def test_a_build_whose_process_died_gives_way(engine: Engine, submit: Submit) -> None:
    submission_id = submit("STAGED", "LANDED")
    dead = start(engine)

    alive = start(engine)

    assert alive.abandoned == dead.build_id
    assert alive.pending == {submission_id: "added"}
    with pytest.raises(BuildError, match=dead.build_id):
        builds.finish_build(engine, dead.build_id, "succeeded", 1)
    assert builds.finish_build(engine, alive.build_id, "succeeded", 2).integrated


def test_an_empty_build_says_so(engine: Engine) -> None:
    assert start(engine).nothing_to_do
    assert not builds.start_build(engine, full_refresh=True, run_id=None, actor="t").nothing_to_do


def shown(engine: Engine, build_id: str) -> publishes.Shown:
    with Session(engine) as session, session.begin():
        return publishes.mark_shown(session, build_id, actor="test", reason="a test")


def publish(engine: Engine, n: int, build_id: str, snapshot: int, state: str = "current") -> None:
    with Session(engine) as session, session.begin():
        session.execute(
            insert(models.Publish).values(
                n=n,
                schema_name=f"marts_{n}",
                build_id=build_id,
                snapshot_id=snapshot,
                state=state,
                row_counts={},
                published_at=text("now()"),
                actor="t",
            )
        )


def integrate(engine: Engine) -> str:
    build_id = start(engine).build_id
    builds.finish_build(engine, build_id, "succeeded", 1)
    return build_id


def test_what_the_marts_of_a_build_hold_is_published_and_nothing_else(
    engine: Engine, submit: Submit
) -> None:
    first = submit("STAGED", "LANDED")
    one = integrate(engine)
    second = submit("STAGED", "LANDED")
    two = integrate(engine)
    third = submit("STAGED", "LANDED")
    integrate(engine)

    assert shown(engine, two) == publishes.Shown([first, second], [])
    assert state_of(engine, third) == "INTEGRATED"
    assert shown(engine, two) == publishes.Shown([], [])

    assert shown(engine, one) == publishes.Shown([], [second])
    assert (state_of(engine, first), state_of(engine, second)) == ("PUBLISHED", "INTEGRATED")


def test_what_was_landed_again_is_published_only_with_the_build_that_took_it_in_again(
    engine: Engine, submit: Submit
) -> None:
    again = submit("STAGED", "LANDED")
    one = integrate(engine)
    shown(engine, one)
    move(engine, again, "LANDED")
    two = integrate(engine)

    assert shown(engine, one) == publishes.Shown([], [])
    assert publishes.compare(engine, one).missing == [again]
    assert shown(engine, two) == publishes.Shown([again], [])
    assert publishes.compare(engine, two).agrees


def test_what_readers_see_is_compared_with_what_belongs_there(
    engine: Engine, submit: Submit
) -> None:
    kept = submit("STAGED", "LANDED")
    going = submit("STAGED", "LANDED")
    one = integrate(engine)
    shown(engine, one)
    assert publishes.compare(engine, one).agrees

    move(engine, going, "WITHDRAWN")
    arrived = submit("STAGED", "LANDED")
    found = publishes.compare(engine, one)
    assert (found.missing, found.gone, found.misstated) == ([arrived], [going], [])

    two = integrate(engine)
    found = publishes.compare(engine, one)
    assert (found.missing, found.gone, found.misstated) == ([arrived], [going], [])
    found = publishes.compare(engine, two)
    assert (found.missing, found.gone, found.misstated) == ([], [], [arrived])
    shown(engine, two)
    assert publishes.compare(engine, two).agrees
    assert publishes.compare(engine, None).missing == sorted([kept, arrived])
    assert publishes.compare(engine, None).misstated == sorted([kept, arrived])


def test_work_waits_until_gold_holds_the_build_and_readers_see_that_gold(
    engine: Engine, submit: Submit
) -> None:
    assert not work.pending(engine)
    submit("STAGED", "LANDED")
    assert work.pending(engine).build

    build_id = start(engine).build_id
    assert work.pending(engine).build_unfinished  # its process may have died
    builds.finish_build(engine, build_id, "succeeded", 1)
    waiting = work.pending(engine)
    assert not waiting.pending
    assert waiting.build_unfinished
    assert waiting.build

    builds.record_gold(engine, build_id, 7, actor="t")
    waiting = work.pending(engine)
    assert (waiting.build, waiting.publish) == (False, True)

    publish(engine, 1, build_id, 6)
    assert publishes.behind(engine)  # Gold was made anew from the same build
    publish(engine, 2, build_id, 7, state="switching")
    assert publishes.behind(engine)
    assert work.pending(engine).readers_unsure
    with engine.begin() as connection:
        connection.execute(text("update publish set state = 'previous' where n = 1"))
        connection.execute(text("update publish set state = 'current' where n = 2"))
    assert work.pending(engine).readers_unsure  # readers see it, and its state says they do not
    shown(engine, build_id)
    assert not work.pending(engine)


def test_a_rollback_is_on_purpose_and_makes_no_work(engine: Engine, submit: Submit) -> None:
    submit("STAGED", "LANDED")
    build_id = integrate(engine)
    builds.record_gold(engine, build_id, 7, actor="t")
    publish(engine, 1, build_id, 5, state="current")
    publish(engine, 2, build_id, 7, state="previous")
    shown(engine, build_id)

    assert publishes.rolled_back(engine)
    assert not work.pending(engine)


def test_a_build_that_failed_is_work_also_where_nothing_is_queued(engine: Engine) -> None:
    build = builds.start_build(engine, full_refresh=True, run_id=None, actor="t")
    builds.finish_build(engine, build.build_id, "failed", None)
    assert work.pending(engine).build
    with pytest.raises(BuildError, match=build.build_id):
        builds.whole_silver(engine)


def test_what_checks_keep_from_being_published_is_built_and_checked_again(
    engine: Engine, submit: Submit
) -> None:
    submit("STAGED", "LANDED")
    build_id = integrate(engine)
    builds.record_gold(engine, build_id, 7, actor="t")
    with Session(engine) as session, session.begin():
        session.execute(
            insert(models.CheckResult).values(
                build_id=build_id,
                layer="gold",
                table_name="encounter_summary",
                rule="a_rule",
                severity="error",
                passed=False,
            )
        )
    assert work.pending(engine).build
