"""Runs a second step for some of what a first one yields, many at once."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")

Step = Callable[[T], Awaitable[T] | None]
"""Returns the second step for an item, or None if the item stays as it is."""


async def then_in_parallel(first: AsyncGenerator[T, None], step: Step[T]) -> AsyncGenerator[T, None]:
    """Yield each item of `first` as soon as its second step is done, in any order.

    The first error, of `first` or of a second step, cancels all work and is raised here. Closing the iterator early
    cancels all work and waits for its end.
    """
    results: asyncio.Queue[T | None] = asyncio.Queue()

    async def finish(work: Awaitable[T]) -> None:
        results.put_nowait(await work)

    async def work_all() -> None:
        try:
            async with asyncio.TaskGroup() as group, aclosing(first):
                async for item in first:
                    work = step(item)
                    if work is None:
                        results.put_nowait(item)
                    else:
                        group.create_task(finish(work))
        except ExceptionGroup as errors:
            # The task group wraps even a single error.
            raise errors.exceptions[0] from None
        finally:
            results.put_nowait(None)

    runner = asyncio.create_task(work_all())
    try:
        while (item := await results.get()) is not None:
            yield item
        await runner
    finally:
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
