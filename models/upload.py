"""Uploads: files of contacts as clients sent them, and what was read from them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, BigCounter, CreatedAt, IdKey, not_negative


class Upload(Base):
    """A file of contacts that a client sends in one request or in several.

    `received` bytes are stored; the file is complete when they are `size`, which is unknown while a file comes without
    a stated length. `preset`, `mapping` and `encoding` say how it is to be read. `reading` counts how often it was:
    the rows of the last reading are in `upload_rows`, unless it ended with a `refusal`. `recognised` and `counts` are
    what clients see of it. Its bytes are kept (`has_bytes`) until it expires, so that it can be read in another way.

    Runs that were started from an upload name it (`runs.upload_id`), and it is kept as long as one of them is. One that
    is `discarded_at` exists for no client; the sweeper deletes what it has, and then its row.
    """

    __tablename__ = "uploads"
    __table_args__ = (
        not_negative("received", "reading", "contact_count"),
        CheckConstraint("received <= size", name="received"),
        CheckConstraint("refusal IS NULL OR reading > 0", name="refusal"),
        Index("ix_uploads_account_id_created_at", "account_id", "created_at"),
        Index("ix_uploads_expires_at", "expires_at"),
    )

    id: Mapped[IdKey]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str]
    size: Mapped[int | None] = mapped_column(BigInteger)
    received: Mapped[BigCounter]
    expected_sha256: Mapped[str | None]
    sha256: Mapped[str | None]
    has_bytes: Mapped[bool] = mapped_column(server_default="true")
    preset: Mapped[str]
    mapping: Mapped[dict[str, Any]]
    encoding: Mapped[str | None]
    reading: Mapped[int] = mapped_column(server_default="0")
    refusal: Mapped[str | None]
    recognised: Mapped[dict[str, Any]] = mapped_column(JSON, server_default="{}")
    counts: Mapped[dict[str, Any]] = mapped_column(JSON, server_default="{}")
    contact_count: Mapped[int] = mapped_column(server_default="0")
    extra_columns: Mapped[list[str]] = mapped_column(server_default="[]")
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    discarded_at: Mapped[datetime | None]

    @property
    def is_complete(self) -> bool:
        """Whether all bytes have arrived."""
        return self.received == self.size

    @property
    def is_ready(self) -> bool:
        """Whether a run can be started from it."""
        return self.is_complete and self.reading > 0 and self.refusal is None


class UploadPiece(Base):
    """Bytes of an upload from `start` on. Pieces are not larger than what an API process holds of a request."""

    __tablename__ = "upload_pieces"

    # Neither pieces nor rows have a foreign key: checked row by row, it would double the cost of writing them. They are
    # written and deleted under the lock of their upload's row.
    upload_id: Mapped[UUID] = mapped_column(primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    content: Mapped[bytes]


class UploadRow(Base):
    """A row of a file, numbered as a spreadsheet shows it, and the contact that it was read as.

    `contact` is the number of its contact among the different ones of the file, from 0; `is_first` marks the row that
    is worked, others with the same number repeat it. It is null for an empty row, and for a rejected one, which has
    `field` and `reason`. `line` is the whole row as CSV. `work_order` groups contacts of one domain.
    """

    __tablename__ = "upload_rows"

    upload_id: Mapped[UUID] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    contact: Mapped[int | None]
    is_first: Mapped[bool]
    work_order: Mapped[str]
    first_name: Mapped[str]
    last_name: Mapped[str]
    full_name: Mapped[str]
    company: Mapped[str]
    domain: Mapped[str]
    email: Mapped[str]
    extra: Mapped[dict[str, Any]] = mapped_column(JSON)
    field: Mapped[str | None]
    reason: Mapped[str | None]
    line: Mapped[str]
