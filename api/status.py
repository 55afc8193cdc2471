"""Routes that are read all the time: the state of a run, once, at its next change, or as a stream."""

import asyncio
import resource
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, HTTPException, Query, Request, Response

from api.access import AccountId, Caller
from api.live import live_of
from api.live.rate_limit import count_request
from api.live.redis_batches import Copy
from api.live.state_answers import etag_of, headers_of, is_final
from api.resources import database_of
from api.runs import ERRORS, run_id_of
from api.streams import StreamAnswer, event_seen, steps_after
from models.wire import RunState

LONGEST_WAIT_S = 60
MOST_WATCHERS = 2_500
"""Streams, and requests that wait for a change, that an account may have open at a process with enough files."""

ETAGS = {304: {"description": "The state is the one that `If-None-Match` names"}}

status = APIRouter(prefix="/api/v1/growth", responses=ERRORS)  # type: ignore[arg-type]


@status.get("/runs/{run_id}", response_model=RunState, responses=ETAGS)  # type: ignore[arg-type]
async def read(
    request: Request,
    account_id: Caller,
    run_id: str,
    wait: Annotated[
        int, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for a state other than `If-None-Match`")
    ] = 0,
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """The state of a run; with `wait`, as soon as it changes."""
    known_id = run_id_of(run_id)
    state = await _counted_state(request, account_id, known_id)
    has_it = etag_of(state) in if_none_match
    if wait and not is_final(state) and (has_it or not if_none_match):
        state = await _next_state(request, account_id, known_id, state, wait)
        has_it = etag_of(state) in if_none_match
    answer = Response(status_code=304) if has_it else Response(state.body, 200, media_type="application/json")
    answer.raw_headers += headers_of(known_id, state)
    return answer


@status.get(
    "/runs/{run_id}/events",
    response_class=Response,
    responses={
        200: {"description": "Events, as they come", "content": {"text/event-stream": {}}},
        204: {"description": "The run has ended, and `Last-Event-ID` names its last event: there is no more"},
    },
)
async def events(
    request: Request, account_id: AccountId, run_id: str, last_event_id: Annotated[str, Header()] = ""
) -> Response:
    """The run as server-sent events, until it ends: `state` as the status is, `timeline` for each step of its history.

    After a lost connection, `Last-Event-ID` has those of the timeline sent that were missed. The last event is `end`.
    """
    known_id, live = run_id_of(run_id), live_of(request)
    seen = event_seen(last_event_id, nothing=0)
    state = await live.states.read(account_id, known_id)
    if seen and is_final(state) and not await steps_after(live, database_of(request), known_id, seen):
        return Response(status_code=204)
    check_place(request, account_id)
    return StreamAnswer(request, account_id, known_id, seen)


async def _counted_state(request: Request, account_id: UUID, run_id: UUID) -> Copy:
    """Count the request and read the state in one round trip. Whether a run exists is told within the limit only."""
    counting = asyncio.ensure_future(count_request(request, account_id))
    try:
        return await live_of(request).states.read(account_id, run_id)
    finally:
        await counting


async def _next_state(request: Request, account_id: UUID, run_id: UUID, state: Copy, seconds: float) -> Copy:
    """The next state, or the same one if none comes in time."""
    check_place(request, account_id)
    with live_of(request).watching.feed(account_id, run_id) as feed:
        try:
            async with asyncio.timeout(seconds):
                return await feed.newer_than(state.version)
        except TimeoutError:
            return state


def most_watchers() -> int:
    """How many of an account's streams and waiting requests a process keeps open: never most of its connections."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_WATCHERS if files == resource.RLIM_INFINITY else min(MOST_WATCHERS, files // 4)


def check_place(request: Request, account_id: UUID) -> None:
    """Answer 429 if the account has no place left. Whoever calls this takes the place without waiting for anything."""
    most = most_watchers()
    if live_of(request).watching.watchers_of(account_id) >= most:
        sentence = f"{most} streams and waiting requests of your account are open here: close some first."
        raise HTTPException(429, sentence, {"Retry-After": "5"})
