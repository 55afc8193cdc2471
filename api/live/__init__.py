"""Reading states of runs: from memory and Redis, without a statement and without a thread for each request."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from api.live.accounts import Accounts
from api.live.redis_batches import RedisBatches
from api.live.states import States
from api.live.watching import Watching
from api.resources import REDIS_TIMEOUT_S, Resources
from models.queries import account_of_sign_in
from models.redis_server import open_async_redis

CANCEL_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Live:
    """What reads keep in the memory of a process."""

    accounts: Accounts
    sign_ins: Accounts
    batches: RedisBatches
    states: States
    watching: Watching


@asynccontextmanager
async def running_live(resources: Resources) -> AsyncIterator[Live]:
    """Keep what is read current, until the block ends."""
    server = open_async_redis(
        resources.settings.redis_url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )
    database, batches = resources.database, RedisBatches(server)
    states = States(resources, batches)
    watching = Watching(states, server)
    background = [asyncio.create_task(states.keep_current()), asyncio.create_task(watching.listen())]
    try:
        yield Live(Accounts(database), Accounts(database, account_of_sign_in), batches, states, watching)
    finally:
        await _cancel(background)
        await server.aclose()


async def _cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel tasks until they have ended: before Python 3.12 `asyncio.wait_for` in redis-py may lose a cancellation."""
    while at_work := [task for task in tasks if not task.done()]:
        for task in at_work:
            task.cancel()
        await asyncio.wait(at_work, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


def live_of(request: Request) -> Live:
    """What the process that received the request keeps."""
    live: Live = request.app.state.live
    return live
