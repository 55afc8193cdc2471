"""Files in the bucket of `EXPORT_STORAGE`. Those in a folder have no rows: a folder lists what is in it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, not_negative


class StoredFile(Base):
    """A file that is, or may yet come to be, in the bucket. Its row is written before it, and deleted after it.

    `delete_after` is null while an artifact names the file. Until then it is the time by which its writer must have
    handed it out, and afterwards the time to delete it. Until `may_appear_until` a deleted file may appear again, since
    its writer may have been frozen: it is deleted again.
    """

    __tablename__ = "stored_files"
    __table_args__ = (
        not_negative("deletions"),
        CheckConstraint("delete_after IS NOT NULL OR deletions = 0", name="handed_out_is_not_deleted"),
        Index("ix_stored_files_run_id", "run_id"),
        Index("ix_stored_files_delete_after", "delete_after", postgresql_where=text("delete_after IS NOT NULL")),
    )

    key: Mapped[str] = mapped_column(primary_key=True)
    # Not a foreign key: the file outlives the run's row.
    run_id: Mapped[UUID]
    delete_after: Mapped[datetime | None]
    deletions: Mapped[int] = mapped_column(server_default=text("0"))
    may_appear_until: Mapped[datetime]
