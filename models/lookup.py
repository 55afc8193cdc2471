"""Look-ups: the findings about people, kept so that a mail server is not asked about them again."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base


class Lookup(Base):
    """What an account knows of one person from a mail server: `person` and `mailbox` are SHA-256 digests.

    `mailbox` is NULL if every likely address of the person was refused. No name and no address can be read here, but
    the row of a known address can be found and deleted.
    """

    __tablename__ = "lookups"
    __table_args__ = (
        CheckConstraint("length(person) = 32", name="person"),
        CheckConstraint("length(mailbox) = 32", name="mailbox"),
        Index("ix_lookups_asked_at", "asked_at"),
        Index("ix_lookups_mailbox", "mailbox"),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    person: Mapped[bytes] = mapped_column(primary_key=True)
    mailbox: Mapped[bytes | None]
    reason: Mapped[str]
    score: Mapped[int]
    evidence: Mapped[dict[str, Any]]
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
