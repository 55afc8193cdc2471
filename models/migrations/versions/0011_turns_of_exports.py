"""Indexes at whose beginning a claim finds whose turn it is, however many runs of an account wait for their files."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WAITS = sa.text("export_retry_at IS NOT NULL")


def upgrade() -> None:
    op.drop_index("ix_runs_unexported", "runs")
    op.create_index("ix_runs_unexported", "runs", ["account_id", "export_retry_at"], postgresql_where=WAITS)
    op.create_index("ix_runs_exporting", "runs", ["account_id"], postgresql_where=sa.text("exporter IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_runs_exporting", "runs")
    op.drop_index("ix_runs_unexported", "runs")
    op.create_index("ix_runs_unexported", "runs", ["account_id"], postgresql_where=WAITS)
