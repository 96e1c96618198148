"""Where the drops of the command line came from, and what they replace."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "command_drop",
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("replaces", sa.Text(), nullable=True),
        sa.Column("finished", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("put_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["replaces"],
            ["submission.submission_id"],
            name=op.f("fk_command_drop_replaces"),
        ),
        sa.PrimaryKeyConstraint("group_key", name=op.f("pk_command_drop")),
    )


def downgrade() -> None:
    op.drop_table("command_drop")
