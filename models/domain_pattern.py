"""Domain knowledge: which address patterns were confirmed at a domain, over all runs."""

from datetime import datetime

from sqlalchemy import CheckConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base


class DomainPattern(Base):
    """How often a pattern (such as `first.last`) was confirmed at a domain. It names no person."""

    __tablename__ = "domain_patterns"
    __table_args__ = (CheckConstraint("confirmed > 0", name="confirmed"),)

    domain: Mapped[str] = mapped_column(primary_key=True)
    pattern: Mapped[str] = mapped_column(primary_key=True)
    confirmed: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
