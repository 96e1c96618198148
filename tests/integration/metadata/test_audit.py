"""The audit trail cannot be changed quietly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from lakehouse.errors import AccessDenied
from lakehouse.metadata import anchors, audit
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore, open_store


def record(engine: Engine, *subjects: str) -> None:
    for subject in subjects:
        with Session(engine) as session, session.begin():
            audit.append(
                session,
                audit.Event(
                    actor="person:änne",
                    action="test.done",
                    subject=subject,
                    reason="because ✓",
                    before={"n": 1, "when": datetime(2026, 1, 1, tzinfo=UTC)},
                    after={"list": [1, None, True], "nested": {"b": 1, "a": 2}, "share": 0.1},
                ),
            )


@contextmanager
def without_guard(engine: Engine) -> Iterator[Connection]:
    """What somebody with the owner's password could do."""
    with engine.begin() as connection:
        connection.execute(text("alter table audit_event disable trigger user"))
        yield connection
        connection.execute(text("alter table audit_event enable trigger user"))


def test_an_empty_trail_is_intact(engine: Engine) -> None:
    found = audit.verify(engine)

    assert found.intact
    assert (found.events, found.head) == (0, audit.GENESIS)


def test_an_untouched_trail_is_intact(engine: Engine) -> None:
    record(engine, "a", "b", "c")

    found = audit.verify(engine)

    assert found.intact
    assert found.events == 3


def test_several_events_of_one_transaction_are_chained(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        audit.append(session, *(audit.Event("a", "x", str(n)) for n in range(3)))

    assert audit.verify(engine).events == 3
    assert audit.verify(engine).intact


@pytest.mark.parametrize(
    "statement",
    [
        "update audit_event set actor = 'nobody'",
        "delete from audit_event",
        "truncate audit_event",
    ],
)
def test_change_is_refused(engine: Engine, statement: str) -> None:
    record(engine, "a")

    with pytest.raises(ProgrammingError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "update audit_event set actor = 'somebody else' where subject = 'b'",
        "update audit_event set reason = null where subject = 'b'",
        "update audit_event set after = after || '{\"n\": 2}' where subject = 'b'",
        "update audit_event set occurred_at = occurred_at - interval '1 microsecond'"
        " where subject = 'b'",
        "delete from audit_event where subject = 'b'",
        "delete from audit_event where subject = 'a'",
    ],
)
def test_a_change_behind_the_guard_is_found(engine: Engine, statement: str) -> None:
    record(engine, "a", "b", "c")
    with without_guard(engine) as connection:
        connection.execute(text(statement))

    found = audit.verify(engine)

    assert not found.intact
    assert found.problem


def test_an_inserted_event_is_found(engine: Engine) -> None:
    record(engine, "a", "b")
    with without_guard(engine) as connection:
        connection.execute(
            text(
                "insert into audit_event (occurred_at, actor, action, subject, previous_hash, hash)"
                " select now(), 'x', 'y', 'z', hash, repeat('1', 64) from audit_event"
                " order by id limit 1"
            )
        )

    assert not audit.verify(engine).intact


def test_removing_the_newest_event_shows_in_the_head(engine: Engine) -> None:
    record(engine, "a", "b")
    noted = audit.verify(engine).head
    with without_guard(engine) as connection:
        connection.execute(text("delete from audit_event where subject = 'b'"))

    assert audit.verify(engine).head != noted


def test_removed_newest_events_are_found_by_the_anchor(engine: Engine, store: ObjectStore) -> None:
    record(engine, "a", "b", "c")
    assert anchors.anchor(engine, store).intact
    with without_guard(engine) as connection:
        connection.execute(text("delete from audit_event where subject in ('b', 'c')"))
    assert audit.verify(engine).intact  # from inside nothing is missing

    found = anchors.verify(engine, store)

    assert not found.intact
    assert (found.events, found.broken_at) == (1, 1)
    assert "had 3 events" in (found.problem or "")


def test_a_trail_that_was_emptied_is_found(engine: Engine, store: ObjectStore) -> None:
    record(engine, "a")
    anchors.anchor(engine, store)
    with without_guard(engine) as connection:
        connection.execute(text("delete from audit_event"))

    assert not anchors.verify(engine, store).intact


def test_a_shortened_trail_that_went_on_is_found_and_gets_no_anchor(
    engine: Engine, store: ObjectStore
) -> None:
    record(engine, "a", "b")
    anchors.anchor(engine, store)
    with without_guard(engine) as connection:
        connection.execute(text("delete from audit_event where subject = 'b'"))
    record(engine, "c", "d")

    found = anchors.anchor(engine, store)

    assert not found.intact
    assert "written anew" in (found.problem or "")
    assert [one.events for one in anchors.stored(store)] == [2]


def test_anchors_are_immutable_and_one_for_each_length(engine: Engine, store: ObjectStore) -> None:
    assert anchors.anchor(engine, store).intact
    assert anchors.stored(store) == []
    record(engine, "a")
    for _ in range(2):
        assert anchors.anchor(engine, store).intact
    record(engine, "b")
    assert anchors.anchor(engine, store).intact
    found = anchors.stored(store)
    assert [one.events for one in found] == [1, 2]
    with pytest.raises(AccessDenied):
        store.delete(found[0].key)


def test_anchors_are_kept_in_an_s3_store(engine: Engine, s3_settings: Settings) -> None:
    in_s3 = open_store(s3_settings)
    in_s3.prepare()
    record(engine, "a", "b")
    for _ in range(2):
        assert anchors.anchor(engine, in_s3).intact
    with without_guard(engine) as connection:
        connection.execute(text("delete from audit_event where subject = 'b'"))
    assert not anchors.verify(engine, in_s3).intact
