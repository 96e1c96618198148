"""A drop that changes after it was closed: nothing is silently dropped."""

from __future__ import annotations

import pytest

from ingestion.intake import withdraw
from lakehouse.errors import IntakeError
from lakehouse.metadata import builds
from tests.integration.intake.conftest import GROUP, Inbox, patient


def states(inbox: Inbox) -> list[str]:
    return [submission.state for submission in inbox.submissions()]


def test_a_new_file_makes_a_submission_of_all_files(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    first = inbox.take_one()
    inbox.drop({"b.json": patient(2)})
    assert inbox.pending() == [GROUP]

    second = inbox.take_one()

    assert second.supersedes == first.submission_id
    assert second.submission_id > first.submission_id
    assert inbox.raw(second.submission_id) == {"a.json": patient(1), "b.json": patient(2)}
    assert inbox.take().unchanged == 1


def test_a_modified_file_makes_a_submission_with_its_new_content(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1), "b.json": patient(2)})
    first = inbox.take_one()
    inbox.drop({"a.json": patient(9)})

    second = inbox.take_one()

    assert inbox.raw(second.submission_id) == {"a.json": patient(9), "b.json": patient(2)}
    assert inbox.raw(first.submission_id) == {"a.json": patient(1), "b.json": patient(2)}


def test_a_vanished_file_is_no_change(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1), "b.json": patient(2)})
    inbox.take()
    inbox.remove("a.json")

    report = inbox.take()

    assert (report.registered, report.unchanged) == ([], 1)
    assert inbox.pending() == []
    assert len(inbox.submissions()) == 1


def test_an_emptied_inbox_changes_nothing(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    inbox.take()
    inbox.store.delete_prefix(f"inbox/{GROUP}/")

    assert inbox.take().registered == []
    assert states(inbox) == ["STAGED"]


def test_files_the_inbox_no_longer_has_come_from_raw(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1), "b.json": patient(2)})
    inbox.take()
    inbox.remove("a.json", "b.json")
    inbox.drop({"c.json": patient(3)})

    second = inbox.take_one()

    assert inbox.raw(second.submission_id) == {
        "a.json": patient(1),
        "b.json": patient(2),
        "c.json": patient(3),
    }
    assert second.state == "STAGED"


def test_a_late_change_of_an_open_kind_waits_for_quiet(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)}, close=False)
    first = inbox.take_one()
    inbox.settings = inbox.settings.model_copy(update={"quiescence_minutes": 15.0})
    inbox.drop({"b.json": patient(2)}, close=False)

    report = inbox.take()

    assert [group.group_key for group in report.open_groups] == [GROUP]
    assert states(inbox) == ["STAGED"]
    inbox.drop({})
    assert inbox.take_one().supersedes == first.submission_id


def test_back_to_the_first_content_is_a_third_submission(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    first = inbox.take_one()
    inbox.drop({"a.json": patient(2)})
    second = inbox.take_one()
    inbox.drop({"a.json": patient(1)})

    third = inbox.take_one()

    assert third.supersedes == second.submission_id
    assert inbox.raw(third.submission_id) == inbox.raw(first.submission_id)


def test_the_first_counts_until_the_second_has_landed(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    first = inbox.take_one().submission_id
    inbox.move(first, "LANDED")
    inbox.drop({"b.json": patient(2)})
    second = inbox.take_one().submission_id
    assert states(inbox) == ["LANDED", "STAGED"]

    inbox.move(second, "LANDED")

    assert states(inbox) == ["SUPERSEDED", "LANDED"]
    assert builds.pending(inbox.engine) == {first: "removed", second: "added"}


def test_a_repetition_that_then_grows_is_a_submission_of_its_own(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    inbox.take()
    inbox.drop({"a.json": patient(1)}, group="north/fhir/again")
    inbox.take()
    inbox.drop({"b.json": patient(2)}, group="north/fhir/again")

    new = inbox.take_one()

    assert new.supersedes is None
    assert set(inbox.raw(new.submission_id)) == {"a.json", "b.json"}
    assert states(inbox) == ["STAGED", "STAGED"]


# Withdrawing ----------------------------------------------------------------------------------


def test_a_withdrawn_submission_leaves_silver_with_the_next_build(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    submission_id = inbox.take_one().submission_id
    inbox.move(submission_id, "LANDED")
    build = builds.start_build(inbox.engine, full_refresh=False, run_id=None, actor="t")
    builds.finish_build(inbox.engine, build.build_id, "succeeded", 1)

    done = withdraw(inbox.engine, submission_id, reason="wrong patient", actor="person:a")

    assert (done.withdrawn, done.restored, done.leaves_silver) == ([submission_id], [], True)
    assert builds.pending(inbox.engine) == {submission_id: "removed"}
    found = inbox.submission(submission_id)
    assert (found.state, found.state_reason) == ("WITHDRAWN", "wrong patient")
    assert found.withdrawn_at is not None


def test_withdrawing_twice_or_what_is_not_there_is_refused(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    submission_id = inbox.take_one().submission_id
    withdraw(inbox.engine, submission_id, reason="r", actor="a")

    with pytest.raises(IntakeError, match="WITHDRAWN"):
        withdraw(inbox.engine, submission_id, reason="r", actor="a")
    with pytest.raises(IntakeError, match="no submission"):
        withdraw(inbox.engine, "nobody", reason="r", actor="a")


def test_what_a_withdrawn_submission_had_replaced_counts_again(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    first = inbox.take_one().submission_id
    inbox.move(first, "LANDED")
    inbox.drop({"b.json": patient(2)})
    second = inbox.take_one().submission_id
    inbox.move(second, "LANDED")

    done = withdraw(inbox.engine, second, reason="r", actor="a")

    assert done.restored == [first]
    assert states(inbox) == ["LANDED", "WITHDRAWN"]
    assert builds.pending(inbox.engine) == {first: "added", second: "removed"}
    assert inbox.submission(first).superseded_by is None


def test_what_was_not_landed_when_it_was_replaced_lands_after_all(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    first = inbox.take_one().submission_id
    inbox.move(first, "LANDED")
    inbox.drop({"b.json": patient(2)})
    second = inbox.take_one().submission_id
    inbox.drop({"c.json": patient(3)})
    third = inbox.take_one().submission_id
    inbox.move(third, "LANDED")
    assert states(inbox) == ["SUPERSEDED", "SUPERSEDED", "LANDED"]

    done = withdraw(inbox.engine, third, reason="r", actor="a")

    assert done.restored == [second, first]
    assert states(inbox) == ["LANDED", "STAGED", "WITHDRAWN"]
    inbox.move(second, "LANDED")
    assert states(inbox) == ["SUPERSEDED", "LANDED", "WITHDRAWN"]


def test_a_whole_drop_can_be_withdrawn(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    first = inbox.take_one().submission_id
    inbox.move(first, "LANDED")
    inbox.drop({"b.json": patient(2)})
    second = inbox.take_one().submission_id
    inbox.move(second, "LANDED")

    done = withdraw(inbox.engine, second, reason="r", actor="a", whole_drop=True)

    assert (sorted(done.withdrawn), done.restored) == ([first, second], [])
    assert states(inbox) == ["WITHDRAWN", "WITHDRAWN"]
    assert builds.pending(inbox.engine) == {first: "removed", second: "removed"}


def test_a_withdrawn_drop_does_not_come_back_by_itself(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    withdraw(inbox.engine, inbox.take_one().submission_id, reason="r", actor="a")

    assert inbox.take().registered == []
    inbox.drop({"a.json": patient(1)})  # uploaded once more, unchanged
    assert inbox.take().registered == []
    group = inbox.group()
    assert group is not None
    assert "another name" in (group.note or "")


def test_withdrawn_content_dropped_anew_on_purpose_is_taken(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    withdraw(inbox.engine, inbox.take_one().submission_id, reason="r", actor="a")
    inbox.drop({"a.json": patient(1)}, group="north/fhir/again")

    assert inbox.take_one().state == "STAGED"


def test_after_a_withdrawal_a_change_brings_only_what_the_inbox_has(inbox: Inbox) -> None:
    inbox.drop({"bad.json": patient(1), "good.json": patient(2)})
    withdraw(inbox.engine, inbox.take_one().submission_id, reason="r", actor="a")
    inbox.remove("bad.json")
    inbox.drop({"good.json": patient(3)})

    new = inbox.take_one()

    assert new.supersedes is None
    assert inbox.raw(new.submission_id) == {"good.json": patient(3)}


def test_a_withdrawal_counts_the_drops_that_had_repeated_it(inbox: Inbox) -> None:
    inbox.drop({"a.json": patient(1)})
    submission_id = inbox.take_one().submission_id
    inbox.drop({"a.json": patient(1)}, group="north/fhir/again")
    inbox.take()

    assert withdraw(inbox.engine, submission_id, reason="r", actor="a").repeated_by == 1
