"""Hosts that are down, and a time limit that excludes the wait for a slot."""

import asyncio

import pytest

from pipeline.mail.host_state import DOWN_FOR, FAILURES_UNTIL_DOWN, HostState
from pipeline.mail.stopwatch import Stopwatch


def test_a_host_is_down_after_failing_in_a_row_and_only_for_a_while() -> None:
    now = [0.0]
    hosts = HostState(clock=lambda: now[0])

    states = []
    for _ in range(FAILURES_UNTIL_DOWN):
        states.append(hosts.is_down("a"))
        hosts.note_failure("a")

    assert states == [False] * FAILURES_UNTIL_DOWN
    assert hosts.is_down("a")
    assert not hosts.is_down("b")
    now[0] += DOWN_FOR
    assert not hosts.is_down("a")


def test_an_answer_in_between_forgives_a_failure() -> None:
    hosts = HostState()
    hosts.note_failure("a")
    hosts.note_greeting("a")
    hosts.note_failure("a")

    assert not hosts.is_down("a")


def test_the_stopwatch_runs_out_only_by_what_is_timed() -> None:
    async def scenario() -> None:
        stopwatch = Stopwatch(0.05)
        await asyncio.sleep(0.06)
        with stopwatch as deadline:
            await asyncio.sleep(0.06)
            assert deadline < asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError), stopwatch:
            pytest.fail("there was no time left to begin")

    asyncio.run(scenario())
