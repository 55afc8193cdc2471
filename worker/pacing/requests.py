"""Batches the requests of one process's conversations: while one is in flight, the next ones are collected."""

import asyncio
from collections.abc import Callable, Sequence

from redis import RedisError

from pipeline.mail.pacing.slots import Place
from worker.pacing.registry import Ended, Granted, Queued, Registry, Wanted

AT_ONCE = 100
"""The most slots in one request: a script must not block Redis for more than a few milliseconds."""

_Pending = list[tuple[Wanted, "asyncio.Future[Granted | Queued]"]]


class Requests:
    """Sends the slots that a process acquires and releases, in order. Calls `failed` when a request to Redis fails."""

    def __init__(self, registry: Registry, failed: Callable[[RedisError], None]) -> None:
        self._registry = registry
        self._failed = failed
        self._wanted: _Pending = []
        self._ended: list[Ended] = []
        self._sending: asyncio.Task[None] | None = None

    async def acquire(self, wanted: Wanted) -> Granted | Queued:
        """Ask for a slot. Raises `redis.RedisError`."""
        answer: asyncio.Future[Granted | Queued] = asyncio.get_running_loop().create_future()
        self._wanted.append((wanted, answer))
        self._send()
        return await answer

    def release(self, slot_id: str, place: Place, recipients: int = 0) -> None:
        """Release a slot, or leave the queue for one. If the request fails, the lease expires instead."""
        self._ended.append(Ended(slot_id, place, recipients))
        self._send()

    async def flush(self) -> None:
        """Wait until all requests are sent."""
        if self._sending is not None:
            await asyncio.wait({self._sending})

    def _send(self) -> None:
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())

    async def _send_all(self) -> None:
        while self._ended or self._wanted:
            ended, self._ended = self._ended[:AT_ONCE], self._ended[AT_ONCE:]
            wanted, self._wanted = self._wanted[:AT_ONCE], self._wanted[AT_ONCE:]
            wanted = [pending for pending in wanted if not pending[1].cancelled()]
            try:
                if ended:
                    await self._registry.release(ended)
                if wanted:
                    _resolve(wanted, await self._registry.acquire([each for each, _ in wanted]))
            except RedisError as error:
                self._failed(error)
                self._ended.clear()
                wanted += self._wanted
                self._wanted = []
            finally:
                _fail(wanted)


def _resolve(wanted: _Pending, answers: Sequence[Granted | Queued]) -> None:
    for (_, future), answer in zip(wanted, answers, strict=True):
        if not future.cancelled():
            future.set_result(answer)


def _fail(wanted: _Pending) -> None:
    for _, future in wanted:
        if not future.done():
            future.set_exception(RedisError("The request to Redis failed."))
