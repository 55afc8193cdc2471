"""Verifications: conclusive answers of mail servers about addresses, which are not asked for again for some days."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, one_of

KEPT_STATUSES = ("valid", "risky", "invalid")


class Verification(Base):
    """The latest conclusive verdict on an address, for one account.

    `address` is the SHA-256 of the normalised address, so the row does not show whom it is about. No other account uses
    the row: none can learn, for example by the time of an answer, which addresses others have asked about.
    """

    __tablename__ = "verifications"
    __table_args__ = (
        one_of("status", KEPT_STATUSES),
        CheckConstraint("score BETWEEN 0 AND 100", name="score"),
        CheckConstraint("length(address) = 32", name="address"),
        Index("ix_verifications_checked_at", "checked_at"),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    address: Mapped[bytes] = mapped_column(primary_key=True)
    status: Mapped[str]
    reason: Mapped[str]
    score: Mapped[int]
    evidence: Mapped[dict[str, Any]]
    checked_at: Mapped[datetime] = mapped_column(server_default=func.now())
