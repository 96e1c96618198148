"""What dbt's tests say is among the checks."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SQL = Path(__file__).resolve().parents[1] / "sql"


def upgrade() -> None:
    op.execute((_SQL / "0006_dbt_checks.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("delete from check_result where starts_with(rule, 'dbt_')")
    views = (_SQL / "0002_held_views.sql").read_text(encoding="utf-8")
    current = views.partition("-- One row per rule that fails now.")[0]
    op.execute(current.replace("create view", "create or replace view"))
