"""Hooks: where clients want to be notified, and the outbox of what is to be delivered there."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, BigCounter, CreatedAt, IdKey, not_negative, one_of


class HookEvent(StrEnum):
    """What a hook can be notified of."""

    COMPLETED = "run.completed"
    FAILED = "run.failed"
    CANCELLED = "run.cancelled"
    PROGRESS = "run.progress"
    CONTACTS = "contact.finished"


class MessageState(StrEnum):
    """The state of one message to one hook."""

    PENDING = "pending"
    """To be delivered, now or after a pause."""
    DELIVERED = "delivered"
    """The receiver accepted it."""
    DEAD = "dead"
    """It was not accepted within a day. It can be replayed."""
    REPLAYED = "replayed"
    """It was dead, and a later message of the same content takes its place."""
    SKIPPED = "skipped"
    """Nothing was left to deliver: progress of a run that has ended, or contacts whose data is deleted."""


class DisabledReason(StrEnum):
    """Why a hook was disabled by the engine."""

    GONE = "gone"
    """The receiver answered 410."""
    FAILING = "failing"
    """Nothing was accepted for days."""


class Hook(Base):
    """A URL of an account that is notified of `events`: of every run, or of the runs that name it.

    Messages are signed with `secret`; until `previous_until` also with the one before. `failures` counts failed
    attempts since the last success, the first of which was at `failing_since`. Nothing is delivered before
    `not_before`, which the receiver asked for, nor while the hook is not `enabled`.
    """

    __tablename__ = "hooks"
    __table_args__ = (
        not_negative("failures"),
        one_of("disabled_reason", DisabledReason),
        CheckConstraint("length(secret) BETWEEN 24 AND 64", name="secret"),
        CheckConstraint("(previous_secret IS NULL) = (previous_until IS NULL)", name="previous_secret"),
        CheckConstraint("(failures = 0) = (failing_since IS NULL)", name="failing_since"),
        CheckConstraint("disabled_reason IS NULL OR NOT enabled", name="disabled"),
        Index("ix_hooks_account_id", "account_id"),
    )

    id: Mapped[IdKey]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    url: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    events: Mapped[list[str]]
    every_run: Mapped[bool]
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    disabled_reason: Mapped[str | None]
    secret: Mapped[bytes]
    previous_secret: Mapped[bytes | None]
    previous_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(server_default="0")
    failing_since: Mapped[datetime | None]
    not_before: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[CreatedAt]


class HookStream(Base):
    """The messages of one run to one hook, which are delivered in their order. Its row is their mutex.

    Messages have numbers from 1 to `last_number`; those up to `done_number` are not pending any more. `due_at` is when
    the next one is delivered: after a pause, or when the lease of a process that delivers ends. It is null if none is
    pending. `lease` rises with each lease, and fences earlier ones.

    `progress_number` and `progress_at` belong to the last message about progress. For a hook that is not notified of
    every run, a row is made when a run names it.
    """

    __tablename__ = "hook_streams"
    __table_args__ = (
        not_negative("last_number", "done_number", "lease", "progress_number"),
        CheckConstraint("done_number <= last_number", name="numbers"),
        CheckConstraint("(due_at IS NULL) = (done_number = last_number)", name="due_at"),
        Index("ix_hook_streams_due", "hook_id", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_hook_streams_run_id", "run_id"),
    )

    hook_id: Mapped[UUID] = mapped_column(ForeignKey("hooks.id", ondelete="CASCADE"), primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    last_number: Mapped[BigCounter]
    done_number: Mapped[BigCounter]
    due_at: Mapped[datetime | None]
    lease: Mapped[BigCounter]
    progress_number: Mapped[BigCounter]
    progress_at: Mapped[datetime | None]


class HookMessage(Base):
    """A message to a hook. It holds no personal data: its body is made when it is delivered.

    `positions` are the contacts of `contact.finished`. `attempts` counts those that began, `attempt_log` says what came
    of the latest. A replay is a message of its own: `replay_of` is the first one, whose id the receiver sees again.
    """

    __tablename__ = "hook_messages"
    __table_args__ = (
        one_of("event", HookEvent),
        one_of("state", MessageState),
        not_negative("number", "attempts"),
        CheckConstraint("(state = 'pending') = (finished_at IS NULL)", name="finished_at"),
        Index("uq_hook_messages_number", "hook_id", "run_id", "number", unique=True),
        Index("ix_hook_messages_hook_id_created_at", "hook_id", "created_at", "id"),
        Index("ix_hook_messages_created_at", "created_at"),
        # Few messages are dead, and they are counted for each hook.
        Index("ix_hook_messages_dead", "hook_id", "created_at", "id", postgresql_where=text("state = 'dead'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    hook_id: Mapped[UUID] = mapped_column(ForeignKey("hooks.id", ondelete="CASCADE"))
    # Not a foreign key: checked row by row, it would cost every batch of contacts.
    run_id: Mapped[UUID]
    number: Mapped[int] = mapped_column(BigInteger)
    replay_of: Mapped[UUID | None]
    event: Mapped[str]
    positions: Mapped[list[int]] = mapped_column(JSONB, server_default="[]")
    state: Mapped[str] = mapped_column(server_default=MessageState.PENDING.value)
    attempts: Mapped[int] = mapped_column(server_default="0")
    attempt_log: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[datetime | None]

    @property
    def webhook_id(self) -> str:
        """What the receiver sees: the same in each attempt, and in a replay."""
        return f"msg_{(self.replay_of or self.id).hex}"
