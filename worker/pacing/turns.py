"""Waiting in a line that others leave: Redis tells whose turn it may be, and who hears nothing looks by themselves."""

import asyncio
import random

from redis import RedisError
from redis.asyncio import Redis

from worker.pacing.registry import TURNS

LOOK_AGAIN = 1.0
"""Seconds, on average, after which whoever waits looks again. It also keeps their place in the line."""
LISTEN_SECONDS = 30.0


class Turns:
    """The turns of one process's slots, by their ids."""

    def __init__(self, redis: Redis, process: str) -> None:
        self._redis = redis
        self._channel = f"{TURNS}{process}"
        self._waiting: dict[str, asyncio.Event] = {}
        self._listening: asyncio.Task[None] | None = None

    async def wait(self, slot_id: str, seconds: float) -> None:
        """Wait until it may be this slot's turn, or until it is time to look: after `seconds`, if not 0."""
        self._listen()
        called = self._waiting[slot_id] = asyncio.Event()
        try:
            async with asyncio.timeout(seconds or LOOK_AGAIN * random.uniform(0.75, 1.25)):  # noqa: S311 - no secret
                await called.wait()
        except TimeoutError:
            pass
        finally:
            del self._waiting[slot_id]

    def call_all(self) -> None:
        """Have everybody look."""
        for called in self._waiting.values():
            called.set()

    async def close(self) -> None:
        """Stop listening; whoever waits next listens again."""
        while self._listening is not None and not self._listening.done():
            self._listening.cancel()  # redis-py takes a cancellation for a timeout when both come together
            await asyncio.wait({self._listening}, timeout=0.1)

    def _listen(self) -> None:
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._hear_turns())

    async def _hear_turns(self) -> None:
        """Listen, until Redis hangs up: the next who waits listens again."""
        try:
            async with self._redis.pubsub() as channel:
                await channel.subscribe(self._channel)
                while True:
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=LISTEN_SECONDS)
                    if message and (called := self._waiting.get(message["data"])):
                        called.set()
        except RedisError:
            await asyncio.sleep(LOOK_AGAIN)
