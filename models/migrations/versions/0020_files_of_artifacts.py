"""Artifacts have files, as exports have; a small one is kept in its row."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

BEFORE = "num_nonnulls(format, mime_type, bytes, sha256, storage_key) = CASE kind WHEN 'export' THEN 5 ELSE 0 END"
NOW = (
    "CASE WHEN num_nonnulls(format, mime_type, bytes, sha256, storage_key, content) = 0 THEN kind <> 'export' "
    "ELSE num_nonnulls(format, mime_type, bytes, sha256) = 4 AND num_nonnulls(storage_key, content) = 1 "
    "AND (kind <> 'export' OR content IS NULL) END"
)
WITHOUT_FILES = """
UPDATE artifacts SET format = NULL, mime_type = NULL, bytes = NULL, sha256 = NULL, storage_key = NULL
WHERE kind <> 'export'
"""


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("content", sa.Text(), nullable=True))
    op.drop_constraint(op.f("ck_artifacts_export_is_a_file"), "artifacts", type_="check")
    op.create_check_constraint(op.f("ck_artifacts_export_is_a_file"), "artifacts", NOW)


def downgrade() -> None:
    op.drop_constraint(op.f("ck_artifacts_export_is_a_file"), "artifacts", type_="check")
    op.execute(WITHOUT_FILES)
    op.create_check_constraint(op.f("ck_artifacts_export_is_a_file"), "artifacts", BEFORE)
    op.drop_column("artifacts", "content")
