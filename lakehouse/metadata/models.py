"""ORM models of the metadata database. Alembic owns the schema; a test holds the two together.

Views (``pending_submission``, ``live_submission``, schema ``ops``) are not here: they are SQL in
``alembic/sql``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

STATES = (
    "RECEIVED",
    "STAGED",
    "LANDED",
    "INTEGRATED",
    "PUBLISHED",
    "QUARANTINED",
    "NEEDS_REVIEW",
    "HELD",
    "SUPERSEDED",
    "WITHDRAWN",
)
FILE_OUTCOMES = ("staged", "landed", "quarantined", "skipped", "review")
GROUP_OUTCOMES = ("open", "registered", "duplicate")
CHANGES = ("added", "removed")
BUILD_STATUSES = ("running", "succeeded", "failed")
SEVERITIES = ("error", "warning")
HOLD_STATUSES = ("held", "released", "ended")
#: ``switching`` and ``returning`` say that readers are about to be shown a new or an earlier publish.
PUBLISH_STATES = ("current", "previous", "dropped", "failed", "switching", "returning")


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} in ({', '.join(repr(value) for value in values)})"


class Base(DeclarativeBase):
    """Base of all tables; every constraint has a name, so that a migration can drop it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - read by DeclarativeBase, never changed
        str: Text,
        datetime: TIMESTAMP(timezone=True),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
    }


class Submission(Base):
    """One closed drop, or one later state of it.

    ``submission_id`` sorts by the order of registration. ``in_silver`` says whether the last
    successful build included it; the state says what should be. ``judged_at`` is when its rows, as
    they were landed last, were judged by the error rules; null until then.
    """

    __tablename__ = "submission"
    __table_args__ = (
        CheckConstraint(_one_of("state", STATES), name="state"),
        Index(None, "submitter", "content_sha256"),
        Index(None, "state"),
        Index(None, "group_key"),
    )

    submission_id: Mapped[str] = mapped_column(primary_key=True)
    group_key: Mapped[str]
    submitter: Mapped[str]
    file_type: Mapped[str]
    drop_id: Mapped[str]
    state: Mapped[str]
    state_reason: Mapped[str | None]
    content_sha256: Mapped[str]
    file_count: Mapped[int] = mapped_column(Integer)
    byte_count: Mapped[int] = mapped_column(BigInteger)
    supersedes: Mapped[str | None] = mapped_column(ForeignKey("submission.submission_id"))
    superseded_by: Mapped[str | None] = mapped_column(ForeignKey("submission.submission_id"))
    in_silver: Mapped[bool] = mapped_column(Boolean, server_default=false())
    received_at: Mapped[datetime]
    staged_at: Mapped[datetime | None]
    landed_at: Mapped[datetime | None]
    judged_at: Mapped[datetime | None]
    integrated_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]


class Submitter(Base):
    """Who may drop files, and what their files say without saying it: how numbers and dates are
    written (``locale``, BCP 47) and in which zone clocks ran (``time_zone``, IANA). ``removed_at``
    is when the key was taken away; what was dropped stays.
    """

    __tablename__ = "submitter"

    name: Mapped[str] = mapped_column(primary_key=True)
    locale: Mapped[str | None]
    time_zone: Mapped[str | None]
    registered_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class PullState(Base):
    """Where the pulls of one source are: what the next one asks for follows from ``state``."""

    __tablename__ = "pull_state"

    source: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[dict[str, Any]]
    pulled_at: Mapped[datetime]


class SubmissionFile(Base):
    """One file of a submission. ``path`` is relative to the drop; counts are records.

    ``inbox_etag`` is what the inbox listing said when the file was read: an unchanged file is not
    read again.
    """

    __tablename__ = "submission_file"
    __table_args__ = (CheckConstraint(_one_of("outcome", FILE_OUTCOMES), name="outcome"),)

    submission_id: Mapped[str] = mapped_column(
        ForeignKey("submission.submission_id"), primary_key=True
    )
    path: Mapped[str] = mapped_column(primary_key=True)
    raw_key: Mapped[str]
    sha256: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    inbox_etag: Mapped[str | None]
    file_type: Mapped[str]
    layout: Mapped[str | None]
    layout_version: Mapped[str | None]
    outcome: Mapped[str]
    note: Mapped[str | None]
    arrived: Mapped[int | None] = mapped_column(BigInteger)
    accepted: Mapped[int | None] = mapped_column(BigInteger)
    quarantined: Mapped[int | None] = mapped_column(BigInteger)


class InboxGroup(Base):
    """What intake last saw of one drop in the inbox. ``fingerprint`` is the hash of its listing."""

    __tablename__ = "inbox_group"
    __table_args__ = (CheckConstraint(_one_of("outcome", GROUP_OUTCOMES), name="outcome"),)

    group_key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    file_count: Mapped[int] = mapped_column(Integer)
    byte_count: Mapped[int] = mapped_column(BigInteger)
    first_seen_at: Mapped[datetime]
    last_changed_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    submission_id: Mapped[str | None] = mapped_column(ForeignKey("submission.submission_id"))
    outcome: Mapped[str]
    note: Mapped[str | None]


class CommandDrop(Base):
    """A drop that `lakehouse drop` put into the inbox.

    ``source`` is a reference to the path it came from: another path of the same name is another
    drop. ``replaces`` is the submission that its content replaces whole, so that nothing of it is
    taken over. ``finished`` is false while files are being put: what is there is not all.
    """

    __tablename__ = "command_drop"

    group_key: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    replaces: Mapped[str | None] = mapped_column(ForeignKey("submission.submission_id"))
    finished: Mapped[bool] = mapped_column(Boolean, server_default=false())
    put_at: Mapped[datetime]


class Quarantine(Base):
    """Input that was not taken, with the reason. Never holds identifiers, names or note text,
    except ``path`` (the submitter's file name), which leaves this table only as a reference."""

    __tablename__ = "quarantine"
    __table_args__ = (Index(None, "submission_id"), Index(None, "reason"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.submission_id"))
    path: Mapped[str]
    position: Mapped[str | None]
    reason: Mapped[str]
    detail: Mapped[str]
    sample: Mapped[dict[str, Any] | None]
    record_count: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Layout(Base):
    """Columns of one tabular layout in one version (a mirror of ``ingestion/intake/layouts``)."""

    __tablename__ = "layout"

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    file_type: Mapped[str]
    description: Mapped[str]
    delimiter: Mapped[str]
    columns: Mapped[list[dict[str, Any]]]
    definition_sha256: Mapped[str]
    synced_at: Mapped[datetime]


class AuditEvent(Base):
    """One thing that somebody did. Append-only (a trigger refuses change) and hash-chained."""

    __tablename__ = "audit_event"
    __table_args__ = (Index(None, "subject"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
    occurred_at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    reason: Mapped[str | None]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    previous_hash: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)


class IntegrationQueue(Base):
    """Submissions whose arrival or removal Silver does not know yet. Ids rise in commit order."""

    __tablename__ = "integration_queue"
    __table_args__ = (CheckConstraint(_one_of("change", CHANGES), name="change"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.submission_id"))
    change: Mapped[str]
    enqueued_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Build(Base):
    """One run of dbt over Silver and what follows. At most one is running.

    ``gold_snapshot`` is the lake's snapshot in which Gold and marts are whole, were made from this
    build of Silver, and were checked; null where they were not.
    """

    __tablename__ = "build"
    __table_args__ = (
        CheckConstraint(_one_of("status", BUILD_STATUSES), name="status"),
        Index(
            "uq_build_running",
            "status",
            unique=True,
            postgresql_where=text("status = 'running'"),
        ),
    )

    build_id: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    status: Mapped[str]
    note: Mapped[str | None]
    full_refresh: Mapped[bool] = mapped_column(Boolean)
    run_id: Mapped[str | None]
    max_queue_id: Mapped[int] = mapped_column(BigInteger)
    silver_snapshot: Mapped[int | None] = mapped_column(BigInteger)
    gold_snapshot: Mapped[int | None] = mapped_column(BigInteger)


class BuildSubmission(Base):
    """One submission that a build adds to Silver or removes from it.

    ``queue_id`` is the row of the integration queue that the change came from, where that is newer
    than the build: a hold while it ran.
    """

    __tablename__ = "build_submission"
    __table_args__ = (
        CheckConstraint(_one_of("change", CHANGES), name="change"),
        Index(None, "submission_id"),
    )

    build_id: Mapped[str] = mapped_column(ForeignKey("build.build_id"), primary_key=True)
    submission_id: Mapped[str] = mapped_column(
        ForeignKey("submission.submission_id"), primary_key=True
    )
    change: Mapped[str]
    queue_id: Mapped[int | None] = mapped_column(BigInteger)


class SubmissionHold(Base):
    """One error rule that the rows of a submission broke. ``observed`` holds numbers only.

    It counts while the submission is HELD and ``status`` is ``held``; ``released`` means that a
    person took the submission in nevertheless, ``ended`` that it was landed again since.
    """

    __tablename__ = "submission_hold"
    __table_args__ = (
        CheckConstraint(_one_of("status", HOLD_STATUSES), name="status"),
        Index(None, "submission_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.submission_id"))
    build_id: Mapped[str | None] = mapped_column(ForeignKey("build.build_id"))
    layer: Mapped[str]
    table_name: Mapped[str]
    rule: Mapped[str]
    column_name: Mapped[str | None]
    observed: Mapped[dict[str, Any]]
    expected: Mapped[str]
    message: Mapped[str]
    status: Mapped[str]
    held_at: Mapped[datetime] = mapped_column(server_default=func.now())


class CheckResult(Base):
    """One rule evaluated once. ``observed`` holds numbers, never values of patients."""

    __tablename__ = "check_result"
    __table_args__ = (
        CheckConstraint(_one_of("severity", SEVERITIES), name="severity"),
        Index(None, "build_id"),
        Index(None, "checked_at"),
        Index(None, "layer", "checked_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
    build_id: Mapped[str | None] = mapped_column(ForeignKey("build.build_id"))
    run_id: Mapped[str | None]
    layer: Mapped[str]
    table_name: Mapped[str]
    rule: Mapped[str]
    column_name: Mapped[str | None]
    severity: Mapped[str]
    passed: Mapped[bool] = mapped_column(Boolean)
    observed: Mapped[dict[str, Any] | None]
    expected: Mapped[str | None]
    message: Mapped[str | None]
    checked_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Publish(Base):
    """One publish of the marts to Postgres."""

    __tablename__ = "publish"
    __table_args__ = (CheckConstraint(_one_of("state", PUBLISH_STATES), name="state"),)

    n: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    schema_name: Mapped[str]
    build_id: Mapped[str | None] = mapped_column(ForeignKey("build.build_id"))
    snapshot_id: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str]
    row_counts: Mapped[dict[str, Any]]
    published_at: Mapped[datetime]
    actor: Mapped[str]


class Heartbeat(Base):
    """One beat: the row that proves that Postgres takes writes."""

    __tablename__ = "heartbeat"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=False), primary_key=True)
    written_at: Mapped[datetime] = mapped_column(server_default=func.now())


_VIEWS = MetaData()

#: The view ``ops.freshness``; a view, so no model and nothing for Alembic to compare.
OPS_FRESHNESS = Table(
    "freshness",
    _VIEWS,
    Column("stage", Text),
    Column("newest_at", TIMESTAMP(timezone=True)),
    Column("age_seconds", Double),
    schema="ops",
)

#: The views ``ops.current_check`` and ``ops.held_submission``: what rules say now.
OPS_CURRENT_CHECK = Table(
    "current_check",
    _VIEWS,
    Column("layer", Text),
    Column("table_name", Text),
    Column("rule", Text),
    Column("column_name", Text),
    Column("severity", Text),
    Column("passed", Boolean),
    Column("observed", JSONB),
    Column("expected", Text),
    Column("message", Text),
    Column("build_id", Text),
    Column("checked_at", TIMESTAMP(timezone=True)),
    schema="ops",
)
OPS_HELD_SUBMISSION = Table(
    "held_submission",
    _VIEWS,
    Column("submission_id", Text),
    Column("submitter", Text),
    Column("file_type", Text),
    Column("layer", Text),
    Column("table_name", Text),
    Column("rule", Text),
    Column("observed", JSONB),
    Column("expected", Text),
    Column("message", Text),
    Column("held_at", TIMESTAMP(timezone=True)),
    schema="ops",
)
