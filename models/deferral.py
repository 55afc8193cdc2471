"""Deferrals: contacts that wait until their mail server can be asked again."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base


class DeferralRow(Base):
    """How often a stage has put a contact off, why, and until when. Its outcome may be there by now.

    It has its contact for the same reason as an outcome: by triggers.
    """

    __tablename__ = "deferrals"
    __table_args__ = (CheckConstraint("times > 0", name="times"),)

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    times: Mapped[int]
    until: Mapped[datetime]
    reason: Mapped[str]
