"""What fails in a run, and how often in a row."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("failures", sa.Integer(), server_default="0", nullable=False))
    op.add_column("runs", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("trouble", postgresql.JSONB(), nullable=True))
    op.add_column("runs", sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_runs_trouble"),
        "runs",
        "failures = 0 OR (failures > 0 AND num_nulls(trouble, troubled_since, retry_at) = 0)",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_runs_trouble"), "runs", type_="check")
    for name in ("retry_at", "trouble", "troubled_since", "failures"):
        op.drop_column("runs", name)
