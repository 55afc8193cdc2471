"""Files in a bucket have a row from before they exist until after they are deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

DUE = sa.text("delete_after IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "stored_files",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("delete_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deletions", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("may_appear_until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("deletions >= 0", name=op.f("ck_stored_files_not_negative")),
        sa.CheckConstraint(
            "delete_after IS NOT NULL OR deletions = 0", name=op.f("ck_stored_files_handed_out_is_not_deleted")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_stored_files")),
    )
    op.create_index("ix_stored_files_run_id", "stored_files", ["run_id"])
    op.create_index("ix_stored_files_delete_after", "stored_files", ["delete_after"], postgresql_where=DUE)


def downgrade() -> None:
    op.drop_table("stored_files")
