"""Waiting in the queue for a slot: Redis announces whose turn it may be; whoever gets no message polls."""

import asyncio
import random

from redis import RedisError
from redis.asyncio import Redis

from worker.pacing.registry import TURNS

POLL_SECONDS = 1.0
"""The average interval at which a waiting slot polls. Polling also renews its place in the queue."""
LISTEN_SECONDS = 30.0


class Turns:
    """Wakes the waiting slots of one process, by their ids."""

    def __init__(self, redis: Redis, process: str) -> None:
        self._redis = redis
        self._channel = f"{TURNS}{process}"
        self._waiting: dict[str, asyncio.Event] = {}
        self._listening: asyncio.Task[None] | None = None

    async def wait(self, slot_id: str, seconds: float) -> None:
        """Wait until it may be this slot's turn, or until it is time to poll: after `seconds`, if not 0."""
        self._listen()
        turn = self._waiting[slot_id] = asyncio.Event()
        try:
            async with asyncio.timeout(seconds or POLL_SECONDS * random.uniform(0.75, 1.25)):  # noqa: S311 - no secret
                await turn.wait()
        except TimeoutError:
            pass
        finally:
            del self._waiting[slot_id]

    def wake_all(self) -> None:
        """Wake every waiting slot."""
        for turn in self._waiting.values():
            turn.set()

    async def close(self) -> None:
        """Stop listening. The next `wait` starts again."""
        while self._listening is not None and not self._listening.done():
            self._listening.cancel()  # redis-py mistakes a cancellation for a timeout when both come together
            await asyncio.wait({self._listening}, timeout=0.1)

    def _listen(self) -> None:
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._receive_turns())

    async def _receive_turns(self) -> None:
        """Listen until the connection is lost. The next `wait` starts again."""
        try:
            async with self._redis.pubsub() as channel:
                await channel.subscribe(self._channel)
                while True:
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=LISTEN_SECONDS)
                    if message and (turn := self._waiting.get(message["data"])):
                        turn.set()
        except RedisError:
            await asyncio.sleep(POLL_SECONDS)
