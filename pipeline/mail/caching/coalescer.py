"""Collects items while earlier ones are being worked on, and then works on them together."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class _Entry(Generic[T, R]):
    """An item, and the future of whoever waits for its result, if anybody does."""

    item: T
    result: "asyncio.Future[R] | None"

    @property
    def is_cancelled(self) -> bool:
        return self.result is not None and self.result.cancelled()


class Coalescer(Generic[T, R]):
    """Passes items to `work` in batches of at most `at_once`, one batch at a time, in the order in which they came.

    While one batch is in flight, the next one is collected. So a single item never waits for others, and the more items
    come, the more share a batch. `work` returns one result per item; if it raises, everybody who waits for an item of
    the batch gets the error. With `skip_cancelled`, items are left out if their submitter was cancelled before.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        at_once: int = sys.maxsize,
        *,
        skip_cancelled: bool = False,
    ) -> None:
        self._work = work
        self._at_once = at_once
        self._skip_cancelled = skip_cancelled
        self._waiting: list[_Entry[T, R]] = []
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, item: T) -> R:
        """Add an item to the next batch, and wait for its result."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._add(_Entry(item, result))
        return await result

    def post(self, item: T) -> None:
        """Add an item to the next batch. Nobody gets its result, nor an error: `work` must report that itself."""
        self._add(_Entry(item, None))

    async def flush(self) -> None:
        """Wait until all items are worked on."""
        if self._worker is not None:
            await asyncio.wait({self._worker})

    def drop(self, error: Exception) -> None:
        """Drop the items that no batch has begun with; who waits for one gets the error."""
        dropped, self._waiting = self._waiting, []
        _fail(dropped, error)

    def _add(self, entry: _Entry[T, R]) -> None:
        self._waiting.append(entry)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work_all())

    async def _work_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._at_once], self._waiting[self._at_once :]
            if self._skip_cancelled:
                batch = [entry for entry in batch if not entry.is_cancelled]
            if batch:
                await self._work_on(batch)

    async def _work_on(self, batch: Sequence[_Entry[T, R]]) -> None:
        try:
            results = await self._work([entry.item for entry in batch])
        except Exception as error:  # noqa: BLE001 - it is raised again where each result is waited for
            _fail(batch, error)
        except BaseException:
            for entry in batch:
                if entry.result is not None:
                    entry.result.cancel()
            raise
        else:
            for entry, result in zip(batch, results, strict=True):
                if entry.result is not None and not entry.result.done():
                    entry.result.set_result(result)


def _fail(entries: Sequence[_Entry[T, R]], error: Exception) -> None:
    for entry in entries:
        if entry.result is not None and not entry.result.done():
            entry.result.set_exception(error)
