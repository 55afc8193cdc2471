"""The replies of one connection: whoever waits for one waits no longer than they may."""

import asyncio
import time

import pytest

from pipeline.mail.reply_queue import ReplyQueue
from pipeline.mail.smtp_errors import ReplyTimeoutError


def test_bytes_that_arrive_as_the_time_is_over_prolong_it_for_nobody() -> None:
    async def drip() -> None:
        loop, queue = asyncio.get_running_loop(), ReplyQueue(seconds=0.05)
        waiting = asyncio.create_task(queue.next("EHLO"))
        await asyncio.sleep(0)
        # The loop finds the bytes and the end of the time in one and the same round.
        loop.call_soon(time.sleep, 0.1)
        loop.call_soon(loop.call_soon, queue.feed, b"25")
        await asyncio.wait_for(waiting, 5)

    with pytest.raises(ReplyTimeoutError):
        asyncio.run(drip())


def test_bytes_that_never_pause_prolong_it_for_nobody() -> None:
    async def flood() -> None:
        loop, queue = asyncio.get_running_loop(), ReplyQueue(seconds=0.05)

        def feed() -> None:
            queue.feed(b"2")
            loop.call_soon(feed)

        feed()
        await asyncio.wait_for(queue.next("EHLO"), 5)

    with pytest.raises(ReplyTimeoutError):
        asyncio.run(flood())


@pytest.mark.parametrize("earlier", [[], [60.0]], ids=["the first wait", "a wait after one that had more time"])
def test_all_waiting_ends_with_the_time_of_the_record(earlier: list[float]) -> None:
    async def wait() -> None:
        loop, queue = asyncio.get_running_loop(), ReplyQueue(seconds=60)
        for seconds in earlier:
            queue.until = loop.time() + seconds
            loop.call_soon(queue.feed, b"220 hello\r\n")
            await queue.next("its greeting")
        queue.until = loop.time() + 0.05
        await asyncio.wait_for(queue.next("EHLO"), 5)

    started = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(wait())
    assert time.monotonic() - started < 2
