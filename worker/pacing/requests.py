"""Batches the requests of one process's conversations: while one is in flight, the next ones are collected."""

from collections.abc import Callable, Sequence
from typing import cast

from redis import RedisError

from pipeline.mail.caching.coalescer import Coalescer
from pipeline.mail.pacing.slots import Place
from worker.pacing.registry import Ended, Granted, Queued, Registry, Wanted

AT_ONCE = 100
"""The most slots in one request: a script must not block Redis for more than a few milliseconds."""


class Requests:
    """Sends the slots that a process acquires and releases, in order. Calls `failed` when a request to Redis fails."""

    def __init__(self, registry: Registry, failed: Callable[[RedisError], None]) -> None:
        self._registry = registry
        self._failed = failed
        # Once its conversation has given up, a request must not be sent any more: nobody would release the slot.
        self._requests: Coalescer[Wanted | Ended, Granted | Queued | None] = Coalescer(
            self._send, AT_ONCE, skip_cancelled=True
        )

    async def acquire(self, wanted: Wanted) -> Granted | Queued:
        """Ask for a slot. Raises `redis.RedisError`."""
        return cast("Granted | Queued", await self._requests.submit(wanted))

    def release(self, slot_id: str, place: Place, recipients: int = 0) -> None:
        """Release a slot, or leave the queue for one. If the request fails, the lease expires instead."""
        self._requests.post(Ended(slot_id, place, recipients))

    async def flush(self) -> None:
        """Wait until all requests are sent."""
        await self._requests.flush()

    async def _send(self, requests: Sequence[Wanted | Ended]) -> Sequence[Granted | Queued | None]:
        ended = [each for each in requests if isinstance(each, Ended)]
        wanted = [each for each in requests if isinstance(each, Wanted)]
        try:
            if ended:
                await self._registry.release(ended)
            answers = iter(await self._registry.acquire(wanted) if wanted else ())
        except RedisError as error:
            self._failed(error)
            self._requests.drop(error)
            raise
        return [next(answers) if isinstance(each, Wanted) else None for each in requests]
