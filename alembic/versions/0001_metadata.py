"""The metadata database: tables, the audit trail's guard, views for dbt and for dashboards."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SQL = Path(__file__).resolve().parents[1] / "sql"


def upgrade() -> None:
    op.create_table(
        "audit_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("occurred_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_event_hash")),
    )
    op.create_index(op.f("ix_audit_event_subject"), "audit_event", ["subject"], unique=False)
    op.create_table(
        "build",
        sa.Column("build_id", sa.Text(), nullable=False),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("finished_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("full_refresh", sa.Boolean(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("max_queue_id", sa.BigInteger(), nullable=False),
        sa.Column("silver_snapshot", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "status in ('running', 'succeeded', 'failed')", name=op.f("ck_build_status")
        ),
        sa.PrimaryKeyConstraint("build_id", name=op.f("pk_build")),
    )
    op.create_index(
        "uq_build_running",
        "build",
        ["status"],
        unique=True,
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_table(
        "heartbeat",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "written_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "layout",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("file_type", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("delimiter", sa.Text(), nullable=False),
        sa.Column("columns", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("definition_sha256", sa.Text(), nullable=False),
        sa.Column("synced_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_layout")),
    )
    op.create_table(
        "submission",
        sa.Column("submission_id", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("submitter", sa.Text(), nullable=False),
        sa.Column("file_type", sa.Text(), nullable=False),
        sa.Column("drop_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("content_sha256", sa.Text(), nullable=False),
        sa.Column("file_count", sa.Integer(), nullable=False),
        sa.Column("byte_count", sa.BigInteger(), nullable=False),
        sa.Column("supersedes", sa.Text(), nullable=True),
        sa.Column("superseded_by", sa.Text(), nullable=True),
        sa.Column("in_silver", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("staged_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("landed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("integrated_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("published_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("withdrawn_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state in ('RECEIVED', 'STAGED', 'LANDED', 'INTEGRATED', 'PUBLISHED', 'QUARANTINED', "
            "'NEEDS_REVIEW', 'SUPERSEDED', 'WITHDRAWN')",
            name=op.f("ck_submission_state"),
        ),
        sa.ForeignKeyConstraint(
            ["superseded_by"],
            ["submission.submission_id"],
            name=op.f("fk_submission_superseded_by"),
        ),
        sa.ForeignKeyConstraint(
            ["supersedes"], ["submission.submission_id"], name=op.f("fk_submission_supersedes")
        ),
        sa.PrimaryKeyConstraint("submission_id", name=op.f("pk_submission")),
    )
    op.create_index(op.f("ix_submission_group_key"), "submission", ["group_key"], unique=False)
    op.create_index(op.f("ix_submission_state"), "submission", ["state"], unique=False)
    op.create_index(
        op.f("ix_submission_submitter_content_sha256"),
        "submission",
        ["submitter", "content_sha256"],
        unique=False,
    )
    op.create_table(
        "build_submission",
        sa.Column("build_id", sa.Text(), nullable=False),
        sa.Column("submission_id", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "change in ('added', 'removed')", name=op.f("ck_build_submission_change")
        ),
        sa.ForeignKeyConstraint(
            ["build_id"], ["build.build_id"], name=op.f("fk_build_submission_build_id")
        ),
        sa.ForeignKeyConstraint(
            ["submission_id"],
            ["submission.submission_id"],
            name=op.f("fk_build_submission_submission_id"),
        ),
        sa.PrimaryKeyConstraint("build_id", "submission_id", name=op.f("pk_build_submission")),
    )
    op.create_index(
        op.f("ix_build_submission_submission_id"),
        "build_submission",
        ["submission_id"],
        unique=False,
    )
    op.create_table(
        "check_result",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("build_id", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("layer", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("observed", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("expected", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column(
            "checked_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "severity in ('error', 'warning')", name=op.f("ck_check_result_severity")
        ),
        sa.ForeignKeyConstraint(
            ["build_id"], ["build.build_id"], name=op.f("fk_check_result_build_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_check_result")),
    )
    op.create_index(op.f("ix_check_result_build_id"), "check_result", ["build_id"], unique=False)
    op.create_index(
        op.f("ix_check_result_checked_at"), "check_result", ["checked_at"], unique=False
    )
    op.create_table(
        "inbox_group",
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("file_count", sa.Integer(), nullable=False),
        sa.Column("byte_count", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("last_changed_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("closed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("submission_id", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome in ('open', 'registered', 'duplicate')", name=op.f("ck_inbox_group_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["submission_id"],
            ["submission.submission_id"],
            name=op.f("fk_inbox_group_submission_id"),
        ),
        sa.PrimaryKeyConstraint("group_key", name=op.f("pk_inbox_group")),
    )
    op.create_table(
        "integration_queue",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("submission_id", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column(
            "enqueued_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "change in ('added', 'removed')", name=op.f("ck_integration_queue_change")
        ),
        sa.ForeignKeyConstraint(
            ["submission_id"],
            ["submission.submission_id"],
            name=op.f("fk_integration_queue_submission_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_integration_queue")),
    )
    op.create_table(
        "publish",
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("schema_name", sa.Text(), nullable=False),
        sa.Column("build_id", sa.Text(), nullable=True),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("row_counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("published_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state in ('current', 'previous', 'dropped', 'failed')", name=op.f("ck_publish_state")
        ),
        sa.ForeignKeyConstraint(["build_id"], ["build.build_id"], name=op.f("fk_publish_build_id")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_publish")),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("submission_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("sample", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("record_count", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["submission_id"],
            ["submission.submission_id"],
            name=op.f("fk_quarantine_submission_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )
    op.create_index(op.f("ix_quarantine_reason"), "quarantine", ["reason"], unique=False)
    op.create_index(
        op.f("ix_quarantine_submission_id"), "quarantine", ["submission_id"], unique=False
    )
    op.create_table(
        "submission_file",
        sa.Column("submission_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("raw_key", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("inbox_etag", sa.Text(), nullable=True),
        sa.Column("file_type", sa.Text(), nullable=False),
        sa.Column("layout", sa.Text(), nullable=True),
        sa.Column("layout_version", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("arrived", sa.BigInteger(), nullable=True),
        sa.Column("accepted", sa.BigInteger(), nullable=True),
        sa.Column("quarantined", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "outcome in ('staged', 'landed', 'quarantined', 'skipped', 'review')",
            name=op.f("ck_submission_file_outcome"),
        ),
        sa.ForeignKeyConstraint(
            ["submission_id"],
            ["submission.submission_id"],
            name=op.f("fk_submission_file_submission_id"),
        ),
        sa.PrimaryKeyConstraint("submission_id", "path", name=op.f("pk_submission_file")),
    )
    op.execute((_SQL / "0001_audit_guard.sql").read_text(encoding="utf-8"))
    op.execute((_SQL / "0001_views.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("drop schema ops cascade")
    op.execute("drop view live_submission")
    op.execute("drop view pending_submission")
    op.drop_table("submission_file")
    op.drop_index(op.f("ix_quarantine_submission_id"), table_name="quarantine")
    op.drop_index(op.f("ix_quarantine_reason"), table_name="quarantine")
    op.drop_table("quarantine")
    op.drop_table("publish")
    op.drop_table("integration_queue")
    op.drop_table("inbox_group")
    op.drop_index(op.f("ix_check_result_checked_at"), table_name="check_result")
    op.drop_index(op.f("ix_check_result_build_id"), table_name="check_result")
    op.drop_table("check_result")
    op.drop_index(op.f("ix_build_submission_submission_id"), table_name="build_submission")
    op.drop_table("build_submission")
    op.drop_index(op.f("ix_submission_submitter_content_sha256"), table_name="submission")
    op.drop_index(op.f("ix_submission_state"), table_name="submission")
    op.drop_index(op.f("ix_submission_group_key"), table_name="submission")
    op.drop_table("submission")
    op.drop_table("layout")
    op.drop_table("heartbeat")
    op.drop_index(
        "uq_build_running", table_name="build", postgresql_where=sa.text("status = 'running'")
    )
    op.drop_table("build")
    op.drop_index(op.f("ix_audit_event_subject"), table_name="audit_event")
    op.drop_table("audit_event")
    op.execute("drop function refuse_audit_change")
