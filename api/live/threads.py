"""Runs the statements of live reads in threads of their own, so that other requests do not wait for those."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """At most so many threads that statements run in. Used from the event loop only."""

    def __init__(self, at_once: int) -> None:
        self._limiter = CapacityLimiter(at_once)
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread. Cancelling this does not end the thread: nothing can."""
        running = asyncio.create_task(run_sync(partial(function, *args, **kwargs), limiter=self._limiter))
        self._running.add(running)
        running.add_done_callback(self._end)
        return await asyncio.shield(running)

    def _end(self, done: "asyncio.Task[Any]") -> None:
        self._running.discard(done)
        if not done.cancelled():
            done.exception()  # What its caller, if there is one, is told as well.

    async def finish(self) -> None:
        """Wait for threads whose callers do not: a connection must be back when the pool is closed."""
        while self._running:
            await asyncio.wait(self._running)
