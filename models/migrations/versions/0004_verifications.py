"""Verdicts that are used again; runs that want fresh ones."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "verifications",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('valid', 'risky', 'invalid')", name=op.f("ck_verifications_status")),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name=op.f("ck_verifications_score")),
        sa.CheckConstraint("length(address) = 32", name=op.f("ck_verifications_address")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_verifications_account_id")),
        sa.PrimaryKeyConstraint("account_id", "address", name=op.f("pk_verifications")),
    )
    op.create_index("ix_verifications_checked_at", "verifications", ["checked_at"])
    op.add_column("runs", sa.Column("fresh", sa.Boolean(), server_default=sa.text("false"), nullable=False))


def downgrade() -> None:
    op.drop_column("runs", "fresh")
    op.drop_table("verifications")
