"""Connection slots within one process: limits, lines, pace, and slowing down."""

import asyncio
import math
from collections.abc import Awaitable, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mail.pacing.aimd import AGAIN_AFTER, RECOVERY
from pipeline.mail.pacing.in_process import ProcessPacing
from pipeline.mail.pacing.slots import PacingLimits, Place, Slot

PLACES = [Place("192.0.2.1", "big.example"), Place("192.0.2.2", "big.example"), Place("192.0.2.3", "small.example")]
BUSY, BESIDE, ELSEWHERE = PLACES


def pacing(per_host: int = 1, per_provider: int = 100, pace: float = math.inf, total: int = 100) -> ProcessPacing:
    return ProcessPacing(PacingLimits(per_host, per_provider, pace), total)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(5):
            await scenario()

    asyncio.run(limited())


async def in_line(slots: ProcessPacing, place: Place) -> "asyncio.Task[Slot]":
    task = asyncio.create_task(slots.acquire(place))
    await asyncio.sleep(0)
    return task


@settings(max_examples=30)
@given(st.lists(st.sampled_from(PLACES), max_size=30), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))
def test_no_limit_is_ever_exceeded_and_everybody_has_their_turn(
    places: list[Place], per_host: int, per_provider: int, total: int
) -> None:
    held: list[Place] = []
    served: list[Place] = []

    async def visit(slots: ProcessPacing, place: Place) -> None:
        slot = await slots.acquire(place)
        held.append(place)
        assert held.count(place) <= per_host
        assert [other.provider for other in held].count(place.provider) <= per_provider
        assert len(held) <= total
        await asyncio.sleep(0)
        held.remove(place)
        served.append(place)
        slots.release(slot, 1)

    async def visit_all() -> None:
        slots = pacing(per_host, per_provider, total=total)
        await asyncio.gather(*(visit(slots, place) for place in places))

    run(visit_all)

    assert sorted(served, key=str) == sorted(places, key=str)


def test_slots_are_granted_in_the_order_of_the_requests() -> None:
    served: list[int] = []

    async def scenario() -> None:
        slots = pacing()

        async def visit(number: int) -> None:
            slot = await slots.acquire(BUSY)
            served.append(number)
            slots.release(slot, 0)

        await asyncio.gather(*map(visit, range(10)))

    run(scenario)

    assert served == list(range(10))


def test_a_line_at_one_host_does_not_hold_up_another_of_the_same_provider() -> None:
    async def scenario() -> None:
        slots = pacing(per_host=1, per_provider=2)
        await slots.acquire(BUSY)
        line = [await in_line(slots, BUSY) for _ in range(5)]

        await slots.acquire(BESIDE)

        for task in line:
            task.cancel()

    run(scenario)


def test_a_cancelled_request_keeps_no_slot() -> None:
    async def scenario() -> None:
        slots = pacing(per_host=1, total=1)
        slot = await slots.acquire(BUSY)
        impatient = [await in_line(slots, place) for place in PLACES]
        for task in impatient:
            task.cancel()
        await asyncio.gather(*impatient, return_exceptions=True)
        slots.release(slot, 0)

        for place in PLACES:
            slots.release(await slots.acquire(place), 0)

    run(scenario)


def test_a_slot_granted_as_its_request_is_cancelled_is_released() -> None:
    async def scenario() -> None:
        slots = pacing()
        slot = await slots.acquire(BUSY)
        leaving = await in_line(slots, BUSY)
        slots.release(slot, 0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)

        await slots.acquire(BUSY)

    run(scenario)


def test_a_session_with_many_recipients_is_paid_for_before_the_next() -> None:
    async def scenario() -> None:
        slots = pacing(per_host=5, pace=100)
        clock = asyncio.get_running_loop().time
        slots.release(await slots.acquire(BUSY), recipients=120)
        began = clock()

        await slots.acquire(ELSEWHERE)
        assert clock() - began < 0.1, "another provider has no such debt"
        await slots.acquire(BUSY)

        assert 0.19 < clock() - began < 1

    run(scenario)


def test_a_complaint_halves_the_connections_and_time_gives_them_back() -> None:
    now = [1000.0]

    async def scenario() -> None:
        slots = ProcessPacing(PacingLimits(4, 100, math.inf), 100, clock=lambda: now[0])
        held = [await slots.acquire(BUSY) for _ in range(4)]
        complaints = [await slots.slow_down(slot) for slot in held]
        assert complaints == [True] * 4, "all four were open together: it may be tried again"

        slots.release(held.pop(), 0)
        slots.release(held.pop(), 0)
        waiting = await in_line(slots, BUSY)
        assert not waiting.done(), "four complaints about the same connections halve once, to two"
        slots.release(held.pop(), 0)
        held.append(await waiting)

        now[0] += RECOVERY
        held += [await slots.acquire(BUSY) for _ in range(2)]

        assert len(held) == 4

    run(scenario)


def test_a_complaint_of_a_connection_opened_after_the_last_one_counts_anew() -> None:
    async def scenario() -> None:
        slots = pacing(per_host=4)
        await slots.slow_down(await slots.acquire(BUSY))
        second = await slots.acquire(BUSY)
        await slots.slow_down(second)

        assert not (await in_line(slots, BUSY)).done(), "4, 2, 1: two are open"

    run(scenario)


def test_an_old_connection_that_goes_on_complaining_counts_anew_after_a_while() -> None:
    now = [1000.0]

    async def scenario() -> None:
        slots = ProcessPacing(PacingLimits(4, 100, math.inf), 100, clock=lambda: now[0])
        slot = await slots.acquire(BUSY)
        await slots.slow_down(slot)
        now[0] += AGAIN_AFTER
        await slots.slow_down(slot)

        assert not (await in_line(slots, BUSY)).done(), "4, 2, 1: one is open"

    run(scenario)


def test_a_complaint_to_the_only_open_connection_is_not_about_their_number() -> None:
    async def scenario() -> None:
        slots = pacing(per_host=4)

        assert not await slots.slow_down(await slots.acquire(BUSY))

    run(scenario)


def test_divided_limits_hold_for_what_is_open_and_end_when_they_are_whole_again() -> None:
    async def scenario() -> None:
        slots = pacing(per_host=4)
        held = [await slots.acquire(BUSY) for _ in range(2)]
        slots.divide(4)
        slots.release(held.pop(), 0)
        waiting = await in_line(slots, BUSY)
        assert not waiting.done()

        slots.divide(1)

        await waiting

    run(scenario)
