"""Pacing shared by all worker processes, in Redis. While Redis is unavailable, each process keeps to its share."""

import asyncio
import logging
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from weakref import WeakValueDictionary

from redis import RedisError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from models.redis_server import open_async_redis
from pipeline.mail.pacing.in_process import ProcessPacing
from pipeline.mail.pacing.slots import PacingLimits, Place, Slot
from worker.pacing.registry import Granted, Registry, Wanted
from worker.pacing.requests import Requests
from worker.pacing.turns import Turns

RENEW_SECONDS = 1.0
TIMEOUT_SECONDS = 1.0
"""How long a request waits for Redis before Redis counts as unavailable."""
PROCESSES_ASSUMED = 4
"""The number of processes that share the limits while Redis is unavailable, if it never reported one."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Held:
    """An open connection: its slot within the process, and its id in Redis."""

    within: Slot
    id: str


class SharedPacing:
    """Implements `pipeline.mail.pacing.slots.Pacing`. Created outside any event loop, used in one.

    A conversation first acquires a slot within its process, under the same limits. That orders the process's own
    conversations, and it is all that is left while Redis is unavailable (`is_away`). Then one conversation a place and
    process joins the queue of all processes. So queues stay short, and a process with a single contact gets its turn
    soon, between processes with thousands. `processes` is the number of processes that Redis reported last.
    """

    def __init__(self, redis_url: str, limits: PacingLimits, total: int) -> None:
        self._redis = open_async_redis(
            redis_url,
            decode_responses=True,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # A connection that the server closed in the meantime is opened again. Running a script twice is harmless.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._process = uuid.uuid4().hex
        self._numbers = count()
        self._within = ProcessPacing(limits, total)
        self._registry = Registry(self._redis, limits)
        self._requests = Requests(self._registry, self._went_away)
        self._turns = Turns(self._redis, self._process)
        self._held: dict[Slot, _Held] = {}
        self._queues: WeakValueDictionary[Place, asyncio.Lock] = WeakValueDictionary()
        self.processes = PROCESSES_ASSUMED
        self.is_away = False
        self._pausing = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None

    async def acquire(self, place: Place) -> Slot:
        self._keep_renewing()
        while True:
            within = await self._within.acquire(place)
            held = _Held(within, f"{self._process}-{next(self._numbers):09}")
            if self.is_away:
                slot = Slot(place, 0.0, within.others)
                break
            try:
                granted = await self._acquire_among_all(held.id, place)
            except BaseException:
                self._within.release(within, 0)
                raise
            if granted is not None:
                slot = Slot(place, granted.acquired_at, granted.others)
                break
            self._within.release(within, 0)
        self._held[slot] = held
        return slot

    def release(self, slot: Slot, recipients: int) -> None:
        held = self._held.pop(slot)
        self._within.release(held.within, recipients)
        if not self.is_away:
            self._requests.release(held.id, slot.place, recipients)

    async def slow_down(self, slot: Slot) -> bool:
        held = self._held.get(slot)
        others = await self._within.slow_down(held.within) if held else False
        if self.is_away:
            return others
        try:
            # Connections that were open when the slot was acquired may be closed by now: a refusal arrives late.
            return await self._registry.slow_down(slot.place, slot.acquired_at) or slot.others
        except RedisError as error:
            self._went_away(error)
            return others

    async def flush(self) -> None:
        """See `Pacing`. A request in flight while the event loop does not run would time out afterwards."""
        await self._requests.flush()
        self._pausing.set()
        if self._renewing is not None:
            await asyncio.wait({self._renewing})
        await self._turns.close()

    async def close(self) -> None:
        await self.flush()
        await self._within.close()
        await self._redis.aclose()

    async def _acquire_among_all(self, slot_id: str, place: Place) -> Granted | None:
        """Wait in the queue of all processes; none when Redis becomes unavailable."""
        ticket = ""
        async with self._queues.setdefault(place, asyncio.Lock()):
            try:
                while not self.is_away:
                    answer = await self._requests.acquire(Wanted(slot_id, place, ticket))
                    if isinstance(answer, Granted):
                        return answer
                    ticket = answer.ticket
                    await self._turns.wait(slot_id, answer.seconds)
            except RedisError:
                return None
            except asyncio.CancelledError:
                # Redis may have granted the slot although the answer never arrived.
                self._requests.release(slot_id, place)
                raise
        return None

    def _keep_renewing(self) -> None:
        if self._renewing is None or self._renewing.done():
            self._pausing.clear()
            self._renewing = asyncio.create_task(self._renew_until_pause())

    async def _renew_until_pause(self) -> None:
        while not self._pausing.is_set():
            held = {each.id: slot.place for slot, each in self._held.items()}
            try:
                self.processes = await self._registry.renew(self._process, held)
            except RedisError as error:
                self._went_away(error)
            else:
                self._came_back()
                self._release_again(held)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._pausing.wait(), RENEW_SECONDS)

    def _release_again(self, renewed: Mapping[str, Place]) -> None:
        """A slot that was released during a renewal may have been renewed after its release."""
        still_held = {each.id for each in self._held.values()}
        for slot_id in renewed.keys() - still_held:
            self._requests.release(slot_id, renewed[slot_id])

    def _went_away(self, error: RedisError) -> None:
        if self.is_away:
            return
        log.warning(
            "Redis is unavailable (%s): each process keeps to its share of the connection limits", type(error).__name__
        )
        self.is_away = True
        self._within.divide(self.processes)
        self._turns.wake_all()

    def _came_back(self) -> None:
        if not self.is_away:
            return
        log.warning("Redis is available again: all processes share the connection limits")
        self.is_away = False
        self._within.divide(1)
