"""Reading states of runs: from memory and Redis, without a statement and without a thread for each request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from api.live.accounts import Accounts
from api.live.redis_batches import RedisBatches
from api.live.states import States
from api.live.threads import Threads
from api.live.watching import Watching
from api.resources import REDIS_TIMEOUT_S, Resources
from models.queries import account_of_sign_in
from models.redis_server import open_async_redis

THREADS = 40
"""More than connections: when Postgres does not answer, who waits for one is told so."""
STEP_THREADS = 4
"""Whoever opens many streams at once waits for himself: connections are left for others."""


@dataclass(frozen=True, slots=True)
class Live:
    """What reads keep in the memory of a process."""

    accounts: Accounts
    sign_ins: Accounts
    batches: RedisBatches
    states: States
    watching: Watching
    step_threads: Threads
    """What reads the steps that streams tell."""


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
    threads, step_threads = Threads(THREADS), Threads(STEP_THREADS)
    states = States(resources, batches, threads)
    watching = Watching(states, server)
    accounts, sign_ins = Accounts(database, threads), Accounts(database, threads, account_of_sign_in)
    background = [asyncio.create_task(states.keep_current()), asyncio.create_task(watching.listen())]
    try:
        yield Live(accounts, sign_ins, batches, states, watching, step_threads)
    finally:
        for task in background:
            await _end(task)
        await threads.finish()
        await step_threads.finish()
        await server.aclose()


async def _end(task: "asyncio.Task[None]") -> None:
    # redis-py mistakes a cancellation for a timeout when both come together.
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)


def live_of(request: Request) -> Live:
    """What the process that received the request keeps."""
    live: Live = request.app.state.live
    return live
