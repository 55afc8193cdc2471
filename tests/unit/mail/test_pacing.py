"""Connection slots, hosts that are down, and a time limit that stands still while we wait for our turn."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mail.pacing import DOWN_FOR, FAILURES_UNTIL_DOWN, ConnectionSlots, HostHealth
from pipeline.mail.stopwatch import Stopwatch


@settings(max_examples=30)
@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 3), st.integers(1, 5))
def test_neither_limit_is_ever_exceeded_and_everybody_has_their_turn(ips: list[str], per_host: int, total: int) -> None:
    held: list[str] = []
    served: list[str] = []

    async def visit(slots: ConnectionSlots, ip: str) -> None:
        await slots.take(ip)
        held.append(ip)
        assert held.count(ip) <= per_host
        assert len(held) <= total
        await asyncio.sleep(0)
        held.remove(ip)
        served.append(ip)
        slots.give_back(ip)

    async def visit_all() -> None:
        slots = ConnectionSlots(per_host, total)
        await asyncio.gather(*(visit(slots, ip) for ip in ips))

    asyncio.run(visit_all())

    assert sorted(served) == sorted(ips)


def test_a_queue_at_one_host_takes_nothing_from_another() -> None:
    async def scenario() -> None:
        slots = ConnectionSlots(per_host=1, total=2)
        await slots.take("busy")
        queue = [asyncio.create_task(slots.take("busy")) for _ in range(5)]
        await asyncio.sleep(0)

        await asyncio.wait_for(slots.take("free"), timeout=1)

        for task in queue:
            task.cancel()

    asyncio.run(scenario())


def test_a_visitor_who_leaves_the_queue_takes_no_slot_with_them() -> None:
    async def scenario() -> None:
        slots = ConnectionSlots(per_host=1, total=1)
        await slots.take("a")
        impatient = [asyncio.create_task(slots.take(ip)) for ip in ("a", "b")]
        await asyncio.sleep(0)
        for task in impatient:
            task.cancel()
        await asyncio.gather(*impatient, return_exceptions=True)
        slots.give_back("a")

        await asyncio.wait_for(slots.take("b"), timeout=1)
        slots.give_back("b")

        await asyncio.wait_for(slots.take("a"), timeout=1)

    asyncio.run(scenario())


def test_a_host_is_down_after_failing_in_a_row_and_only_for_a_while() -> None:
    now = [0.0]
    health = HostHealth(clock=lambda: now[0])

    states = []
    for _ in range(FAILURES_UNTIL_DOWN):
        states.append(health.is_down("a"))
        health.failed("a")

    assert states == [False] * FAILURES_UNTIL_DOWN
    assert health.is_down("a")
    assert not health.is_down("b")
    now[0] += DOWN_FOR
    assert not health.is_down("a")


def test_an_answer_in_between_forgives_a_failure() -> None:
    health = HostHealth()
    health.failed("a")
    health.answered("a")
    health.failed("a")

    assert not health.is_down("a")


def test_the_stopwatch_runs_out_only_by_what_is_timed() -> None:
    async def scenario() -> None:
        stopwatch = Stopwatch(0.05)
        await asyncio.sleep(0.06)
        async with stopwatch.running():
            pass
        with pytest.raises(TimeoutError):
            async with stopwatch.running():
                await asyncio.sleep(5)
        with pytest.raises(TimeoutError):
            async with stopwatch.running():
                pytest.fail("there was no time left to begin")

    asyncio.run(scenario())
