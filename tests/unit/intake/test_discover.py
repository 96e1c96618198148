"""Grouping the inbox into drops, and when a drop counts as complete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from ingestion.intake.discover import InboxGroup, discover
from lakehouse.settings import Settings
from lakehouse.store import LocalStore, ObjectInfo

NOW = datetime.now(UTC)


def settings(**changes: object) -> Settings:
    return Settings.model_validate({"privacy_key": SecretStr("key-of-the-tests"), **changes})


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path)
    store.prepare()
    return store


def put(store: LocalStore, *keys: str) -> None:
    for key in keys:
        store.put(f"inbox/{key}", b"x")


def groups(store: LocalStore, **changes: object) -> dict[str, InboxGroup]:
    found = list(discover(store, settings(**changes)))
    assert len({group.key for group in found}) == len(found)
    return {group.key: group for group in found}


def test_files_are_grouped_by_the_first_three_segments(store: LocalStore) -> None:
    put(store, "north/fhir/d1/a.json", "north/fhir/d1/deep/b.json", "north/fhir/d2/c.json")

    found = groups(store)

    assert {key: [file.path for file in group.files] for key, group in found.items()} == {
        "north/fhir/d1": ["a.json", "deep/b.json"],
        "north/fhir/d2": ["c.json"],
    }
    first = found["north/fhir/d1"]
    assert (first.submitter, first.file_type, first.drop_id) == ("north", "fhir", "d1")


def test_the_depth_is_a_setting(store: LocalStore) -> None:
    put(store, "north/fhir/d1/a.json", "north/fhir/d2/c.json")

    assert list(groups(store, group_by_depth=2)) == ["north/fhir"]
    assert list(groups(store, group_by_depth=1)) == ["north"]


def test_drops_whose_names_begin_alike_stay_apart(store: LocalStore) -> None:
    put(store, "n/f/d/a.json", "n/f/d-1/a.json", "n/f/d0/a.json", "n/f/d/z.json")

    assert {key: len(group.files) for key, group in groups(store).items()} == {
        "n/f/d": 2,
        "n/f/d-1": 1,
        "n/f/d0": 1,
    }


def test_a_file_above_the_drops_is_taken_with_its_folder(store: LocalStore) -> None:
    put(store, "loose.json", "north/late.json", "north/fhir/d1/a.json", "zzz.json")

    found = groups(store)

    assert [file.path for file in found[""].files] == ["loose.json", "zzz.json"]
    assert found[""].submitter == found[""].file_type == "unsorted"
    assert found["north"].submitter == "north"
    assert set(found) == {"", "north", "north/fhir/d1"}


def test_what_consoles_and_systems_leave_behind_is_no_file(store: LocalStore) -> None:
    put(store, "n/f/d/a.json", "n/f/d/.DS_Store", "n/f/d/deep/Thumbs.db", "n/f/e/.keep")

    assert [file.path for file in groups(store)["n/f/d"].files] == ["a.json"]
    assert set(groups(store)) == {"n/f/d"}


def test_the_marker_closes_a_drop_and_is_none_of_its_files(store: LocalStore) -> None:
    put(store, "n/f/d/a.json", "n/f/d/_SUCCESS")

    group = groups(store)["n/f/d"]

    assert [file.path for file in group.files] == ["a.json"]
    assert group.is_closed(settings(quiescence_minutes=1000), NOW)


def test_a_marker_deeper_in_the_drop_is_a_file(store: LocalStore) -> None:
    put(store, "n/f/d/part/_SUCCESS")

    group = groups(store)["n/f/d"]

    assert not group.marked
    assert len(group.files) == 1


def test_a_drop_without_marker_closes_when_nothing_changed_for_long_enough(
    store: LocalStore,
) -> None:
    put(store, "n/f/d/a.json")
    group = groups(store)["n/f/d"]
    patient = settings(quiescence_minutes=15)

    assert not group.is_closed(patient, NOW)
    assert group.newest is not None
    assert not group.is_closed(patient, group.newest + timedelta(minutes=14, seconds=59))
    assert group.is_closed(patient, group.newest + timedelta(minutes=15))


def test_the_fingerprint_changes_with_name_size_and_content(store: LocalStore) -> None:
    put(store, "n/f/d/a.json")
    first = groups(store)["n/f/d"].fingerprint
    store.put("inbox/n/f/d/a.json", b"y")
    second = groups(store)["n/f/d"].fingerprint
    put(store, "n/f/d/b.json")
    third = groups(store)["n/f/d"].fingerprint

    assert len({first, second, third}) == 3
    assert groups(store)["n/f/d"].fingerprint == third


class ListedOnly:
    """A store whose listing holds keys that S3 allows and file systems do not."""

    def list(self, prefix: str) -> list[ObjectInfo]:
        keys = ("inbox/n/f/d//a.json", "inbox/n/f/d/../b.json", "inbox/n/f/d/good.json")
        return [ObjectInfo(key, 1, "e", NOW) for key in keys]


def test_keys_that_cannot_be_files_are_counted_and_stop_nothing() -> None:
    found = list(discover(ListedOnly(), settings()))  # type: ignore[arg-type]

    assert sum(group.unusable for group in found) == 2
    assert [file.path for group in found for file in group.files] == ["good.json"]
