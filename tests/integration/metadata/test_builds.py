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


def test_publishing_a_build_publishes_what_it_and_earlier_ones_integrated(
    engine: Engine, submit: Submit
) -> None:
    first = submit("STAGED", "LANDED")
    one = start(engine).build_id
    builds.finish_build(engine, one, "succeeded", 1)
    second = submit("STAGED", "LANDED")
    two = start(engine).build_id
    builds.finish_build(engine, two, "succeeded", 2)
    third = submit("STAGED", "LANDED")
    three = start(engine).build_id
    builds.finish_build(engine, three, "succeeded", 3)

    assert builds.mark_published(engine, two) == [first, second]
    assert state_of(engine, third) == "INTEGRATED"
    assert builds.mark_published(engine, two) == []


def test_publishing_lags_until_the_last_build_is_published(engine: Engine, submit: Submit) -> None:
    assert not publishes.behind(engine)
    assert not work.pending(engine)
    submit("STAGED", "LANDED")
    assert work.pending(engine).pending
    build = start(engine)
    builds.finish_build(engine, build.build_id, "succeeded", 1)
    assert publishes.behind(engine)

    with Session(engine) as session, session.begin():
        session.execute(
            insert(models.Publish).values(
                n=1,
                schema_name="marts_1",
                build_id=build.build_id,
                state="current",
                row_counts={},
                published_at=text("now()"),
                actor="t",
            )
        )

    assert not publishes.behind(engine)
    assert not work.pending(engine)
