"""Cancel, retry, deferral."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deferrals",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("times > 0", name=op.f("ck_deferrals_times")),
        sa.ForeignKeyConstraint(
            ["run_id", "position"],
            ["contacts.run_id", "contacts.position"],
            name=op.f("fk_deferrals_run_id_position"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "stage", "position", name=op.f("pk_deferrals")),
    )
    op.add_column("run_chunks", sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("retry_of", sa.Uuid(), nullable=True))
    op.add_column("runs", sa.Column("charged_contacts", sa.Integer(), nullable=True))
    op.execute("UPDATE runs SET charged_contacts = contact_count")
    op.alter_column("runs", "charged_contacts", nullable=False)
    op.create_check_constraint(op.f("ck_runs_charged_contacts"), "runs", "charged_contacts BETWEEN 0 AND contact_count")
    op.create_check_constraint(op.f("ck_run_chunks_not_before"), "run_chunks", "not_before IS NULL OR status = 'open'")
    op.create_index("uq_runs_retry_of", "runs", ["retry_of"], unique=True)
    op.create_foreign_key(op.f("fk_runs_retry_of"), "runs", "runs", ["retry_of"], ["id"])


def downgrade() -> None:
    op.drop_constraint(op.f("fk_runs_retry_of"), "runs", type_="foreignkey")
    op.drop_index("uq_runs_retry_of", table_name="runs")
    op.drop_constraint(op.f("ck_run_chunks_not_before"), "run_chunks", type_="check")
    op.drop_column("runs", "charged_contacts")
    op.drop_column("runs", "retry_of")
    op.drop_column("run_chunks", "not_before")
    op.drop_table("deferrals")
