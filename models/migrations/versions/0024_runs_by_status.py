"""An account's runs are listed by status."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

NAME = "ix_runs_account_id_status_created_at"


def upgrade() -> None:
    op.create_index(NAME, "runs", ["account_id", "status", "created_at"])


def downgrade() -> None:
    op.drop_index(NAME, "runs")
