"""Deletes uploads that no run uses any more, in small steps, each of which may be repeated."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, exists, func, select, text, update
from sqlalchemy.orm import Session

from models.database import changed_rows
from models.run import Run
from models.upload import Upload

ROWS = 10_000
PIECES = 20
"""Deleted in one transaction: some 40 MB of pieces."""

# Each batch begins behind the one before: the index still has the entries of rows that are just deleted.
DELETE_ROWS = text("""
WITH gone AS (
  DELETE FROM upload_rows WHERE upload_id = :upload_id AND row IN (
    SELECT row FROM upload_rows WHERE upload_id = :upload_id AND row > :after ORDER BY row LIMIT :count
  ) RETURNING row
)
SELECT max(row) FROM gone
""")
DELETE_PIECES = text("""
WITH gone AS (
  DELETE FROM upload_pieces WHERE upload_id = :upload_id AND start IN (
    SELECT start FROM upload_pieces WHERE upload_id = :upload_id AND start > :after ORDER BY start LIMIT :count
  ) RETURNING start
)
SELECT max(start) FROM gone
""")

_RUN = exists().where(Run.upload_id == Upload.id, Run.retracted_at.is_(None))


def discard_expired(session: Session, limit: int = 1_000) -> Sequence[UUID]:
    """Discard uploads whose time is over and that no run uses; return them, and those discarded before."""
    due = Upload.discarded_at.is_(None) & (Upload.expires_at < func.now()) & ~_RUN
    # A locked one is just being filled, read or used.
    locked = select(Upload.id).where(due).order_by(Upload.expires_at).limit(limit).with_for_update(skip_locked=True)
    if ids := session.scalars(locked).all():
        # Looks again for runs: one may have been committed before the lock was taken.
        changed_rows(session, update(Upload).where(Upload.id.in_(ids), due).values(discarded_at=func.now()))
    return session.scalars(select(Upload.id).where(Upload.discarded_at.is_not(None)).limit(limit)).all()


def with_needless_bytes(session: Session, limit: int = 1_000) -> Sequence[UUID]:
    """Uploads that runs use and whose time to be read in another way is over. Their bytes are not needed any more."""
    due = (Upload.expires_at < func.now()) & Upload.has_bytes & Upload.discarded_at.is_(None) & _RUN
    return session.scalars(select(Upload.id).where(due).limit(limit)).all()


def note_deleted_bytes(session: Session, upload_id: UUID) -> None:
    """Note that an upload has no pieces any more."""
    changed_rows(session, update(Upload).where(Upload.id == upload_id).values(has_bytes=False))


def delete_pieces(session: Session, upload_id: UUID, after: int) -> int | None:
    """Delete some pieces of an upload behind `after`; return the start of the last one, None if there was none."""
    last: int | None = session.scalar(DELETE_PIECES, {"upload_id": upload_id, "after": after, "count": PIECES})
    return last


def delete_rows(session: Session, upload_id: UUID, after: int) -> int | None:
    """Delete some rows of a discarded upload behind `after`; return the number of the last one, as `delete_pieces`."""
    last: int | None = session.scalar(DELETE_ROWS, {"upload_id": upload_id, "after": after, "count": ROWS})
    return last


def delete_upload(session: Session, upload_id: UUID) -> bool:
    """Delete the row of a discarded upload that has nothing left."""
    return bool(changed_rows(session, delete(Upload).where(Upload.id == upload_id, Upload.discarded_at.is_not(None))))
