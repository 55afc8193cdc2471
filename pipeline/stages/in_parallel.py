"""A second step for some of what a first one yields, many at once; the rest passes by."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")

Step = Callable[[T], Awaitable[T] | None]
"""Says what becomes of an item, or None for one that stays as it is. The awaitable must not raise."""


async def then_in_parallel(first: AsyncGenerator[T, None], step: Step[T]) -> AsyncGenerator[T, None]:
    """Yield each item of `first` after its second step, as soon as that is done, in any order.

    Closing the iterator early cancels all work and waits for its end.
    """
    said: asyncio.Queue[T | None] = asyncio.Queue()

    async def finish(work: Awaitable[T]) -> None:
        said.put_nowait(await work)

    async def work_all() -> None:
        try:
            async with asyncio.TaskGroup() as group, aclosing(first):
                async for item in first:
                    work = step(item)
                    if work is None:
                        said.put_nowait(item)
                    else:
                        group.create_task(finish(work))
        finally:
            said.put_nowait(None)

    runner = asyncio.create_task(work_all())
    try:
        while (item := await said.get()) is not None:
            yield item
        await runner
    finally:
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
