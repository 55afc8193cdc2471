"""Dead messages of hooks are counted and found in an index of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_hook_messages_dead",
        "hook_messages",
        ["hook_id", "created_at", "id"],
        postgresql_where=sa.text("state = 'dead'"),
    )


def downgrade() -> None:
    op.drop_index("ix_hook_messages_dead", "hook_messages")
