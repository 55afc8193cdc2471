"""Deferrals: contacts that wait until their mail server can be asked again."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import BY_RUN, Base


class DeferralRow(Base):
    """How often a stage has deferred a contact, why, and until when. The contact may have its outcome meanwhile.

    As for an outcome, triggers keep it from being written without its contact, and delete it with the contact.
    """

    __tablename__ = "deferrals"
    __table_args__ = (CheckConstraint("times > 0", name="times"), BY_RUN)

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    times: Mapped[int]
    until: Mapped[datetime]
    reason: Mapped[str]
