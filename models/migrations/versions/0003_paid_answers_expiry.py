"""Answers of paid providers; expiry of finished runs' data."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_answers",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("question", sa.LargeBinary(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("cost", sa.Numeric(12, 4), server_default="0", nullable=False),
        sa.Column("evidence", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.CheckConstraint("status IN ('found', 'not_found')", name=op.f("ck_provider_answers_status")),
        sa.CheckConstraint("cost >= 0", name=op.f("ck_provider_answers_not_negative")),
        sa.CheckConstraint("(answered_at IS NULL) = (status IS NULL)", name=op.f("ck_provider_answers_answered_at")),
        sa.CheckConstraint("(status = 'found') = (email IS NOT NULL)", name=op.f("ck_provider_answers_email")),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name=op.f("ck_provider_answers_score")),
        sa.CheckConstraint("length(question) = 32", name=op.f("ck_provider_answers_question")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_provider_answers_account_id")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_provider_answers_run_id")),
        sa.PrimaryKeyConstraint("account_id", "provider", "question", name=op.f("pk_provider_answers")),
    )
    op.create_index("ix_provider_answers_run_id", "provider_answers", ["run_id"])
    op.create_index("ix_provider_answers_asked_at", "provider_answers", ["asked_at"])
    op.add_column("runs", sa.Column("expired_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f("ck_runs_expired_at"), "runs", "expired_at IS NULL OR finished_at IS NOT NULL")
    op.create_index(
        "ix_runs_unexpired",
        "runs",
        ["finished_at"],
        postgresql_where=sa.text("expired_at IS NULL AND finished_at IS NOT NULL"),
    )
    # Before, a contact that was deleted looked through all outcomes of its run for its own.
    for table in ("outcomes", "deferrals"):
        op.drop_constraint(op.f(f"pk_{table}"), table, type_="primary")
        op.create_primary_key(op.f(f"pk_{table}"), table, ["run_id", "position", "stage"])


def downgrade() -> None:
    for table in ("outcomes", "deferrals"):
        op.drop_constraint(op.f(f"pk_{table}"), table, type_="primary")
        op.create_primary_key(op.f(f"pk_{table}"), table, ["run_id", "stage", "position"])
    op.drop_index("ix_runs_unexpired", table_name="runs")
    op.drop_constraint(op.f("ck_runs_expired_at"), "runs", type_="check")
    op.drop_column("runs", "expired_at")
    op.drop_table("provider_answers")
