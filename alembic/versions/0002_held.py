"""Submissions are held one by one; what fails now is a view."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SQL = Path(__file__).resolve().parents[1] / "sql"
_STATES = (
    *("RECEIVED", "STAGED", "LANDED", "INTEGRATED", "PUBLISHED", "QUARANTINED", "NEEDS_REVIEW"),
    *("SUPERSEDED", "WITHDRAWN"),
)


def upgrade() -> None:
    _allow_states(*_STATES, "HELD")
    op.add_column(
        "submission", sa.Column("judged_at", postgresql.TIMESTAMP(timezone=True), nullable=True)
    )
    # What was taken in before rules judged single submissions stays.
    op.execute("update submission set judged_at = integrated_at where in_silver")
    op.add_column("build_submission", sa.Column("queue_id", sa.BigInteger(), nullable=True))
    op.create_table(
        "submission_hold",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("submission_id", sa.Text(), nullable=False),
        sa.Column("build_id", sa.Text(), nullable=True),
        sa.Column("layer", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=True),
        sa.Column("observed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column(
            "held_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "status in ('held', 'released', 'ended')", name=op.f("ck_submission_hold_status")
        ),
        sa.ForeignKeyConstraint(
            ["build_id"], ["build.build_id"], name=op.f("fk_submission_hold_build_id")
        ),
        sa.ForeignKeyConstraint(
            ["submission_id"],
            ["submission.submission_id"],
            name=op.f("fk_submission_hold_submission_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submission_hold")),
    )
    op.create_index(
        op.f("ix_submission_hold_submission_id"), "submission_hold", ["submission_id"], unique=False
    )
    op.create_index(
        op.f("ix_check_result_layer_checked_at"),
        "check_result",
        ["layer", "checked_at"],
        unique=False,
    )
    op.execute((_SQL / "0002_held_views.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    for view in ("held_submission", "failing_check", "current_check"):
        op.execute(f"drop view ops.{view}")
    op.drop_index(op.f("ix_check_result_layer_checked_at"), table_name="check_result")
    op.drop_index(op.f("ix_submission_hold_submission_id"), table_name="submission_hold")
    op.drop_table("submission_hold")
    op.drop_column("build_submission", "queue_id")
    op.drop_column("submission", "judged_at")
    # What is held is in no table of Silver: without that state it waits for a build.
    op.execute("update submission set state = 'LANDED' where state = 'HELD'")
    _allow_states(*_STATES)


def _allow_states(*states: str) -> None:
    name = op.f("ck_submission_state")
    op.drop_constraint(name, "submission", type_="check")
    allowed = ", ".join(repr(state) for state in states)
    op.create_check_constraint(name, "submission", f"state in ({allowed})")
