"""The digest of a person begins with that of the domain. Those of before can't be read any more: they are forgotten."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM lookups")


def downgrade() -> None:
    op.execute("DELETE FROM lookups")
