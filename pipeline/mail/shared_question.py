"""A question about a name whose answer is remembered, and which all who ask at the same time share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from pipeline.mail.shared_memory import Shelf
from pipeline.mail.ttl_cache import TtlCache

T = TypeVar("T")

CACHE_SIZE = 20_000


class SharedQuestion(Generic[T]):
    """`find` gives the answer to a name, and for how many seconds it is good.

    With a shelf, answers that are `worth_sharing` are good for all processes, and theirs for this one.
    """

    def __init__(
        self,
        find: Callable[[str], Awaitable[tuple[T, float]]],
        shelf: Shelf[T] | None = None,
        worth_sharing: Callable[[T], bool] = lambda _: True,
    ) -> None:
        self._find = find
        self._shelf = shelf
        self._worth_sharing = worth_sharing
        self._known: TtlCache[str, T] = TtlCache(CACHE_SIZE)
        self._open: dict[str, asyncio.Task[T]] = {}

    async def ask(self, name: str) -> T:
        """Give the answer from memory, from whoever is asking already, or by asking."""
        known = self._known.get(name)
        if known is not None:
            return known
        task = self._open.get(name)
        if task is None:
            task = self._open[name] = asyncio.create_task(self._answer(name))
            task.add_done_callback(lambda _: self._open.pop(name, None))
        # One asker's cancellation must not take the answer from the others.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel what is being asked."""
        tasks = list(self._open.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, name: str) -> T:
        told = await self._shelf.get(name) if self._shelf else None
        if told is not None:
            self._known.put(name, told.value, told.seconds)
            return told.value
        answer, seconds = await self._find(name)
        self._known.put(name, answer, seconds)
        if self._shelf and self._worth_sharing(answer):
            self._shelf.put(name, answer, seconds)
        return answer
