"""Artifacts: what a completed run delivers, export files among them."""

from typing import Annotated
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, BigCounter, CreatedAt, not_negative

EXPORT = "export"
NEW_KEY = "sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))"
SigningKey = Annotated[bytes, mapped_column(server_default=text(NEW_KEY))]


class Artifact(Base):
    """An artifact of a run: most have a file at `storage_key`, or a small one in `content`, with the hash `sha256`.

    One of kind `export` always has a file.

    Links to it are signed with its `signing_key`, which leaves the database for that only.
    """

    __tablename__ = "artifacts"
    __table_args__ = (
        not_negative("rows", "bytes"),
        CheckConstraint(
            "CASE WHEN num_nonnulls(format, mime_type, bytes, sha256, storage_key, content) = 0 THEN kind <> 'export' "
            "ELSE num_nonnulls(format, mime_type, bytes, sha256) = 4 AND num_nonnulls(storage_key, content) = 1 "
            "AND (kind <> 'export' OR content IS NULL) END",
            name="export_is_a_file",
        ),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    asset_id: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str]
    kind: Mapped[str]
    rows: Mapped[BigCounter]
    format: Mapped[str | None]
    mime_type: Mapped[str | None]
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    storage_key: Mapped[str | None]
    content: Mapped[str | None]
    signing_key: Mapped[SigningKey]
    created_at: Mapped[CreatedAt]
