"""Chunks: the pieces of a stage that chunk tasks lease."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, and_, text
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, BigCounter, not_negative, one_of
from models.status import ChunkStatus

COMPILE = "compile"
"""The last step of the chain; its one chunk gives compiling the same lease as any other work."""


class RunChunk(Base):
    """Contacts `first_position` to `last_position` of one stage.

    `token` rises with each lease and fences earlier leases: the holder of an older token may not write.
    `attempts` counts the leases since the chunk was last released: a chunk that breaks its task every time is noticed.
    `not_before` is set on an open chunk that can't be leased yet, because its contacts are deferred or a step failed.
    `waiting` is the number of deferred contacts.
    `resent_at` is when the sweeper sent the chain because the lease had run out; a new lease clears it.
    Each checkpoint renews the lease: `lease_expires_at` is in no index, so that this stays a cheap (HOT) update.
    Compiling the results is a chunk of the stage `compile`.
    """

    __tablename__ = "run_chunks"
    __table_args__ = (
        one_of("status", ChunkStatus),
        not_negative("number", "token", "attempts", "first_position", "waiting"),
        CheckConstraint("last_position >= first_position", name="positions"),
        CheckConstraint("(status = 'leased') = (lease_expires_at IS NOT NULL)", name="lease"),
        CheckConstraint("not_before IS NULL OR status = 'open'", name="not_before"),
        CheckConstraint("waiting = 0 OR status = 'open'", name="waiting"),
        CheckConstraint("(status = 'leased') <= (worker IS NOT NULL)", name="worker"),
        Index(
            "ix_run_chunks_open", "run_id", "stage", "not_before", "number", postgresql_where=text("status = 'open'")
        ),
        Index("ix_run_chunks_leased", "run_id", "stage", "number", postgresql_where=text("status = 'leased'")),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    first_position: Mapped[int]
    last_position: Mapped[int]
    status: Mapped[str] = mapped_column(server_default=ChunkStatus.OPEN.value)
    token: Mapped[BigCounter]
    attempts: Mapped[int] = mapped_column(server_default="0")
    worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    waiting: Mapped[int] = mapped_column(server_default="0")
    resent_at: Mapped[datetime | None]


def is_chunk(run_id: UUID, stage: str, number: int) -> ColumnElement[bool]:
    """The condition that finds one chunk, by its key."""
    return and_(RunChunk.run_id == run_id, RunChunk.stage == stage, RunChunk.number == number)
