"""Refused patterns beside confirmed ones, both fading with time; look-ups that are used again."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_domain_patterns_confirmed"), "domain_patterns", type_="check")
    op.alter_column("domain_patterns", "confirmed", type_=sa.Float(), existing_type=sa.Integer())
    op.add_column("domain_patterns", sa.Column("refused", sa.Float(), server_default="0", nullable=False))
    op.create_check_constraint(
        op.f("ck_domain_patterns_not_negative"), "domain_patterns", "confirmed >= 0 AND refused >= 0"
    )
    op.create_table(
        "lookups",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("person", sa.LargeBinary(), nullable=False),
        sa.Column("mailbox", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("length(person) = 32", name=op.f("ck_lookups_person")),
        sa.CheckConstraint("length(mailbox) = 32", name=op.f("ck_lookups_mailbox")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_lookups_account_id")),
        sa.PrimaryKeyConstraint("account_id", "person", name=op.f("pk_lookups")),
    )
    op.create_index("ix_lookups_asked_at", "lookups", ["asked_at"])
    op.create_index("ix_lookups_mailbox", "lookups", ["mailbox"])


def downgrade() -> None:
    op.drop_table("lookups")
    op.execute("DELETE FROM domain_patterns WHERE confirmed < 0.5")
    op.drop_constraint(op.f("ck_domain_patterns_not_negative"), "domain_patterns", type_="check")
    op.drop_column("domain_patterns", "refused")
    op.alter_column("domain_patterns", "confirmed", type_=sa.Integer(), existing_type=sa.Float())
    op.create_check_constraint(op.f("ck_domain_patterns_confirmed"), "domain_patterns", "confirmed > 0")
