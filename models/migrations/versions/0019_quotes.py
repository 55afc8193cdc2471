"""Quotes: the key that signs them, and which run used which quote."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

USED = sa.text("quote_id IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("length(key) = 32", name=op.f("ck_signing_keys_key")),
        sa.PrimaryKeyConstraint("purpose", name=op.f("pk_signing_keys")),
    )
    op.add_column("runs", sa.Column("quote_id", sa.Uuid(), nullable=True))
    op.create_index("uq_runs_quote_id", "runs", ["quote_id"], unique=True, postgresql_where=USED)


def downgrade() -> None:
    op.drop_index("uq_runs_quote_id", "runs", postgresql_where=USED)
    op.drop_column("runs", "quote_id")
    op.drop_table("signing_keys")
