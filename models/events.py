"""The vocabulary of the timeline, and its one writer."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, insert, literal, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from models.hook import HookEvent
from models.hook_outbox import messages_about
from models.run_event import RunEvent


class EventKind(StrEnum):
    """The kinds of events in a run's timeline."""

    CREATED = "created"
    STARTED = "started"
    STAGE_STARTED = "stage_started"
    STAGE_COMPLETED = "stage_completed"
    CHUNK_LEASED = "chunk_leased"
    CHUNK_FINISHED = "chunk_finished"
    CHUNK_RELEASED = "chunk_released"
    CHUNK_DEFERRED = "chunk_deferred"
    CHUNK_SPLIT = "chunk_split"
    LEASE_LOST = "lease_lost"
    STEP_FAILED = "step_failed"
    RESENT = "resent"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    EXPORTED = "exported"
    EXPORT_FAILED = "export_failed"
    EXPORT_GIVEN_UP = "export_given_up"
    EXPORT_REQUESTED = "export_requested"
    EXPIRED = "expired"
    ERASED = "erased"


def add_event(
    session: Session,
    run_id: UUID,
    kind: EventKind,
    *,
    stage: str | None = None,
    worker: str | None = None,
    **detail: Any,
) -> None:
    """Append to the run's timeline, in the transaction of the change that the event describes."""
    session.execute(insert(RunEvent).values(run_id=run_id, kind=kind.value, stage=stage, worker=worker, detail=detail))


def add_event_of(
    session: Session,
    change: ReturningUpdate[*tuple[Any, ...]],
    run_id: UUID,
    kind: EventKind,
    hook_event: HookEvent | None = None,
    *,
    stage: str | None = None,
    worker: str | None = None,
    **detail: Any,
) -> bool:
    """Make a change and append its event in one statement. Returns whether the change took effect.

    With `hook_event` the statement also writes messages to hooks. The change returns the run's `id` and `account_id`.
    """
    landed = change.cte("landed")
    event = select(
        literal(run_id, Uuid()),
        literal(kind.value),
        literal(stage, RunEvent.stage.type),
        literal(worker, RunEvent.worker.type),
        literal(detail, RunEvent.detail.type),
    ).select_from(landed)
    columns = ["run_id", "kind", "stage", "worker", "detail"]
    statement = insert(RunEvent).from_select(columns, event).returning(RunEvent.id)
    if hook_event:
        statement = statement.add_cte(messages_about(landed, hook_event).cte("messages"))
    return session.scalar(statement) is not None


def add_events(
    session: Session,
    run_id: UUID,
    kind: EventKind,
    details: Sequence[Mapping[str, Any]],
    *,
    stage: str | None = None,
    worker: str | None = None,
) -> None:
    """Append several events of one kind, one for each of `details`."""
    if details:
        of_all = {"run_id": run_id, "kind": kind.value, "stage": stage, "worker": worker}
        session.execute(insert(RunEvent), [of_all | {"detail": dict(detail)} for detail in details])
