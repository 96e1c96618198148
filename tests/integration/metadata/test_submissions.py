"""States of submissions: what may follow what, and what comes with it in one transaction."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from lakehouse.errors import IntakeError
from lakehouse.metadata import audit, models, submissions
from tests.integration.metadata.conftest import Submit, move, state_of


def queue(engine: Engine) -> list[tuple[str, str]]:
    with Session(engine) as session:
        rows = session.execute(
            select(models.IntegrationQueue.submission_id, models.IntegrationQueue.change).order_by(
                models.IntegrationQueue.id
            )
        )
        return [(row[0], row[1]) for row in rows]


def events(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(models.AuditEvent)) or 0


def test_every_move_is_one_audit_event(engine: Engine, submit: Submit) -> None:
    submission_id = submit("STAGED", "LANDED", "INTEGRATED", "PUBLISHED")

    with Session(engine) as session:
        history = audit.history(session, f"submission:{submission_id}")
    assert [(event.before, event.after) for event in history] == [
        ({"state": "RECEIVED"}, {"state": "STAGED"}),
        ({"state": "STAGED"}, {"state": "LANDED"}),
        ({"state": "LANDED"}, {"state": "INTEGRATED"}),
        ({"state": "INTEGRATED"}, {"state": "PUBLISHED"}),
    ]


def test_each_state_has_its_time(engine: Engine, submit: Submit) -> None:
    submission_id = submit("STAGED", "LANDED")

    with Session(engine) as session:
        submission = submissions.get(session, submission_id)
        assert submission.staged_at is not None
        assert submission.landed_at is not None
        assert submission.staged_at <= submission.landed_at
        assert submission.integrated_at is None


@pytest.mark.parametrize(
    ("states", "to"),
    [
        ((), "LANDED"),
        ((), "INTEGRATED"),
        (("STAGED",), "PUBLISHED"),
        (("STAGED",), "RECEIVED"),
        (("STAGED", "LANDED"), "PUBLISHED"),
        (("STAGED", "LANDED", "SUPERSEDED"), "LANDED"),
        (("WITHDRAWN",), "STAGED"),
        (("STAGED",), "ELSEWHERE"),
    ],
)
def test_a_move_that_makes_no_sense_is_refused_and_leaves_no_trace(
    engine: Engine, submit: Submit, states: tuple[str, ...], to: str
) -> None:
    submission_id = submit(*states)
    before = (state_of(engine, submission_id), events(engine), queue(engine))

    with pytest.raises(IntakeError, match=submission_id):
        move(engine, submission_id, to)

    assert (state_of(engine, submission_id), events(engine), queue(engine)) == before


def test_an_unknown_submission_is_named(engine: Engine) -> None:
    with pytest.raises(IntakeError, match="no submission nobody"):
        move(engine, "nobody", "STAGED")


def test_a_rolled_back_transaction_leaves_neither_state_nor_event(
    engine: Engine, submit: Submit
) -> None:
    submission_id = submit()
    before = events(engine)

    with Session(engine) as session:
        submissions.transition(session, submission_id, "STAGED", actor="a", reason=None)
        session.rollback()

    assert state_of(engine, submission_id) == "RECEIVED"
    assert events(engine) == before


def test_only_what_was_landed_is_queued_for_silver(engine: Engine, submit: Submit) -> None:
    submit("STAGED", "WITHDRAWN")
    submit("QUARANTINED")
    landed = submit("STAGED", "LANDED")
    gone = submit("STAGED", "LANDED", "WITHDRAWN")
    bad = submit("STAGED", "LANDED", "QUARANTINED")

    assert queue(engine) == [
        (landed, "added"),
        (gone, "added"),
        (gone, "removed"),
        (bad, "added"),
        (bad, "removed"),
    ]


def test_landing_again_is_queued_again(engine: Engine, submit: Submit) -> None:
    submission_id = submit("STAGED", "LANDED", "INTEGRATED", "LANDED")

    assert queue(engine) == [(submission_id, "added"), (submission_id, "added")]


def test_a_successor_replaces_only_when_it_has_landed(engine: Engine, submit: Submit) -> None:
    first = submit("STAGED", "LANDED", "INTEGRATED", "PUBLISHED")
    second = submit("STAGED", supersedes=first)
    assert state_of(engine, first) == "PUBLISHED"

    move(engine, second, "LANDED")

    assert state_of(engine, first) == "SUPERSEDED"
    assert queue(engine)[-2:] == [(second, "added"), (first, "removed")]
    with Session(engine) as session:
        assert submissions.get(session, first).superseded_by == second


def test_a_successor_without_any_good_input_replaces_nothing(
    engine: Engine, submit: Submit
) -> None:
    first = submit("STAGED", "LANDED")
    submit("STAGED", "QUARANTINED", supersedes=first)

    assert state_of(engine, first) == "LANDED"


def test_a_later_successor_that_lands_first_replaces_the_whole_line(
    engine: Engine, submit: Submit
) -> None:
    first = submit("STAGED", "LANDED")
    second = submit("STAGED", supersedes=first)
    third = submit("STAGED", "LANDED", supersedes=second)

    assert state_of(engine, first) == state_of(engine, second) == "SUPERSEDED"
    assert queue(engine) == [(first, "added"), (third, "added"), (first, "removed")]
    with pytest.raises(IntakeError):
        move(engine, second, "LANDED")


def test_further_columns_are_set_with_the_move(engine: Engine, submit: Submit) -> None:
    submission_id = submit()

    move(engine, submission_id, "STAGED", file_count=7)

    with Session(engine) as session:
        assert submissions.get(session, submission_id).file_count == 7
    with pytest.raises(ValueError, match="no column"):
        move(engine, submission_id, "LANDED", nonsense=1)


def test_ids_rise_in_the_order_of_registration(submit: Submit) -> None:
    ids = [submit() for _ in range(5)]

    assert ids == sorted(ids)


def test_many_movers_at_once_neither_hang_nor_lose(engine: Engine, submit: Submit) -> None:
    """Each thread moves two submissions in one transaction, in opposite orders."""
    pairs = [(submit(), submit()) for _ in range(6)]
    failures: list[BaseException] = []

    def both(pair: tuple[str, str]) -> None:
        try:
            with Session(engine) as session, session.begin():
                for submission_id in pair:
                    submissions.transition(session, submission_id, "STAGED", actor="a", reason=None)
        except IntakeError as error:
            failures.append(error)

    threads = [
        threading.Thread(target=both, args=(pair,))
        for pair in [*pairs, *(tuple(reversed(pair)) for pair in pairs)]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert not any(thread.is_alive() for thread in threads)
    assert len(failures) == len(pairs)  # the second of each pair finds the move made
    assert all(state_of(engine, one) == "STAGED" for pair in pairs for one in pair)
    assert audit.verify(engine).intact
