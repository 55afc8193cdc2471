"""A run as server-sent events: its states, and the steps of its history."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from fastapi import HTTPException, Request, Response
from fastapi.sse import format_sse_event
from starlette.types import Receive, Scope, Send

from api.access import served_account
from api.errors import interrupted
from api.live import Live, live_of
from api.live.rate_limit import HEADERS
from api.live.redis_batches import Copy
from api.live.state_answers import is_final
from api.resources import database_of
from models.database import Database
from models.events import EventKind
from models.postgres_errors import PostgresUnavailable
from models.queries import events_after
from models.run_event import RunEvent
from models.wire import TimelineEvent

CHECK_KEY_EACH_S = 2.0
"""A stream ends within this time, and that for which a key is remembered, after its key was revoked."""
HEARTBEAT_EACH_S = 15.0
RECONNECT_MS = 2000
LONGEST_EVENT_ID = 19
"""So many digits may be more than a `bigint`."""
STEPS = [
    kind.value
    for kind in EventKind
    if not kind.value.startswith("chunk_") and kind not in (EventKind.LEASE_LOST, EventKind.RESENT)
]
"""What a stream tells of a run's history. Chunks are for operators, who read the timeline."""

STREAM = "growth.stream"
"""Where a request's scope has the stream that answers it."""
BEGIN = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


def event_seen(last_event_id: str, *, nothing: int) -> int:
    """The number in a `Last-Event-ID`; `nothing` for what is no number of ours: Python refuses to read 5,000 digits."""
    is_ours = last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) < LONGEST_EVENT_ID
    return int(last_event_id) if is_ours else nothing


async def steps_after(live: Live, database: Database, run_id: UUID, seen: int) -> Sequence[RunEvent]:
    """The steps of a run's history after one of them."""

    def read() -> Sequence[RunEvent]:
        with database.transaction() as session:
            return events_after(session, run_id, seen, STEPS)

    return await live.step_threads.run(read)


class StreamAnswer(Response):
    """Has the request answered with a stream, which is open from now on: by `send_stream`."""

    def __init__(self, request: Request, account_id: UUID, run_id: UUID, seen: int) -> None:
        super().__init__()
        request.scope[STREAM] = _Stream(request, account_id, run_id, seen)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing yet."""


async def send_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Send the stream that a request has opened, when the framework and its layers have returned.

    What they keep of a request is most of what an open stream would cost.
    """
    for name in [name for name in scope if name.startswith("fastapi")]:
        del scope[name]
    try:
        headers = [*BEGIN, *scope.get(HEADERS, ())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _send(scope[STREAM], receive, send)
    except Exception as error:  # noqa: BLE001 - there is no layer of the framework around this
        raise interrupted(scope, error) from None


def close_stream(scope: Scope) -> None:
    """Make place for another one, if the request opened a stream."""
    if stream := scope.pop(STREAM, None):
        stream.close()


async def _send(stream: "_Stream", receive: Receive, send: Send) -> None:
    """Send a stream to its end, or until its reader has gone."""
    telling = asyncio.create_task(_tell_to_the_end(stream, send))
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling


async def _tell_to_the_end(stream: "_Stream", send: Send) -> None:
    """End the answer, too, when something goes wrong: the reader comes again, since `end` was not told."""
    fault = None
    try:
        await stream.tell_all(send)
    except Exception as error:  # noqa: BLE001 - raised when the answer has ended
        fault = error
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    if fault:
        raise fault


class _Stream:
    """What a reader has been told, and what comes next."""

    def __init__(self, request: Request, account_id: UUID, run_id: UUID, seen: int) -> None:
        self._database, self._live = database_of(request), live_of(request)
        self._authorization = request.headers.get("authorization", "")
        self._account_id, self._run_id = account_id, run_id
        self._feed = self._live.watching.join(account_id, run_id)
        self._seen = seen
        self._heading = b""
        self._checked_at = self._heard_at = time.monotonic()
        self._version = -1
        self._has_ended = False

    def close(self) -> None:
        """Make place for another one."""
        self._live.watching.leave(self._feed)

    async def tell_all(self, send: Send) -> None:
        """Send events, until the run has ended or its reader may not read it any more."""
        pieces = [format_sse_event(retry=RECONNECT_MS)]
        while True:
            if pieces:
                await send({"type": "http.response.body", "body": b"".join(pieces), "more_body": True})
            if self._has_ended:
                return
            pieces = [*await self._next_pieces(), *await self._refusal()]

    async def _next_pieces(self) -> list[bytes]:
        try:
            async with asyncio.timeout(CHECK_KEY_EACH_S):
                state = await self._feed.newer_than(self._version)
        except TimeoutError:
            return self._heartbeat()
        return await self._pieces_of(state)

    async def _pieces_of(self, state: Copy) -> list[bytes]:
        """The events for a new state: the steps that led to it, and itself."""
        pieces = [_step(step) for step in await self._steps_to(state)]
        pieces.append(format_sse_event(event="state", data_str=state.body.decode()))
        self._version, self._heard_at = state.version, time.monotonic()
        if is_final(state):
            pieces.append(format_sse_event(event="end", data_str="{}"))
            self._has_ended = True
        return pieces

    def _heartbeat(self) -> list[bytes]:
        """A comment, if nothing was sent for long: proxies close connections that are silent."""
        if time.monotonic() - self._heard_at < HEARTBEAT_EACH_S:
            return []
        self._heard_at = time.monotonic()
        return [format_sse_event(comment="nothing new")]

    async def _refusal(self) -> list[bytes]:
        """The last event of a reader whose key was revoked, or whose account may not be served any more."""
        if self._has_ended or time.monotonic() - self._checked_at < CHECK_KEY_EACH_S:
            return []
        self._checked_at = time.monotonic()
        try:
            await served_account(self._live, self._authorization)
        except HTTPException as refused:
            self._has_ended = True
            return [format_sse_event(event="refused", data_str=json.dumps({"detail": refused.detail}))]
        except PostgresUnavailable:
            pass  # Nobody can tell now. It is asked again.
        return []

    async def _steps_to(self, state: Copy) -> Sequence[RunEvent]:
        """The steps that were not told, if there are any: they change the status of the run or of a stage."""
        heading = state.body.partition(b'"progress"')[0]
        if heading == self._heading:
            return []
        self._heading = heading
        steps = await steps_after(self._live, self._database, self._run_id, self._seen)
        self._seen = steps[-1].id if steps else self._seen
        return steps


def _step(step: RunEvent) -> bytes:
    shown = TimelineEvent.model_validate(step, from_attributes=True)
    return format_sse_event(event="timeline", data_str=shown.model_dump_json(), id=str(step.id))
