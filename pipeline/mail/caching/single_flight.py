"""A question about a name whose answer is remembered, and which all who ask at the same time share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from pipeline.mail.caching.shared import SharedCache
from pipeline.mail.caching.ttl_cache import TtlCache

T = TypeVar("T")

CACHE_SIZE = 20_000


class SingleFlight(Generic[T]):
    """`find` gives the answer to a name, and for how many seconds it is good.

    With a shared, answers that are `worth_sharing` are good for all processes, and theirs for this one.
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
        self._open: dict[str, tuple[asyncio.Task[T], list[asyncio.Future[T]]]] = {}

    async def get(self, name: str) -> T:
        """Give the answer from memory, from whoever is asking already, or by asking."""
        known = self._known.get(name)
        if known is not None:
            return known
        if name not in self._open:
            task = asyncio.create_task(self._answer(name))
            self._open[name] = task, []
            task.add_done_callback(lambda task: self._hand_out(name, task))
        # Each has a future: one asker's cancellation must not take the answer from the others.
        told: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._open[name][1].append(told)
        return await told

    async def close(self) -> None:
        """Cancel what is being asked."""
        tasks = [task for task, _ in self._open.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _hand_out(self, name: str, task: asyncio.Task[T]) -> None:
        _, askers = self._open.pop(name)
        for told in askers:
            if told.done():
                continue
            if task.cancelled():
                told.cancel()
            elif (error := task.exception()) is not None:
                told.set_exception(error)
            else:
                told.set_result(task.result())

    async def _answer(self, name: str) -> T:
        told = await self._shared.get(name) if self._shared else None
        if told is not None:
            self._known.put(name, told.value, told.seconds)
            return told.value
        answer, seconds = await self._find(name)
        self._known.put(name, answer, seconds)
        if self._shared and self._worth_sharing(answer):
            self._shared.put(name, answer, seconds)
        return answer
