"""Joins what a process's conversations want of the registry at the same time into one request after the other."""

import asyncio
from collections.abc import Callable, Sequence

from redis import RedisError

from pipeline.mail.pacing.slots import Place
from worker.pacing.registry import Ended, Granted, InLine, Registry, Wanted

AT_ONCE = 100
"""Slots in one request, so that Redis is never held up for more than a few milliseconds."""


_Asked = list[tuple[Wanted, "asyncio.Future[Granted | InLine]"]]


class Requests:
    """Sends takes and give-backs of one process, in their order. `failed` is called when Redis can't be asked."""

    def __init__(self, registry: Registry, failed: Callable[[RedisError], None]) -> None:
        self._registry = registry
        self._failed = failed
        self._wanted: _Asked = []
        self._ended: list[Ended] = []
        self._sending: asyncio.Task[None] | None = None

    async def take(self, wanted: Wanted) -> Granted | InLine:
        """Ask for a slot. Raises `redis.RedisError`."""
        answer: asyncio.Future[Granted | InLine] = asyncio.get_running_loop().create_future()
        self._wanted.append((wanted, answer))
        self._send()
        return await answer

    def give_back(self, slot_id: str, place: Place, recipients: int = 0) -> None:
        """Have a slot given back, or its place in the line; if Redis can't be asked, its lease runs out instead."""
        self._ended.append(Ended(slot_id, place, recipients))
        self._send()

    async def settle(self) -> None:
        """Wait until all is sent."""
        if self._sending is not None:
            await asyncio.wait({self._sending})

    def _send(self) -> None:
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())

    async def _send_all(self) -> None:
        while self._ended or self._wanted:
            ended, self._ended = self._ended[:AT_ONCE], self._ended[AT_ONCE:]
            wanted, self._wanted = self._wanted[:AT_ONCE], self._wanted[AT_ONCE:]
            wanted = [asked for asked in wanted if not asked[1].cancelled()]
            try:
                if ended:
                    await self._registry.give_back(ended)
                if wanted:
                    _tell(wanted, await self._registry.take([each for each, _ in wanted]))
            except RedisError as error:
                self._failed(error)
                self._ended.clear()
                wanted += self._wanted
                self._wanted = []
            finally:
                _tell_that_it_failed(wanted)


def _tell(wanted: _Asked, answers: Sequence[Granted | InLine]) -> None:
    for (_, future), answer in zip(wanted, answers, strict=True):
        if not future.cancelled():
            future.set_result(answer)


def _tell_that_it_failed(wanted: _Asked) -> None:
    for _, future in wanted:
        if not future.done():
            future.set_exception(RedisError("Redis could not be asked."))
