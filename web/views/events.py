"""The timeline of a run in sentences, newest first."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from api.streams import STEPS
from models.events import EventKind
from models.queries import latest_events
from models.run_event import RunEvent
from web.views.formats import count_of
from web.views.words import STAGES, named

MOST_EVENTS = 100


class EventView(NamedTuple):
    """An event: when, what, its details, and the state whose colour its dot has."""

    at: datetime
    title: str
    detail: str
    state: str


TITLES: Mapping[str, str | Callable[[RunEvent], str]] = {
    EventKind.CREATED: "Created",
    EventKind.STARTED: "Started",
    EventKind.STAGE_STARTED: lambda event: f"Stage begins: {_stage(event)}",
    EventKind.STAGE_COMPLETED: lambda event: f"Stage is done: {_stage(event)}",
    EventKind.CHUNK_LEASED: lambda event: f"Chunk {event.detail.get('chunk')} taken",
    EventKind.CHUNK_FINISHED: lambda event: f"Chunk {event.detail.get('chunk')} is done",
    EventKind.CHUNK_RELEASED: lambda event: f"Chunk {event.detail.get('chunk')} released",
    EventKind.CHUNK_DEFERRED: lambda event: f"Chunk {event.detail.get('chunk')} waits",
    EventKind.CHUNK_SPLIT: lambda event: f"Chunk {event.detail.get('chunk')} split",
    EventKind.LEASE_LOST: "A worker went silent",
    EventKind.STEP_FAILED: "A step failed",
    EventKind.RESENT: "Sent to the workers again",
    EventKind.COMPLETED: "Completed",
    EventKind.FAILED: "Failed",
    EventKind.CANCELLED: "Cancelled",
    EventKind.RETRIED: "Retried as a new run",
    EventKind.EXPORTED: "Export files written",
    EventKind.EXPORT_FAILED: "Export files could not be written",
    EventKind.EXPORT_GIVEN_UP: "Export files are not tried any more",
    EventKind.EXPORT_REQUESTED: "Export files asked for",
    EventKind.EXPIRED: "Data deleted",
    EventKind.ERASED: "Contacts erased",
}
TONES: Mapping[str, str] = {
    EventKind.STAGE_STARTED: "running",
    EventKind.STAGE_COMPLETED: "completed",
    EventKind.COMPLETED: "completed",
    EventKind.FAILED: "failed",
    EventKind.CANCELLED: "cancelled",
    EventKind.LEASE_LOST: "failed",
    EventKind.STEP_FAILED: "failed",
    EventKind.EXPORT_FAILED: "failed",
    EventKind.EXPORT_GIVEN_UP: "failed",
    EventKind.CHUNK_DEFERRED: "risky",
}
SAID_IN_TITLE = frozenset({"chunk", "preset"})


def timeline_of(session: Session, run_id: UUID, *, with_chunks: bool = False) -> Sequence[EventView]:
    """The newest steps of a run's history, with those of its chunks for operators."""
    events = latest_events(session, run_id, None if with_chunks else STEPS, MOST_EVENTS)
    return [_view(event) for event in events]


def _view(event: RunEvent) -> EventView:
    title = TITLES.get(event.kind, event.kind)
    shown = title if isinstance(title, str) else title(event)
    return EventView(event.at, shown, ", ".join(_details(event)), TONES.get(event.kind, ""))


def _details(event: RunEvent) -> Sequence[str]:
    details = [_detail(name, value) for name, value in event.detail.items() if name not in SAID_IN_TITLE]
    return [*details, event.worker] if event.worker else details


def _detail(name: str, value: Any) -> str:
    if name == "contacts" and isinstance(value, int):
        return count_of(value, "contact")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value) if name in ("code", "reason", "fault") else f"{name.replace('_', ' ')} {value}"


def _stage(event: RunEvent) -> str:
    return named(STAGES, event.stage or "")
