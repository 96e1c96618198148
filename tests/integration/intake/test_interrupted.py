"""A pass may die anywhere, and several may run at once: every drop is registered exactly once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from ingestion.intake import intake
from lakehouse import metadata
from lakehouse.errors import StorageUnavailable
from lakehouse.metadata import audit
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore, open_store
from tests.integration.intake.conftest import GROUP, READABLE, Inbox, patient

FILES = {"a.json": patient(1), "b.json": patient(2), "deep/c.json": patient(3)}


class Killed(BaseException):
    """What a killed process looks like from inside: nothing may catch it."""


class Dying:
    """A store whose n-th call ends the pass, before or after it took effect."""

    def __init__(self, store: ObjectStore, at: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, at, after
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def call(*args: Any, **options: Any) -> Any:
            with self._lock:
                self._left -= 1
                dies = self._left == 0
            if dies and not self._after:
                raise Killed
            result = method(*args, **options)
            if dies:
                raise Killed
            return result

        return call


def dies(inbox: Inbox, at: int, *, after: bool) -> bool:
    try:
        inbox.take(store=Dying(inbox.store, at, after=after))  # type: ignore[arg-type]
    except Killed:
        return True
    return False


def is_whole(inbox: Inbox, files: dict[str, bytes]) -> None:
    """Exactly one submission counts, with exactly these files, and the trail is intact."""
    counting = [one for one in inbox.submissions() if one.state != "SUPERSEDED"]
    assert [one.state for one in counting] == ["STAGED"]
    assert inbox.raw(counting[0].submission_id) == files
    manifest = f"raw/north/fhir/{counting[0].submission_id}/_manifest.generated.json"
    assert inbox.store.exists(manifest)
    assert audit.verify(inbox.engine).intact
    assert inbox.pending() == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 25))
def test_dying_at_each_call_loses_and_doubles_nothing(inbox: Inbox, at: int, after: bool) -> None:
    inbox.drop(FILES)
    dies(inbox, at, after=after)

    inbox.take()

    is_whole(inbox, FILES)
    assert len(inbox.submissions()) == 1


@pytest.mark.parametrize("at", range(1, 25, 3))
def test_dying_while_a_change_is_taken_in(inbox: Inbox, at: int) -> None:
    inbox.drop(FILES)
    first = inbox.take_one().submission_id
    inbox.move(first, "LANDED")
    inbox.remove("a.json")
    inbox.drop({"b.json": patient(9)})
    dies(inbox, at, after=True)

    inbox.take()

    second = inbox.submissions()[-1]
    assert [one.state for one in inbox.submissions()] == ["LANDED", "STAGED"]
    assert second.supersedes == first
    assert inbox.raw(second.submission_id) == {**FILES, "b.json": patient(9)}


@pytest.mark.parametrize("at", [7, 10, 13, 16])
def test_a_change_after_a_pass_died_replaces_what_was_never_staged(inbox: Inbox, at: int) -> None:
    inbox.drop(FILES)
    assert dies(inbox, at, after=True)
    assert [one.state for one in inbox.submissions()] == ["RECEIVED"]
    inbox.drop({"a.json": patient(7)})

    inbox.take()

    is_whole(inbox, {**FILES, "a.json": patient(7)})


class CopiesNothing(Dying):
    """A store with which a pass dies at its first copy, whichever file that is."""

    def __init__(self, store: ObjectStore, *spared: str) -> None:
        super().__init__(store, 0, after=False)
        self._spared = spared

    def copy(self, source: str, target: str, if_absent: bool = False) -> Any:
        if source.endswith(self._spared):
            return self._store.copy(source, target, if_absent)
        raise Killed


@pytest.mark.parametrize("spared", ["/nothing", "/a.json"])
def test_files_that_vanish_after_a_pass_died_are_quarantined(inbox: Inbox, spared: str) -> None:
    inbox.drop(FILES)
    with pytest.raises(Killed):
        inbox.take(store=CopiesNothing(inbox.store, spared))  # type: ignore[arg-type]
    inbox.store.delete_prefix(f"inbox/{GROUP}/")

    new = inbox.take_one()

    kept, lost = inbox.raw(new.submission_id), inbox.reasons(new.submission_id)
    assert set(kept) == ({"a.json"} if spared == "/a.json" else set())
    assert lost == dict.fromkeys(set(FILES) - set(kept), "vanished_before_staging")
    assert new.state == ("STAGED" if kept else "QUARANTINED")
    assert sum(file.quarantined or 0 for file in inbox.files(new.submission_id).values()) == len(
        lost
    )
    assert inbox.pending() == []


def test_files_that_vanish_do_not_hold_up_a_change(inbox: Inbox) -> None:
    inbox.drop(FILES)
    with pytest.raises(Killed):
        inbox.take(store=CopiesNothing(inbox.store, "/a.json"))  # type: ignore[arg-type]
    inbox.store.delete_prefix(f"inbox/{GROUP}/")
    inbox.drop({"new.json": patient(9)})

    new = inbox.take_one()

    assert inbox.raw(new.submission_id) == {"a.json": patient(1), "new.json": patient(9)}
    assert set(inbox.reasons(new.submission_id)) == {"b.json", "deep/c.json"}
    assert inbox.pending() == []


class Changing:
    """A store in which a file of the inbox is replaced just after it was copied."""

    def __init__(self, store: ObjectStore) -> None:
        self._store, self._changed = store, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def copy(self, source: str, target: str, if_absent: bool = False) -> Any:
        if not self._changed and source.endswith("/a.json"):
            self._changed = True
            self._store.put(source, patient(8))
        return self._store.copy(source, target, if_absent)


def test_a_file_that_changes_while_it_is_taken_in_is_taken_as_it_is_then(inbox: Inbox) -> None:
    inbox.drop(FILES)

    report = inbox.take(store=Changing(inbox.store))  # type: ignore[arg-type]

    assert [group.group_key for group in report.open_groups] == [GROUP]
    inbox.take()
    is_whole(inbox, {**FILES, "a.json": patient(8)})


class Failing:
    """A store that does not answer any more when it comes to copying."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def copy(self, source: str, target: str, if_absent: bool = False) -> Any:
        raise StorageUnavailable("The store did not answer.")


def test_a_store_that_fails_is_told_and_the_next_pass_goes_on(inbox: Inbox) -> None:
    inbox.drop(FILES)

    with pytest.raises(StorageUnavailable):
        inbox.take(store=Failing(inbox.store))  # type: ignore[arg-type]

    assert inbox.pending() == [GROUP]
    inbox.take()
    is_whole(inbox, FILES)


# Several processes ----------------------------------------------------------------------------


def take_in_process(settings: Settings, ready: Any, done: Any) -> None:
    engine = metadata.engine(settings)
    ready.wait()
    report = intake(
        open_store(settings),
        engine,
        settings,
        now=datetime.now(UTC),
        actor=f"process:{os.getpid()}",
        readable=READABLE,
    )
    done.put([new.submission_id for new in report.registered])


def test_four_processes_at_once_register_each_drop_once(inbox: Inbox) -> None:
    for number in range(8):
        inbox.drop(
            {f"{n}.json": patient(100 * number + n) for n in range(20)},
            group=f"north/fhir/d{number}",
        )
    context = multiprocessing.get_context("spawn")
    ready, done = context.Barrier(4), context.Queue()
    processes = [
        context.Process(target=take_in_process, args=(inbox.settings, ready, done))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    registered = [one for _ in processes for one in done.get(timeout=120)]
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0] * 4
    assert len(registered) == len(set(registered)) == 8
    assert [one.state for one in inbox.submissions()] == ["STAGED"] * 8
    assert audit.verify(inbox.engine).intact
    assert inbox.pending() == []


class Slow:
    """A store that copies only when it is told that the test has seen enough."""

    def __init__(self, store: ObjectStore, copying: Any) -> None:
        self._store, self._copying = store, copying

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def copy(self, source: str, target: str, if_absent: bool = False) -> Any:
        if source.endswith("/deep/c.json"):
            self._copying.set()
            signal.pause()
        return self._store.copy(source, target, if_absent)


def take_until_killed(settings: Settings, copying: Any) -> None:
    # signal.pause is for the main thread's signals; any thread may wait in it.
    intake(
        Slow(open_store(settings), copying),  # type: ignore[arg-type]
        metadata.engine(settings),
        settings,
        now=datetime.now(UTC),
        actor="doomed",
        readable=READABLE,
    )


def test_a_killed_process_gives_its_drop_free(inbox: Inbox) -> None:
    inbox.drop(FILES)
    context = multiprocessing.get_context("spawn")
    copying = context.Event()
    process = context.Process(target=take_until_killed, args=(inbox.settings, copying))
    process.start()
    assert copying.wait(60)

    left_alone = intake(
        inbox.store,
        inbox.engine,
        inbox.settings,
        now=datetime.now(UTC),
        actor="impatient",
        wait=False,
        readable=READABLE,
    )
    assert "another intake" in left_alone.open_groups[0].waits_for

    process.kill()
    process.join(60)
    inbox.take()

    is_whole(inbox, FILES)
    with inbox.engine.connect() as connection:
        held = connection.scalar(
            text(
                "select count(*) from pg_locks join pg_database on pg_database.oid = database"
                " where locktype = 'advisory' and datname = current_database()"
            )
        )
    assert held == 0
