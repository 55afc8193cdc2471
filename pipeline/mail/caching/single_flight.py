"""A cache that looks up each name once, however many coroutines ask for it at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from pipeline.mail.caching.shared import SharedCache
from pipeline.mail.caching.ttl_cache import TtlCache

T = TypeVar("T")

CACHE_SIZE = 20_000


class SingleFlight(Generic[T]):
    """Looks names up with `find`, which returns the answer and its lifetime in seconds.

    With a shared cache, answers that are `worth_sharing` are shared with the other processes.
    """

    def __init__(
        self,
        find: Callable[[str], Awaitable[tuple[T, float]]],
        shared: SharedCache[T] | None = None,
        worth_sharing: Callable[[T], bool] = lambda _: True,
    ) -> None:
        self._find = find
        self._shared = shared
        self._worth_sharing = worth_sharing
        self._known: TtlCache[str, T] = TtlCache(CACHE_SIZE)
        self._in_flight: dict[str, tuple[asyncio.Task[T], list[asyncio.Future[T]]]] = {}

    async def get(self, name: str) -> T:
        """Return the answer from the cache, from a lookup that is already in flight, or from a new one."""
        known = self._known.get(name)
        if known is not None:
            return known
        if name not in self._in_flight:
            task = asyncio.create_task(self._look_up(name))
            self._in_flight[name] = task, []
            task.add_done_callback(lambda task: self._deliver(name, task))
        # Each caller has a future of its own: if one is cancelled, the others still get the answer.
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._in_flight[name][1].append(answer)
        return await answer

    async def close(self) -> None:
        """Cancel the lookups in flight."""
        tasks = [task for task, _ in self._in_flight.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _deliver(self, name: str, task: asyncio.Task[T]) -> None:
        _, waiting = self._in_flight.pop(name)
        for answer in waiting:
            if answer.done():
                continue
            if task.cancelled():
                answer.cancel()
            elif (error := task.exception()) is not None:
                answer.set_exception(error)
            else:
                answer.set_result(task.result())

    async def _look_up(self, name: str) -> T:
        cached = await self._shared.get(name) if self._shared else None
        if cached is not None:
            self._known.put(name, cached.value, cached.seconds)
            return cached.value
        answer, seconds = await self._find(name)
        self._known.put(name, answer, seconds)
        if self._shared and self._worth_sharing(answer):
            self._shared.put(name, answer, seconds)
        return answer
