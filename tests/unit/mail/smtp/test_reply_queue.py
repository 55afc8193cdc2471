"""The replies of one connection: no wait for one exceeds its time."""

import asyncio
import time

import pytest

from pipeline.mail.smtp.errors import MalformedReplyError, ReplyTimeoutError
from pipeline.mail.smtp.reply_queue import MAX_BYTES, ReplyQueue


def test_bytes_that_arrive_as_the_time_is_over_do_not_prolong_it() -> None:
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


def test_bytes_that_never_pause_do_not_prolong_the_time() -> None:
    async def flood() -> None:
        loop, queue = asyncio.get_running_loop(), ReplyQueue(seconds=0.05)

        def feed() -> None:
            queue.feed(b"2")
            loop.call_soon(feed)

        feed()
        await asyncio.wait_for(queue.next("EHLO"), 5)

    with pytest.raises(ReplyTimeoutError):
        asyncio.run(flood())


def test_bytes_without_end_are_read_for_no_longer_than_a_bound() -> None:
    async def flood() -> None:
        queue = ReplyQueue(seconds=60)
        for _ in range(MAX_BYTES // 65536):
            queue.feed(b"\r\n" * 32768)
        with pytest.raises(MalformedReplyError):
            queue.feed(b"2")
        assert isinstance(queue.failure, MalformedReplyError)

    asyncio.run(flood())


def test_replies_that_are_read_make_room_for_others() -> None:
    async def converse() -> None:
        queue = ReplyQueue(seconds=60)
        for _ in range(20):
            queue.feed(b"550 " + b"x" * (MAX_BYTES // 2) + b"\r\n")
            assert (await queue.next("RCPT")).code == 550

    asyncio.run(converse())


@pytest.mark.parametrize("earlier", [[], [60.0]], ids=["the first wait", "a wait after one that had more time"])
def test_all_waiting_ends_with_the_time_of_the_contact(earlier: list[float]) -> None:
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
