"""Outcomes: the conclusion of a stage about a contact, written once."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import BY_RUN, Base, one_of

OUTCOME_STATUSES = ("found", "not_found", "valid", "risky", "invalid", "unknown", "skipped")


class OutcomeRow(Base):
    """One stage's outcome for one contact. Its primary key makes it harmless that work is done twice.

    The key begins with the contact's key, so that the outcomes of a deleted contact are found quickly. Triggers keep an
    outcome from being written without its contact, and delete it with the contact: a foreign key checks row by row.
    """

    __tablename__ = "outcomes"
    __table_args__ = (
        one_of("status", OUTCOME_STATUSES),
        CheckConstraint("score BETWEEN 0 AND 100", name="score"),
        CheckConstraint("status NOT IN ('found', 'valid', 'risky') OR email IS NOT NULL", name="email"),
        BY_RUN,
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    reason: Mapped[str]
    email: Mapped[str | None]
    source: Mapped[str | None]
    score: Mapped[int]
    evidence: Mapped[dict[str, Any]]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
