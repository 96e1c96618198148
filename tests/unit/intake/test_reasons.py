"""Each reason for quarantine says what it means and what a person does next."""

from __future__ import annotations

import pickle

from ingestion import reasons
from ingestion.reasons import Reason


def test_every_reason_says_what_it_means_and_what_to_do() -> None:
    assert len({*Reason}) > 35
    for reason in Reason:
        assert reason.meaning.endswith("."), reason
        assert reason.next_step.endswith("."), reason


def test_a_reason_is_its_code_also_behind_another_process() -> None:
    read = pickle.loads(pickle.dumps(Reason.TRUNCATED))
    assert read is Reason.TRUNCATED
    assert (str(read), reasons.next_step("truncated")) == ("truncated", read.next_step)


def test_a_reason_of_somebody_elses_classifier_gets_a_general_word() -> None:
    assert "send the file again" in reasons.next_step("too_many_pages")
    assert reasons.meaning("too_many_pages") == "Too many pages."
