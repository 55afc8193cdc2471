"""Work that is collected while earlier work is in flight."""

import asyncio
from collections.abc import Sequence

import pytest

from pipeline.mail.caching.coalescer import Coalescer


class Work:
    """Doubles numbers, batch by batch, once it may go on; a negative number breaks its batch."""

    def __init__(self) -> None:
        self.batches: list[Sequence[int]] = []
        self.may_go_on = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int]:
        self.batches.append(numbers)
        await self.may_go_on.wait()
        if min(numbers) < 0:
            raise ValueError(min(numbers))
        return [2 * number for number in numbers]


async def begin(coalescer: Coalescer[int, int], *numbers: int) -> "list[asyncio.Task[int]]":
    """Submit numbers one right after the other."""
    tasks = [asyncio.create_task(coalescer.submit(number)) for number in numbers]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def test_items_that_come_while_a_batch_is_in_flight_are_the_next_batch() -> None:
    async def scenario() -> tuple[list[Sequence[int]], list[int]]:
        work = Work()
        coalescer = Coalescer(work)
        tasks = await begin(coalescer, 1)
        tasks += await begin(coalescer, 2)
        tasks += await begin(coalescer, 3)
        work.may_go_on.set()
        return work.batches, await asyncio.gather(*tasks)

    assert asyncio.run(scenario()) == ([[1], [2, 3]], [2, 4, 6])


def test_a_batch_has_its_largest_size() -> None:
    async def scenario() -> list[Sequence[int]]:
        work = Work()
        work.may_go_on.set()
        coalescer = Coalescer(work, at_once=2)
        await asyncio.gather(*await begin(coalescer, 1, 2, 3, 4, 5))
        return work.batches

    assert asyncio.run(scenario()) == [[1, 2], [3, 4], [5]]


def test_an_error_reaches_all_of_its_batch_and_no_other() -> None:
    async def scenario() -> list[int | BaseException]:
        work = Work()
        coalescer = Coalescer(work)
        tasks = await begin(coalescer, 1, -1)
        tasks += await begin(coalescer, 2)
        work.may_go_on.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    *broken, fine = asyncio.run(scenario())

    assert [type(each) for each in broken] == [ValueError, ValueError]
    assert fine == 4


def test_dropped_items_are_not_worked_on() -> None:
    async def scenario() -> tuple[list[Sequence[int]], list[int | BaseException]]:
        work = Work()
        coalescer = Coalescer(work)
        tasks = await begin(coalescer, 1)
        tasks += await begin(coalescer, 2)
        coalescer.drop(KeyError())
        work.may_go_on.set()
        return work.batches, await asyncio.gather(*tasks, return_exceptions=True)

    batches, (first, second) = asyncio.run(scenario())

    assert batches == [[1]]
    assert first == 2
    assert isinstance(second, KeyError)


@pytest.mark.parametrize(("skip_cancelled", "batches"), [(False, [[1], [2, 3]]), (True, [[1], [3]])])
def test_an_item_of_a_cancelled_coroutine_is_skipped_only_on_demand(
    *, skip_cancelled: bool, batches: list[Sequence[int]]
) -> None:
    async def scenario() -> list[Sequence[int]]:
        work = Work()
        coalescer = Coalescer(work, skip_cancelled=skip_cancelled)
        await begin(coalescer, 1)
        cancelled, _ = await begin(coalescer, 2, 3)
        cancelled.cancel()
        await asyncio.sleep(0)
        work.may_go_on.set()
        await coalescer.flush()
        return work.batches

    assert asyncio.run(scenario()) == batches


def test_flushing_waits_for_posted_items() -> None:
    async def scenario() -> list[Sequence[int]]:
        work = Work()
        work.may_go_on.set()
        coalescer = Coalescer(work)
        coalescer.post(1)
        await coalescer.flush()
        return work.batches

    assert asyncio.run(scenario()) == [[1]]
