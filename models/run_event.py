"""Run events: the timeline that operators read, written with each change."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, PrimaryKeyConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import BY_RUN, Base


class RunEvent(Base):
    """Something that happened to a run: ids, counts and names of workers, never personal data."""

    __tablename__ = "run_events"
    # The table's first column, and the second of its key: a key has to begin with what partitions the table.
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    kind: Mapped[str]
    stage: Mapped[str | None]
    worker: Mapped[str | None]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))

    __table_args__ = (PrimaryKeyConstraint("run_id", "id"), BY_RUN)
