"""A run knows which of its contacts repeat a person: they are worked with the first one and cost nothing."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("repeats", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False)
    op.add_column("runs", column)


def downgrade() -> None:
    op.drop_column("runs", "repeats")
