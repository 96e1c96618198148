"""Putting what a person hands in into the inbox, as a submitter's S3 client would, and asking first
where that would change what is there.

First everything is looked at and compared (:func:`plan`), then it is put (:func:`put`): nothing is
put where a question is open.
"""

from __future__ import annotations

import platform as machine
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal

from sqlalchemy import Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_update
from sqlalchemy.orm import Session

from ingestion.intake import given as handed_in
from ingestion.intake import register
from ingestion.intake.archives import is_archive
from ingestion.intake.discover import INBOX, MARKER, NOT_DATA
from ingestion.intake.examine import sha256_of
from ingestion.intake.given import Given, GivenFile
from ingestion.intake.inbox import only_process
from lakehouse.errors import IntakeError
from lakehouse.metadata import audit, models
from lakehouse.privacy import ref
from lakehouse.settings import Settings
from lakehouse.store import ObjectStore, key_name

#: A folder's name may have 255 bytes; parents' names are put before it only up to this length.
_LONGEST_NAME: Final = 200
_GONE: Final = ("WITHDRAWN", "SUPERSEDED")

#: How a drop that holds something else already is changed: wholly, or only by what is given.
Change = Literal["supersede", "amend"]


class DropQuestion(IntakeError):
    """What is meant cannot be known: a person has to choose."""

    exit_code = 2


@dataclass(frozen=True)
class Registered:
    """A submission that a drop is about; ``records`` are those that it has in the lake."""

    submission_id: str
    drop: str
    state: str
    state_reason: str | None
    records: int


@dataclass(frozen=True)
class Plan:
    """What putting ``given`` as the drop ``group`` means.

    ``kind`` is ``new``; ``grows`` where a drop that is still arriving gets (the rest of) its files;
    ``same`` where exactly this content is there; ``changed`` where other content is. The numbers
    count files: to write that are new or take another's place, there and not given, there already.
    ``submission`` is what was made of the drop, ``repeats`` another drop of the same content.
    ``taken`` is the name that it would have, did not another path's drop have it. ``seen`` is what
    the inbox held of the drop.
    """

    group: str
    given: tuple[Given, ...]
    source: str
    kind: Literal["new", "grows", "same", "changed"]
    to_write: frozenset[str]
    new: int
    replaced: int
    leaving: tuple[str, ...]
    unchanged: int
    seen: Mapping[str, tuple[int, str]]
    submission: Registered | None = None
    repeats: Registered | None = None
    taken: str | None = None

    @property
    def name(self) -> str:
        return self.group.split("/", 2)[2]

    @property
    def prefix(self) -> str:
        return f"{INBOX}{self.group}/"

    @property
    def is_withdrawn(self) -> bool:
        return (
            self.kind == "same"
            and self.submission is not None
            and self.submission.state == "WITHDRAWN"
        )


@dataclass(frozen=True)
class DropReport:
    """Files put, files that were there already with the same content, files taken away; bytes put."""

    prefix: str
    written: int
    unchanged: int
    removed: int
    bytes: int


def plan(
    store: ObjectStore,
    engine: Engine,
    settings: Settings,
    paths: Sequence[Path],
    *,
    submitter: str,
    file_type: str,
    name: str | None = None,
) -> list[Plan]:
    """What each of ``paths`` would be as a drop; with a ``name`` all together as one.

    Without a name a drop is called as its folder or file; where that is the name of a drop from
    another path, the names of its parent folders go before it. Raises :class:`IntakeError` when
    something cannot be read or taken.
    """
    whole = [path.resolve() for path in dict.fromkeys(paths)]
    whole = list(dict.fromkeys(whole))
    bound = int(settings.archive_max_gb * 1e9)
    area = f"{submitter}/{file_type}"
    if name is not None:
        group = _checked(f"{area}/{name}")
        labels = _labels(whole) if len(whole) > 1 else [""]
        given = tuple(
            handed_in.look_at(path, below=below, archive_max_bytes=bound)
            for path, below in zip(whole, labels, strict=True)
        )
        return [_compare(store, engine, settings, group, given, taken=None)]
    plans: list[Plan] = []
    for number, path in enumerate(whole, start=1):
        try:
            one = handed_in.look_at(path, archive_max_bytes=bound)
        except IntakeError as error:
            if len(whole) == 1:
                raise
            message = f"Path {number} of {len(whole)}: {error.message}"
            raise IntakeError(message, hint=error.hint) from error
        plans.append(_named(store, engine, settings, area, one, {p.group for p in plans}))
    return plans


def free_name(engine: Engine, store: ObjectStore, plan: Plan) -> str:
    """A name that no drop has, for the same content as a drop of its own."""
    area = "/".join(plan.group.split("/", 2)[:2])
    for candidate in _names(plan.given[0].source):
        group = f"{area}/{candidate}"
        if candidate != plan.name and not _is_taken(engine, store, group):
            return candidate
    raise AssertionError("names are counted on without end")


def put(
    store: ObjectStore,
    engine: Engine,
    settings: Settings,
    plan: Plan,
    *,
    close: bool,
    actor: str,
    change: Change | None = None,
) -> DropReport:
    """Do what ``plan`` says; with ``close`` mark the drop complete. The marker comes last.

    While it is put, intake leaves the drop alone; where this is interrupted, until the same is put
    again. Raises :class:`DropQuestion` when other content is there and ``change`` does not say what
    shall become of it.
    """
    if plan.kind == "changed" and change is None:
        raise DropQuestion(f"The drop {plan.name} holds something else already.")
    removed = plan.leaving if plan.kind == "changed" and change == "supersede" else ()
    marker = plan.prefix + MARKER
    sizes = {file.path: file.size for one in plan.given for file in one.files}

    def write(path: str, content: BinaryIO) -> None:
        store.put(plan.prefix + path, content)

    with only_process(engine, plan.group, wait=True):
        if _listed(store, plan.group)[0] != plan.seen:
            raise IntakeError(
                f"Somebody else changed the drop {plan.name} just now.",
                hint="Nothing was put. Run the command again: it compares anew.",
            )
        _begin(engine, plan, change, actor)
        if plan.to_write or removed:
            store.delete(marker)
        for one in plan.given:
            wanted = {file.path for file in one.files} & plan.to_write
            if wanted:
                handed_in.put(
                    one, wanted, write, archive_max_bytes=int(settings.archive_max_gb * 1e9)
                )
        for path in removed:
            store.delete(plan.prefix + path)
        is_there = plan.kind != "same" or next(iter(store.list(plan.prefix)), None) is not None
        if close and is_there and not store.exists(marker):
            store.put(marker, b"")
        _finish(engine, plan)
    return DropReport(
        prefix=plan.prefix,
        written=len(plan.to_write),
        unchanged=plan.unchanged,
        removed=len(removed),
        bytes=sum(sizes[path] for path in plan.to_write),
    )


def put_as(
    store: ObjectStore,
    engine: Engine,
    settings: Settings,
    path: Path,
    group: str,
    *,
    actor: str,
) -> DropReport:
    """Put ``path`` as the complete drop ``<submitter>/<file_type>/<name>``; what it held is replaced."""
    submitter, file_type, name = _checked(group).split("/", 2)
    (one,) = plan(
        store, engine, settings, [path], submitter=submitter, file_type=file_type, name=name
    )
    change: Change | None = "supersede" if one.kind == "changed" else None
    return put(store, engine, settings, one, close=True, actor=actor, change=change)


# Names ----------------------------------------------------------------------------------------


def _named(
    store: ObjectStore,
    engine: Engine,
    settings: Settings,
    area: str,
    given: Given,
    in_use: set[str],
) -> Plan:
    """The plan under the first name that is this path's own, or nobody's."""
    own = _source_of(given, settings)
    first: str | None = None
    for candidate in _names(given.source):
        group = _checked(f"{area}/{candidate}")
        if group in in_use:
            first = first or candidate
            continue
        noted = _note_of(engine, group)
        plan = _compare(store, engine, settings, group, (given,), taken=first)
        if noted is None and plan.kind == "grows" and plan.leaving:
            return replace(plan, kind="changed")  # somebody else's is arriving under this name
        if noted is None or noted.source == own or plan.kind in ("new", "same"):
            return plan
        first = first or candidate
    raise AssertionError("names are counted on without end")


def _names(source: Path) -> Iterator[str]:
    """``export``, ``siteB-export``, ``data-siteB-export`` …, then ``export-2``, ``export-3`` …"""
    name = _clean(source.name)
    yield name
    longer = name
    for parent in source.parents:
        if parent.name:
            longer = f"{_clean(parent.name)}-{longer}"
            if len(longer.encode()) > _LONGEST_NAME:
                break
            yield longer
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _clean(name: str) -> str:
    """A file's name as a name to show: without control characters and spaces at its ends."""
    shown = "".join(letter if letter.isprintable() else "_" for letter in key_name(name)).strip()
    return shown if shown not in ("", ".", "..", MARKER) else "drop"


def _labels(paths: Sequence[Path]) -> list[str]:
    """Below what each of several paths goes in their common drop: a single file lies at its top."""
    labels: list[str] = []
    for path in paths:
        if path.is_file() and not is_archive(path.name):
            labels.append("")
            continue
        labels.append(next(f"{one}/" for one in _names(path) if f"{one}/" not in labels))
    return labels


def _checked(group: str) -> str:
    if any(segment in ("", ".", "..") for segment in group.split("/")):
        raise IntakeError(
            "A drop is named by <submitter>/<file_type>/<drop_id>.",
            hint="None of the parts may be empty, . or ..",
        )
    return group


def _is_taken(engine: Engine, store: ObjectStore, group: str) -> bool:
    with Session(engine) as session:
        noted = session.get(models.CommandDrop, group) or session.get(models.InboxGroup, group)
    return noted is not None or next(iter(store.list(f"{INBOX}{group}/")), None) is not None


def _source_of(given: Given, settings: Settings) -> str:
    """A reference to the path on this machine."""
    key = settings.privacy_key
    return ref(
        f"{machine.node()}:{key_name(str(given.source))}",
        key.get_secret_value().encode() if key else None,
    )


# Comparing ------------------------------------------------------------------------------------


def _compare(
    store: ObjectStore,
    engine: Engine,
    settings: Settings,
    group: str,
    given: tuple[Given, ...],
    *,
    taken: str | None,
) -> Plan:
    files = _files_of(given)
    past = register.past_of(engine, group)
    objects, marked = _listed(store, group)
    known = {**past.files, **past.registered}
    content = register.content_hash(files.values())
    submission = _registered(engine, past.submission_id)
    unchanged: set[str] = set()
    replaced: set[str] = set()
    for path, file in files.items():
        if path in objects:
            size, etag = objects[path]
            former = known.get(path)
            if size != file.size:
                replaced.add(path)
            elif former is not None and (former.size, former.inbox_etag) == (size, etag):
                (unchanged if former.sha256 == file.sha256 else replaced).add(path)
            else:
                there = sha256_of(store, f"{INBOX}{group}/{path}")
                (unchanged if there == file.sha256 else replaced).add(path)
        elif path in known:  # the inbox was cleared; raw has it
            (unchanged if known[path].sha256 == file.sha256 else replaced).add(path)
    leaving = tuple(sorted((objects.keys() | known.keys()) - files.keys()))
    new = files.keys() - unchanged - replaced
    kind: Literal["new", "grows", "same", "changed"]
    is_all_there = not (new or replaced or leaving) or (
        not objects
        and submission is not None
        and _content_of(engine, past.submission_id) == content
    )
    if is_all_there:
        kind, new, replaced, leaving = "same", set(), set(), ()
        unchanged = set(files)
    elif not objects and not known and submission is None:
        kind = "new"
    elif submission is None and not marked and not replaced:
        kind = "grows"
    else:
        kind = "changed"
    return Plan(
        group=group,
        given=given,
        source=_source_of(given[0], settings),
        kind=kind,
        to_write=frozenset(new | replaced),
        new=len(new),
        replaced=len(replaced),
        leaving=leaving,
        unchanged=len(unchanged),
        seen=objects,
        submission=submission,
        repeats=None if kind == "same" else _same_content(engine, group, content),
        taken=taken,
    )


def _files_of(given: Sequence[Given]) -> Mapping[str, GivenFile]:
    files: dict[str, GivenFile] = {}
    for one in given:
        for file in one.files:
            if files.setdefault(file.path, file) != file:
                raise IntakeError(
                    "Two of the paths hold different files of one name.",
                    hint="Drop them one by one: each path is a drop of its own without --as.",
                )
    return files


def _listed(store: ObjectStore, group: str) -> tuple[dict[str, tuple[int, str]], bool]:
    """Size and etag of each file of the drop in the inbox, and whether it is marked complete."""
    prefix = f"{INBOX}{group}/"
    found = {info.key.removeprefix(prefix): (info.size, info.etag) for info in store.list(prefix)}
    marked = found.pop(MARKER, None) is not None
    return {
        path: what for path, what in found.items() if path.rpartition("/")[2] not in NOT_DATA
    }, marked


def _registered(engine: Engine, submission_id: str | None) -> Registered | None:
    if submission_id is None:
        return None
    with Session(engine) as session:
        submission = session.get(models.Submission, submission_id)
        if submission is None:
            return None
        records = session.scalar(
            select(func.coalesce(func.sum(models.SubmissionFile.accepted), 0)).where(
                models.SubmissionFile.submission_id == submission_id
            )
        )
        return Registered(
            submission_id,
            submission.drop_id,
            submission.state,
            submission.state_reason,
            int(records or 0),
        )


def _content_of(engine: Engine, submission_id: str | None) -> str | None:
    with Session(engine) as session:
        return session.scalar(
            select(models.Submission.content_sha256).where(
                models.Submission.submission_id == submission_id
            )
        )


def _same_content(engine: Engine, group: str, content: str) -> Registered | None:
    submission = models.Submission
    with Session(engine) as session:
        found = session.scalar(
            select(submission.submission_id)
            .where(
                submission.submitter == group.split("/")[0],
                submission.content_sha256 == content,
                submission.state.not_in(_GONE),
                submission.group_key != group,
            )
            .order_by(submission.submission_id)
            .limit(1)
        )
    return _registered(engine, found)


# What is noted --------------------------------------------------------------------------------


def _note_of(engine: Engine, group: str) -> models.CommandDrop | None:
    with Session(engine) as session:
        return session.get(models.CommandDrop, group)


def _begin(engine: Engine, plan: Plan, change: Change | None, actor: str) -> None:
    """Note where the drop comes from and what it replaces, before anything of it changes."""
    if plan.kind == "same":
        return
    replaced = plan.submission if plan.kind == "changed" else None
    values = {
        "source": plan.source,
        "replaces": replaced.submission_id if replaced and change == "supersede" else None,
        "finished": False,
        "put_at": datetime.now(UTC),
    }
    kept = values if change != "amend" else {k: v for k, v in values.items() if k != "source"}
    with Session(engine) as session, session.begin():
        audit.lock(session)
        session.execute(
            insert_or_update(models.CommandDrop)
            .values(group_key=plan.group, **values)
            .on_conflict_do_update(index_elements=[models.CommandDrop.group_key], set_=kept)
        )
        # A listing that stays as it is would count as settled, even where files leave.
        session.execute(
            update(models.InboxGroup)
            .where(models.InboxGroup.group_key == plan.group)
            .values(outcome="open", note="`lakehouse drop` is putting it")
        )
        if replaced is not None and change is not None:
            leaving = len(plan.leaving) if change == "supersede" else 0
            audit.append(
                session,
                audit.Event(
                    actor=actor,
                    action=f"drop.{change}",
                    subject=f"submission:{replaced.submission_id}",
                    reason=f"{plan.new} file(s) new, {plan.replaced} replaced, {leaving} leave",
                ),
            )


def _finish(engine: Engine, plan: Plan) -> None:
    with Session(engine) as session, session.begin():
        noted = session.get(models.CommandDrop, plan.group)
        if noted is not None:
            noted.finished = True
