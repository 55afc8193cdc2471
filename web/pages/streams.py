"""What live pages listen to: ready HTML for the parts of them that change, as server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Annotated
from uuid import UUID

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, HTTPException, Query, Request
from fastapi.responses import Response, StreamingResponse
from fastapi.sse import format_sse_event

from api.live import live_of
from api.live.redis_batches import Copy
from api.live.state_answers import is_final
from api.live.watching import Feed
from api.resources import database_of
from api.runs import run_id_of
from api.status import check_place
from api.streams import CHECK_KEY_EACH_S, HEARTBEAT_EACH_S, RECONNECT_MS, event_seen
from models.postgres_errors import PostgresUnavailable
from models.queries import versions_of_runs
from models.status import TERMINAL_RUN_STATUSES
from pipeline.runs.listing import listed
from web.access import Member, NotSignedIn, Operator, SignedIn, signed_in
from web.fragments import fragments_of_run
from web.pages.operator import parts_of
from web.pages.runs import RUNS_ON_A_PAGE, rows_of
from web.rendering import html

NOT_FASTER_THAN_S = 0.5
ROWS_EACH_S = 1.0
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
EVENTS = "text/event-stream"

streams = APIRouter()


@streams.get("/runs/live")
async def rows(
    request: Request, member: SignedIn, run: Annotated[list[UUID], Query(max_length=RUNS_ON_A_PAGE)]
) -> Response:
    """The rows of these runs, as they change, until all of them have ended."""
    check_place(request, member.account_id)
    return StreamingResponse(_in_place(request, member, _rows(request, member, run)), 200, HEADERS, EVENTS)


@streams.get("/runs/{run_id}/live")
async def parts(
    request: Request, member: SignedIn, run_id: str, last_event_id: Annotated[str, Header()] = ""
) -> Response:
    """The parts of a run's page, as they change, until the run ends. Answers 204 if the page has all of them."""
    known_id, seen = run_id_of(run_id), event_seen(last_event_id, nothing=-1)
    state = await live_of(request).states.read(member.account_id, known_id)
    if is_final(state) and state.version <= seen:
        return Response(status_code=204)
    check_place(request, member.account_id)
    return StreamingResponse(_parts(request, member, known_id), 200, HEADERS, EVENTS)


@streams.get("/operator/live")
async def operation(request: Request, member: Operator) -> Response:
    """The parts of the operator's page, as they change."""
    check_place(request, member.account_id)
    return StreamingResponse(_in_place(request, member, _operation(request)), 200, HEADERS, EVENTS)


class _Reader:
    """Who listens: whether they still may, and when they last heard anything."""

    def __init__(self, request: Request, *, must_operate: bool = False) -> None:
        self._request, self._must_operate = request, must_operate
        self._checked_at = self._heard_at = time.monotonic()

    async def is_refused(self) -> bool:
        """Whether the browser was signed out, or its account may not be served any more."""
        if time.monotonic() - self._checked_at < CHECK_KEY_EACH_S:
            return False
        self._checked_at = time.monotonic()
        try:
            member = await signed_in(self._request)
        except (NotSignedIn, HTTPException):
            return True
        except PostgresUnavailable:
            return False  # Nobody can tell now. It is asked again.
        return self._must_operate and not member.is_operator

    def heartbeat(self, pieces: Sequence[bytes]) -> Sequence[bytes]:
        """The pieces, or a comment if nothing was sent for long."""
        if not pieces and time.monotonic() - self._heard_at >= HEARTBEAT_EACH_S:
            pieces = [format_sse_event(comment="nothing new")]
        if pieces:
            self._heard_at = time.monotonic()
        return pieces


CLOSE = format_sse_event(event="close", data_str="{}")
"""The page closes its stream then: one that we close counts as a lost connection there."""
REFUSED = format_sse_event(event="refused", data_str="{}") + CLOSE


class _RunPage:
    """The page of a run: what it was sent, and what is new for it."""

    def __init__(self, request: Request, member: Member, run_id: UUID) -> None:
        self._make = partial(fragments_of_run, request, member.account_id, run_id)
        self._heading = b""
        self._sent: dict[str, str] = {}
        self.version = -1

    async def changes(self, state: Copy) -> Sequence[bytes]:
        """The events for the parts that differ from what was sent."""
        self.version = state.version
        # What stands before the progress are the statuses of the run and its stages: steps of its history change them.
        heading = state.body.partition(b'"progress"')[0]
        try:
            parts = await run_sync(partial(self._make, with_timeline=heading != self._heading))
        except PostgresUnavailable:
            return ()  # The next state brings all of it.
        self._heading = heading
        new = {name: part for name, part in parts.items() if self._sent.get(name) != part}
        self._sent.update(new)
        return [format_sse_event(event=name, data_str=part, id=str(state.version)) for name, part in new.items()]


async def _parts(request: Request, member: Member, run_id: UUID) -> AsyncIterator[bytes]:
    reader, page = _Reader(request), _RunPage(request, member, run_id)
    yield format_sse_event(retry=RECONNECT_MS)
    with live_of(request).watching.feed(member.account_id, run_id) as feed:
        while True:
            state = await _next_state(feed, page.version)
            if state and is_final(state):
                yield format_sse_event(event="end", data_str="{}", id=str(state.version)) + CLOSE
                return
            for piece in reader.heartbeat(await page.changes(state) if state else ()):
                yield piece
            if await reader.is_refused():
                yield REFUSED
                return
            if state:
                await asyncio.sleep(NOT_FASTER_THAN_S)


async def _in_place(request: Request, member: Member, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    with live_of(request).watching.place(member.account_id):
        async for piece in pieces:
            yield piece


async def _operation(request: Request) -> AsyncIterator[bytes]:
    reader, sent = _Reader(request, must_operate=True), dict[str, str]()
    yield format_sse_event(retry=RECONNECT_MS)
    while True:
        try:
            parts = await run_sync(parts_of, request)
        except PostgresUnavailable:
            parts = {}
        new = {name: part for name, part in parts.items() if sent.get(name) != part}
        sent.update(new)
        for piece in reader.heartbeat([format_sse_event(event=name, data_str=part) for name, part in new.items()]):
            yield piece
        if await reader.is_refused():
            yield REFUSED
            return
        await asyncio.sleep(ROWS_EACH_S)


async def _next_state(feed: Feed, version: int) -> Copy | None:
    """The first state that is newer; None if none comes soon."""
    try:
        async with asyncio.timeout(CHECK_KEY_EACH_S):
            return await feed.newer_than(version)
    except TimeoutError:
        return None


async def _rows(request: Request, member: Member, run_ids: Sequence[UUID]) -> AsyncIterator[bytes]:
    reader, versions = _Reader(request), dict[UUID, int]()
    active = list(run_ids)
    yield format_sse_event(retry=RECONNECT_MS)
    while active:
        try:
            changed, ended = await run_sync(_changed_rows, request, member.account_id, active, versions)
        except PostgresUnavailable:
            changed, ended = [], set()
        active = [run_id for run_id in active if run_id not in ended]
        pieces = [format_sse_event(event="run", data_str=row) for row in changed]
        for piece in reader.heartbeat(pieces):
            yield piece
        if await reader.is_refused():
            yield REFUSED
            return
        await asyncio.sleep(ROWS_EACH_S)
    yield CLOSE


def _changed_rows(
    request: Request, account_id: UUID, run_ids: Sequence[UUID], versions: dict[UUID, int]
) -> tuple[Sequence[str], set[UUID]]:
    """The rows that changed since `versions`, which are brought up to date, and the runs that need no more looks."""
    with database_of(request).transaction() as session:
        now = versions_of_runs(session, run_ids)
        new = [run_id for run_id, version in now.items() if versions.get(run_id) != version]
        found = listed(session, account_id, new) if new else []
        shown = [html(request, "runs_row.html", row=row, is_live=True) for row in rows_of(session, found)]
        ended = {each.run.id for each in found if each.run.status in TERMINAL_RUN_STATUSES}
    versions |= now
    theirs = {each.run.id for each in found}
    return shown, ended | (set(run_ids) - now.keys()) | (set(new) - theirs)
