"""`lakehouse drop`: names of drops, what is asked before something changes, what leaves."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ingestion.intake import withdraw
from ingestion.intake.drop import Change, DropQuestion, DropReport, Plan, free_name, plan, put
from lakehouse.errors import IntakeError
from tests.integration.intake.conftest import Inbox, patient


def plans(inbox: Inbox, *paths: Path, name: str | None = None) -> list[Plan]:
    return plan(
        inbox.store,
        inbox.engine,
        inbox.settings,
        paths,
        submitter="local",
        file_type="mixed",
        name=name,
    )


def do(inbox: Inbox, one: Plan, change: Change | None = None, *, close: bool = True) -> DropReport:
    return put(
        inbox.store, inbox.engine, inbox.settings, one, close=close, actor="test", change=change
    )


def drop(
    inbox: Inbox,
    path: Path,
    *,
    name: str | None = None,
    change: Change | None = None,
    close: bool = True,
) -> tuple[str, DropReport]:
    (one,) = plans(inbox, path, name=name)
    return one.name, do(inbox, one, change, close=close)


def folder(path: Path, **files: bytes) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / f"{name}.json").write_bytes(content)
    return path


def files_of(inbox: Inbox, name: str) -> set[str]:
    prefix = f"inbox/local/mixed/{name}/"
    return {info.key.removeprefix(prefix) for info in inbox.store.list(prefix)}


def test_two_folders_of_one_name_are_two_drops(inbox: Inbox, tmp_path: Path) -> None:
    first = folder(tmp_path / "siteA" / "export", a=patient(1))
    second = folder(tmp_path / "siteB" / "export", a=patient(2))
    third = folder(tmp_path / "x" / "siteB" / "export", a=patient(3))
    assert [drop(inbox, one)[0] for one in (first, second, third)] == [
        "export",
        "siteB-export",
        "x-siteB-export",
    ]
    assert len(inbox.take().registered) == 3
    # Each path finds its own drop again.
    again = [plans(inbox, one)[0] for one in (third, first, second)]
    assert [(one.name, one.kind) for one in again] == [
        ("x-siteB-export", "same"),
        ("export", "same"),
        ("siteB-export", "same"),
    ]
    folder(second, a=patient(4))
    (changed,) = plans(inbox, second)
    assert (changed.name, changed.kind) == ("siteB-export", "changed")


def test_two_folders_of_one_name_in_one_command_are_two_drops(inbox: Inbox, tmp_path: Path) -> None:
    first = folder(tmp_path / "siteA" / "export", a=patient(1))
    second = folder(tmp_path / "siteB" / "export", a=patient(2))
    both = plans(inbox, first, second, first)
    assert [one.name for one in both] == ["export", "siteB-export"]
    for one in both:
        do(inbox, one)
    assert len(inbox.take().registered) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2024.01.15", "2024.01.16"),
        ("day.one", "day"),
        ("export ", "export"),
        ("export\n", "export_"),
        ("\u00fc", "u\u0308"),
    ],
)
def test_names_that_look_alike_are_two_drops(
    inbox: Inbox, tmp_path: Path, one: str, other: str
) -> None:
    names = [
        drop(inbox, folder(tmp_path / each, a=patient(number)))[0]
        for number, each in enumerate((one, other))
    ]
    assert len(set(names)) == 2
    assert len(inbox.take().registered) == 2


def test_files_archives_and_folders_of_one_stem_are_drops_of_their_own(
    inbox: Inbox, tmp_path: Path
) -> None:
    (tmp_path / "day.json").write_bytes(patient(1))
    (tmp_path / "day.ndjson").write_bytes(patient(2))
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as archive:
        archive.writestr("deep/a.json", patient(3))
    folder(tmp_path / "day", a=patient(4))
    four = plans(inbox, *(tmp_path / name for name in ("day.json", "day.ndjson", "day.zip", "day")))
    for one in four:
        do(inbox, one)
    assert [one.name for one in four] == ["day.json", "day.ndjson", "day.zip", "day"]
    assert files_of(inbox, "day.zip") == {"_SUCCESS", "deep/a.json"}
    taken = inbox.take().registered
    assert {new.file_count for new in taken} == {1}
    assert len(taken) == 4


def test_several_paths_under_one_name_are_one_drop(inbox: Inbox, tmp_path: Path) -> None:
    first = folder(tmp_path / "siteA" / "export", a=patient(1))
    second = folder(tmp_path / "siteB" / "export", a=patient(2))
    (tmp_path / "c.json").write_bytes(patient(3))
    (one,) = plans(inbox, first, second, tmp_path / "c.json", name="march")
    do(inbox, one)
    assert files_of(inbox, "march") == {
        "_SUCCESS",
        "export/a.json",
        "siteB-export/a.json",
        "c.json",
    }
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "c.json").write_bytes(patient(4))
    with pytest.raises(IntakeError, match="different files of one name"):
        plans(inbox, tmp_path / "c.json", tmp_path / "other" / "c.json", name="april")


def test_other_content_under_a_name_is_a_question_and_nothing_is_overwritten(
    inbox: Inbox, tmp_path: Path
) -> None:
    export = folder(tmp_path / "export", a=patient(1), b=patient(2))
    drop(inbox, export)
    folder(export, a=patient(9))
    for _ in ("before the run", "after the run"):
        (one,) = plans(inbox, export)
        assert (one.kind, one.new, one.replaced, one.unchanged) == ("changed", 0, 1, 1)
        with pytest.raises(DropQuestion):
            do(inbox, one)
        assert free_name(inbox.engine, inbox.store, one) == f"{tmp_path.name}-export"
        inbox.take()
    (submission,) = inbox.submissions()
    assert inbox.raw(submission.submission_id)["a.json"] == patient(1)
    # Cleared by the store's own rules, the name is still that of the drop.
    inbox.store.delete_prefix("inbox/local/mixed/export/")
    assert plans(inbox, export)[0].kind == "changed"


def test_what_somebody_else_put_under_the_name_is_a_question_too(
    inbox: Inbox, tmp_path: Path
) -> None:
    inbox.drop({"a.json": patient(1)}, "local/mixed/export", close=False)
    export = folder(tmp_path / "export", b=patient(2))
    assert plans(inbox, export)[0].kind == "changed"
    assert plans(inbox, folder(tmp_path / "x" / "export", a=patient(1)))[0].kind == "same"


def test_superseding_replaces_all_and_says_what_leaves(inbox: Inbox, tmp_path: Path) -> None:
    export = folder(tmp_path / "export", a=patient(1), b=patient(2), c=patient(3))
    drop(inbox, export)
    first = inbox.take_one()
    (export / "b.json").unlink()
    folder(export, a=patient(9), d=patient(4))

    (one,) = plans(inbox, export)
    assert (one.new, one.replaced, one.leaving, one.unchanged) == (1, 1, ("b.json",), 1)
    assert one.submission is not None
    assert one.submission.submission_id == first.submission_id
    report = do(inbox, one, "supersede")

    assert (report.written, report.removed) == (2, 1)
    second = inbox.take_one()
    assert second.supersedes == first.submission_id
    assert inbox.raw(second.submission_id) == {
        "a.json": patient(9),
        "c.json": patient(3),
        "d.json": patient(4),
    }
    # From then on a file that vanishes from the inbox is no change again.
    inbox.store.delete("inbox/local/mixed/export/c.json")
    assert inbox.take().registered == []


def test_superseding_counts_where_the_inbox_was_cleared(inbox: Inbox, tmp_path: Path) -> None:
    export = folder(tmp_path / "export", a=patient(1), b=patient(2))
    drop(inbox, export)
    inbox.take_one()
    inbox.store.delete("inbox/local/mixed/export/b.json")
    (export / "b.json").unlink()

    name, _ = drop(inbox, export, change="supersede")

    second = inbox.take_one()
    assert name == "export"
    assert inbox.raw(second.submission_id) == {"a.json": patient(1)}


def test_amending_adds_and_replaces_file_by_file(inbox: Inbox, tmp_path: Path) -> None:
    drop(inbox, folder(tmp_path / "export", a=patient(1), b=patient(2)))
    first = inbox.take_one()
    mended = folder(tmp_path / "mended", b=patient(9))

    drop(inbox, mended, name="export", change="amend")

    second = inbox.take_one()
    assert second.supersedes == first.submission_id
    assert inbox.raw(second.submission_id) == {"a.json": patient(1), "b.json": patient(9)}
    assert plans(inbox, tmp_path / "export")[0].name == "export"


def test_the_same_content_again_is_said_and_changes_nothing(inbox: Inbox, tmp_path: Path) -> None:
    export = folder(tmp_path / "export", a=patient(1))
    drop(inbox, export)
    assert plans(inbox, export)[0].kind == "same"
    new = inbox.take_one()
    for path in (export, folder(tmp_path / "moved" / "export", a=patient(1))):
        (one,) = plans(inbox, path)
        assert one.submission is not None
        assert (one.name, one.kind, one.submission.state) == ("export", "same", "STAGED")
        assert do(inbox, one).written == 0
    inbox.store.delete_prefix("inbox/local/mixed/export/")
    (one,) = plans(inbox, export)
    assert one.kind == "same"
    do(inbox, one)
    assert files_of(inbox, "export") == set()
    # Under another name it is put, and intake says that it is a repetition.
    (one,) = plans(inbox, export, name="again")
    assert one.repeats is not None
    assert one.repeats.submission_id == new.submission_id
    do(inbox, one)
    assert [again.submission_id for again in inbox.take().duplicates] == [new.submission_id]


def test_a_withdrawn_drop_is_known_when_it_comes_again(inbox: Inbox, tmp_path: Path) -> None:
    export = folder(tmp_path / "export", a=patient(1))
    drop(inbox, export)
    new = inbox.take_one()
    withdraw(inbox.engine, new.submission_id, reason="sent by mistake", actor="test")

    (one,) = plans(inbox, export)
    assert one.is_withdrawn
    assert one.submission is not None
    assert one.submission.state_reason == "sent by mistake"
    assert inbox.take().registered == []

    name = free_name(inbox.engine, inbox.store, one)
    drop(inbox, export, name=name)
    assert inbox.take_one().submission_id > new.submission_id


def test_a_drop_that_is_being_put_is_left_alone_until_it_is_put(
    inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = folder(tmp_path / "export", a=patient(1), b=patient(2), c=patient(3))
    real, written = inbox.store.put, []

    def dies(key: str, *rest: object, **more: object) -> object:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(key)
        return real(key, *rest, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(inbox.store, "put", dies)
        patch.setattr("ingestion.intake.given.in_threads", lambda work, items: map(work, items))
        drop(inbox, export)

    assert inbox.pending() == []
    assert "run it again" in inbox.take().open_groups[0].waits_for
    name, report = drop(inbox, export)
    assert (name, report.written, report.unchanged) == ("export", 1, 2)
    assert inbox.take_one().file_count == 3


def test_a_drop_may_be_put_in_pieces_until_it_is_closed(inbox: Inbox, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.json").write_bytes(patient(number))
        name, _ = drop(inbox, tmp_path / f"{number}.json", name="day", close=number == 2)
        assert name == "day"
    assert inbox.take_one().file_count == 3
    (tmp_path / "9.json").write_bytes(patient(9))
    assert plans(inbox, tmp_path / "9.json", name="day")[0].kind == "changed"


def test_two_commands_at_once_do_not_mix_their_files(inbox: Inbox, tmp_path: Path) -> None:
    (first,) = plans(inbox, folder(tmp_path / "siteA" / "export", a=patient(1)))
    (second,) = plans(inbox, folder(tmp_path / "siteB" / "export", b=patient(2)))
    assert first.group == second.group
    do(inbox, first)
    with pytest.raises(IntakeError, match="Somebody else"):
        do(inbox, second)
    assert files_of(inbox, "export") == {"_SUCCESS", "a.json"}


def test_nothing_and_nowhere_are_refused(inbox: Inbox, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(IntakeError, match="no files to drop"):
        plans(inbox, empty)
    with pytest.raises(IntakeError, match="named by"):
        plans(inbox, folder(tmp_path / "export", a=b"x"), name="../up")
