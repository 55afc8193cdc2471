"""A run as server-sent events: its states, and the steps of its history."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from anyio.to_thread import run_sync
from fastapi import HTTPException, Request
from fastapi.sse import format_sse_event

from api.access import known_account
from api.live import live_of
from api.live.redis_batches import Copy
from api.live.state_answers import is_final
from api.resources import database_of
from models.events import EventKind
from models.postgres_errors import PostgresUnavailable
from models.queries import events_after
from models.run_event import RunEvent
from models.wire import TimelineEvent

CHECK_KEY_EACH_S = 2.0
"""A stream ends within this time, and that for which a key is remembered, after its key was revoked."""
HEARTBEAT_EACH_S = 15.0
RECONNECT_MS = 2000
STEPS = [
    kind.value
    for kind in EventKind
    if not kind.value.startswith("chunk_") and kind not in (EventKind.LEASE_LOST, EventKind.RESENT)
]
"""What a stream tells of a run's history. Chunks are for operators, who read the timeline."""


async def steps_after(request: Request, run_id: UUID, seen: int) -> Sequence[RunEvent]:
    """The steps of a run's history after one of them."""

    def read() -> Sequence[RunEvent]:
        with database_of(request).transaction() as session:
            return events_after(session, run_id, seen, STEPS)

    return await run_sync(read)


async def stream_of(request: Request, account_id: UUID, run_id: UUID, seen: int) -> AsyncIterator[bytes]:
    """The bytes of a stream, until the run has ended or its reader may not read it any more."""
    stream = _Stream(request, account_id, run_id, seen)
    yield format_sse_event(retry=RECONNECT_MS)
    async with live_of(request).watching.feed(account_id, run_id) as feed:
        while not stream.has_ended:
            try:
                async with asyncio.timeout(CHECK_KEY_EACH_S):
                    state = await feed.newer_than(stream.version)
            except TimeoutError:
                pieces = stream.heartbeat()
            else:
                pieces = await stream.tell(state)
            for piece in pieces:
                yield piece
            if refusal := await stream.refusal():
                yield refusal


class _Stream:
    """What a reader has been told, and what comes next."""

    def __init__(self, request: Request, account_id: UUID, run_id: UUID, seen: int) -> None:
        self._request, self._account_id, self._run_id = request, account_id, run_id
        self._seen = seen
        self._heading = b""
        self._checked_at = self._heard_at = time.monotonic()
        self.version = -1
        self.has_ended = False

    async def tell(self, state: Copy) -> list[bytes]:
        """The events for a new state: the steps that led to it, and itself."""
        pieces = [_step(step) for step in await self._steps_to(state)]
        pieces.append(format_sse_event(event="state", data_str=state.body.decode()))
        self.version, self._heard_at = state.version, time.monotonic()
        if is_final(state):
            pieces.append(format_sse_event(event="end", data_str="{}"))
            self.has_ended = True
        return pieces

    def heartbeat(self) -> list[bytes]:
        """A comment, if nothing was sent for long: proxies close connections that are silent."""
        if time.monotonic() - self._heard_at < HEARTBEAT_EACH_S:
            return []
        self._heard_at = time.monotonic()
        return [format_sse_event(comment="nothing new")]

    async def refusal(self) -> bytes | None:
        """The last event of a reader whose key was revoked, or whose account may not be served any more."""
        if self.has_ended or time.monotonic() - self._checked_at < CHECK_KEY_EACH_S:
            return None
        self._checked_at = time.monotonic()
        try:
            await known_account(self._request, None)
        except HTTPException as refused:
            self.has_ended = True
            return format_sse_event(event="refused", data_str=json.dumps({"detail": refused.detail}))
        except PostgresUnavailable:
            return None  # Nobody can tell now. It is asked again.
        return None

    async def _steps_to(self, state: Copy) -> Sequence[RunEvent]:
        """The steps that were not told, if there are any: they change the status of the run or of a stage."""
        heading = state.body.partition(b'"progress"')[0]
        if heading == self._heading:
            return []
        self._heading = heading
        steps = await steps_after(self._request, self._run_id, self._seen)
        self._seen = steps[-1].id if steps else self._seen
        return steps


def _step(step: RunEvent) -> bytes:
    shown = TimelineEvent.model_validate(step, from_attributes=True)
    return format_sse_event(event="timeline", data_str=shown.model_dump_json(), id=str(step.id))
