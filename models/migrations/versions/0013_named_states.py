"""Each state has a column of its own: retracted, parked, resent. The timeline no longer steers the sweeper."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COLUMNS = (
    ("runs", "retracted_at"),
    ("runs", "parked_until"),
    ("run_chunks", "resent_at"),
)

# Until now, a finished run without its first contact was one whose data was being deleted.
NOTE_RETRACTED = """
UPDATE runs SET retracted_at = coalesce(expired_at, now())
WHERE expired_at IS NOT NULL OR finished_at IS NOT NULL AND NOT EXISTS (
  SELECT FROM contacts c WHERE c.run_id = runs.id AND c.input_row = 0
)
"""


def upgrade() -> None:
    for table, column in COLUMNS:
        op.add_column(table, sa.Column(column, sa.DateTime(timezone=True), nullable=True))
    op.execute(NOTE_RETRACTED)
    op.drop_constraint(op.f("ck_runs_expired_at"), "runs", type_="check")
    op.create_check_constraint(op.f("ck_runs_expired_at"), "runs", "expired_at IS NULL OR retracted_at IS NOT NULL")
    op.create_check_constraint(op.f("ck_runs_retracted_at"), "runs", "retracted_at IS NULL OR finished_at IS NOT NULL")
    op.drop_index("ix_run_events_resent", "run_events")


def downgrade() -> None:
    op.create_index("ix_run_events_resent", "run_events", ["run_id", "at"], postgresql_where=sa.text("kind = 'resent'"))
    op.drop_constraint(op.f("ck_runs_retracted_at"), "runs", type_="check")
    op.drop_constraint(op.f("ck_runs_expired_at"), "runs", type_="check")
    op.create_check_constraint(op.f("ck_runs_expired_at"), "runs", "expired_at IS NULL OR finished_at IS NOT NULL")
    for table, column in reversed(COLUMNS):
        op.drop_column(table, column)
