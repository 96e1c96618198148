"""Builds say in which snapshot Gold holds them; publishes say that readers are about to see them."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BEFORE = "state in ('current', 'previous', 'dropped', 'failed')"
_NOW = "state in ('current', 'previous', 'dropped', 'failed', 'switching', 'returning')"


def upgrade() -> None:
    op.add_column("build", sa.Column("gold_snapshot", sa.BigInteger(), nullable=True))
    _replace_states(_NOW)


def downgrade() -> None:
    op.execute("update publish set state = 'failed' where state = 'switching'")
    op.execute("update publish set state = 'previous' where state = 'returning'")
    _replace_states(_BEFORE)
    op.drop_column("build", "gold_snapshot")


def _replace_states(states: str) -> None:
    op.drop_constraint(op.f("ck_publish_state"), "publish", type_="check")
    op.create_check_constraint(op.f("ck_publish_state"), "publish", states)
