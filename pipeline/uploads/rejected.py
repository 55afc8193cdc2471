"""The rows of an upload that can't be used: number, field and reason, and the row itself."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from models.upload import Upload

PAGE = 1_000
OURS = ("row", "field", "reason")

REJECTED = text("""
SELECT row, field, reason, line FROM upload_rows
WHERE upload_id = :upload_id AND row > :after AND reason IS NOT NULL ORDER BY row LIMIT :count
""")


def rejected_header(upload: Upload) -> list[str]:
    """The columns of a file of rejected rows: ours, then the file's own."""
    return [*OURS, *(heading for heading, _ in upload.recognised.get("columns", []))]


def rejected_page(session: Session, upload_id: UUID, after: int, count: int = PAGE) -> Sequence[Row[Any]]:
    """The next rejected rows after a row. `line` is a whole row as CSV."""
    return session.execute(REJECTED, {"upload_id": upload_id, "after": after, "count": count}).all()
