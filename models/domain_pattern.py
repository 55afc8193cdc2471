"""Domain patterns: which address patterns were confirmed and refused at a domain, over all runs."""

from datetime import datetime

from sqlalchemy import CheckConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base


class DomainPattern(Base):
    """For how many people a pattern (such as `first.last`) was confirmed and refused at a domain, without names.

    The counts are as of `updated_at`; since then they have faded (`pipeline.memory.domain_patterns`).
    """

    __tablename__ = "domain_patterns"
    __table_args__ = (CheckConstraint("confirmed >= 0 AND refused >= 0", name="not_negative"),)

    domain: Mapped[str] = mapped_column(primary_key=True)
    pattern: Mapped[str] = mapped_column(primary_key=True)
    confirmed: Mapped[float]
    refused: Mapped[float] = mapped_column(server_default="0")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
