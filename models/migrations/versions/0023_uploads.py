"""Uploads: files of contacts, their bytes, and the rows that were read from them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

OF_UPLOAD = sa.text("upload_id IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("received", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expected_sha256", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("has_bytes", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("preset", sa.Text(), nullable=False),
        sa.Column("mapping", postgresql.JSONB(), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=True),
        sa.Column("reading", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("recognised", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("counts", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("contact_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("extra_columns", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("discarded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "received >= 0 AND reading >= 0 AND contact_count >= 0", name=op.f("ck_uploads_not_negative")
        ),
        sa.CheckConstraint("received <= size", name=op.f("ck_uploads_received")),
        sa.CheckConstraint("refusal IS NULL OR reading > 0", name=op.f("ck_uploads_refusal")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_uploads_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index("ix_uploads_account_id_created_at", "uploads", ["account_id", "created_at"])
    op.create_index("ix_uploads_expires_at", "uploads", ["expires_at"])
    op.create_table(
        "upload_pieces",
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "start", name=op.f("pk_upload_pieces")),
    )
    # Compressing takes several times as long as writing, and the bytes are needed for minutes.
    op.execute("ALTER TABLE upload_pieces ALTER COLUMN content SET STORAGE EXTERNAL")
    op.create_table(
        "upload_rows",
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("contact", sa.Integer(), nullable=True),
        sa.Column("is_first", sa.Boolean(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("work_order", "first_name", "last_name", "full_name", "company", "domain", "email")
        ),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("line", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "row", name=op.f("pk_upload_rows")),
    )
    op.add_column("runs", sa.Column("upload_id", sa.Uuid(), nullable=True))
    op.create_index("ix_runs_upload_id", "runs", ["upload_id"], postgresql_where=OF_UPLOAD)


def downgrade() -> None:
    op.drop_index("ix_runs_upload_id", "runs", postgresql_where=OF_UPLOAD)
    op.drop_column("runs", "upload_id")
    for table in ("upload_rows", "upload_pieces", "uploads"):
        op.drop_table(table)
