"""Each file has a key of its own, with which links to it are signed."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

NEW_KEY = "sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))"


def upgrade() -> None:
    op.add_column(
        "artifacts", sa.Column("signing_key", sa.LargeBinary(), server_default=sa.text(NEW_KEY), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("artifacts", "signing_key")
