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
