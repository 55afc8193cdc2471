"""The stages of a run: one row for each, from its creation on."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, not_negative, one_of
from models.status import StageStatus


class RunStage(Base):
    """A stage of a run.

    `done` is the number of its outcomes, updated in the transaction that writes them. `waiting` is the sum of the
    waiting contacts of its chunks.
    """

    __tablename__ = "run_stages"
    __table_args__ = (
        one_of("status", StageStatus),
        not_negative("ordinal", "done", "waiting"),
        CheckConstraint("done <= total", name="done_within_total"),
        CheckConstraint("status <> 'completed' OR done = total", name="completed_means_all_done"),
        CheckConstraint("(status = 'pending') = (started_at IS NULL)", name="started_at"),
        UniqueConstraint("run_id", "ordinal"),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    ordinal: Mapped[int]
    status: Mapped[str] = mapped_column(server_default=StageStatus.PENDING.value)
    done: Mapped[int] = mapped_column(server_default="0")
    total: Mapped[int]
    waiting: Mapped[int] = mapped_column(server_default="0")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
