"""Export files that are still to be written: when they are tried next, how often they were, and who writes them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NOT_NEGATIVE = "charge_per_contact >= 0 AND rebate_per_unresolved >= 0 AND rebate_per_unverified >= 0 AND version >= 0 AND resends >= 0"

# Those whose files could not be written for an hour were forgotten until now.
UNEXPORTED = """
UPDATE runs SET export_retry_at = now()
WHERE status IN ('completed', 'failed', 'cancelled') AND expired_at IS NULL AND jsonb_array_length(export_formats) > 0
  AND NOT EXISTS (SELECT FROM artifacts a WHERE a.run_id = runs.id AND a.kind = 'export')
  AND EXISTS (SELECT FROM contacts c WHERE c.run_id = runs.id AND c.input_row = 0)
"""


def upgrade() -> None:
    op.add_column("runs", sa.Column("export_retry_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("export_attempts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("runs", sa.Column("exporter", sa.Text(), nullable=True))
    op.drop_constraint(op.f("ck_runs_not_negative"), "runs", type_="check")
    op.create_check_constraint(op.f("ck_runs_not_negative"), "runs", f"{NOT_NEGATIVE} AND export_attempts >= 0")
    op.create_check_constraint(op.f("ck_runs_exporter"), "runs", "exporter IS NULL OR export_retry_at IS NOT NULL")
    op.create_index(
        "ix_runs_unexported", "runs", ["account_id"], postgresql_where=sa.text("export_retry_at IS NOT NULL")
    )
    op.execute(UNEXPORTED)


def downgrade() -> None:
    op.drop_index("ix_runs_unexported", "runs")
    op.drop_constraint(op.f("ck_runs_exporter"), "runs", type_="check")
    op.drop_constraint(op.f("ck_runs_not_negative"), "runs", type_="check")
    op.create_check_constraint(op.f("ck_runs_not_negative"), "runs", NOT_NEGATIVE)
    for column in ("exporter", "export_attempts", "export_retry_at"):
        op.drop_column("runs", column)
