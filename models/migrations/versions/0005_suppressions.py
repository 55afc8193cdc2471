"""The do-not-contact list; contacts that were erased."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "suppressions",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('address', 'domain', 'hash', 'person')", name=op.f("ck_suppressions_kind")),
        sa.CheckConstraint("length(sha256) = 32", name=op.f("ck_suppressions_sha256")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_suppressions_account_id")),
        sa.PrimaryKeyConstraint("account_id", "sha256", name=op.f("pk_suppressions")),
    )
    op.add_column("contacts", sa.Column("erased", sa.Boolean(), server_default=sa.text("false"), nullable=False))


def downgrade() -> None:
    op.drop_column("contacts", "erased")
    op.drop_table("suppressions")
