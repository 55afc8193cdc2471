"""The pacing that all worker processes keep together, in Redis; while it is away, each keeps to its share."""

import asyncio
import logging
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from weakref import WeakValueDictionary

from redis import RedisError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from pipeline.mail.pacing.in_process import ProcessPacing
from pipeline.mail.pacing.slots import PacingLimits, Place, Slot
from worker.pacing.registry import Granted, Registry, Wanted
from worker.pacing.requests import Requests
from worker.pacing.turns import Turns

RENEW_SECONDS = 1.0
TIMEOUT_SECONDS = 1.0
"""The longest that a slot waits for Redis, until it is taken for away."""
PROCESSES_ASSUMED = 4
"""Processes among which the limits are divided while Redis is away, if it never told how many there are."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Held:
    """A connection: its slot within the process, and its id in Redis."""

    within: Slot
    id: str


class SharedPacing:
    """See `pipeline.mail.pacing.slots.Pacing`. Made outside any event loop, used in one.

    A slot is first had within the process, where the limits are the same: that orders a process's own conversations,
    and is what is left when Redis is away (`is_away`). Then one conversation at a time for each place stands in the
    line of all processes: so lines are short, and a process with a single contact comes up soon between those with
    thousands. `processes` are those at work, as Redis told last.
    """

    def __init__(self, redis_url: str, limits: PacingLimits, total: int) -> None:
        self._redis = Redis.from_url(
            redis_url,
            decode_responses=True,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # A connection that the server has closed meanwhile is opened again; scripts may run twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._process = uuid.uuid4().hex
        self._numbers = count()
        self._within = ProcessPacing(limits, total)
        self._registry = Registry(self._redis, limits)
        self._requests = Requests(self._registry, self._went_away)
        self._turns = Turns(self._redis, self._process)
        self._held: dict[Slot, _Held] = {}
        self._lines: WeakValueDictionary[Place, asyncio.Lock] = WeakValueDictionary()
        self.processes = PROCESSES_ASSUMED
        self.is_away = False
        self._resting = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, place: Place) -> Slot:
        """See `Pacing`."""
        self._keep_renewing()
        while True:
            within = await self._within.take(place)
            held = _Held(within, f"{self._process}-{next(self._numbers):09}")
            if self.is_away:
                slot = Slot(place, 0.0, within.others)
                break
            try:
                granted = await self._take_among_all(held.id, place)
            except BaseException:
                self._within.give_back(within, 0)
                raise
            if granted is not None:
                slot = Slot(place, granted.taken_at, granted.others)
                break
            self._within.give_back(within, 0)
        self._held[slot] = held
        return slot

    def give_back(self, slot: Slot, recipients: int) -> None:
        """See `Pacing`."""
        held = self._held.pop(slot)
        self._within.give_back(held.within, recipients)
        if not self.is_away:
            self._requests.give_back(held.id, slot.place, recipients)

    async def slow_down(self, slot: Slot) -> bool:
        """See `Pacing`."""
        held = self._held.get(slot)
        others = await self._within.slow_down(held.within) if held else False
        if self.is_away:
            return others
        try:
            # Who was there when the slot was taken may have left since: a refusal takes its time to be heard.
            return await self._registry.slow_down(slot.place, slot.taken_at) or slot.others
        except RedisError as error:
            self._went_away(error)
            return others

    async def settle(self) -> None:
        """See `Pacing`. What would be in flight while the event loop stands still would time out afterwards."""
        await self._requests.settle()
        self._resting.set()
        if self._renewing is not None:
            await asyncio.wait({self._renewing})
        await self._turns.close()

    async def close(self) -> None:
        """See `Pacing`."""
        await self.settle()
        await self._within.close()
        await self._redis.aclose()

    async def _take_among_all(self, slot_id: str, place: Place) -> Granted | None:
        """Wait in the line of all processes; none when Redis goes away."""
        ticket = ""
        async with self._lines.setdefault(place, asyncio.Lock()):
            try:
                while not self.is_away:
                    answer = await self._requests.take(Wanted(slot_id, place, ticket))
                    if isinstance(answer, Granted):
                        return answer
                    ticket = answer.ticket
                    await self._turns.wait(slot_id, answer.seconds)
            except RedisError:
                return None
            except asyncio.CancelledError:
                # It may have been granted without our hearing of it.
                self._requests.give_back(slot_id, place)
                raise
        return None

    def _keep_renewing(self) -> None:
        if self._renewing is None or self._renewing.done():
            self._resting.clear()
            self._renewing = asyncio.create_task(self._renew_until_rest())

    async def _renew_until_rest(self) -> None:
        while not self._resting.is_set():
            held = {each.id: slot.place for slot, each in self._held.items()}
            try:
                self.processes = await self._registry.renew(self._process, held)
            except RedisError as error:
                self._went_away(error)
            else:
                self._came_back()
                self._give_back_anew(held)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._resting.wait(), RENEW_SECONDS)

    def _give_back_anew(self, renewed: Mapping[str, Place]) -> None:
        """What was given back while it was renewed may have been renewed last."""
        still_held = {each.id for each in self._held.values()}
        for slot_id in renewed.keys() - still_held:
            self._requests.give_back(slot_id, renewed[slot_id])

    def _went_away(self, error: RedisError) -> None:
        if self.is_away:
            return
        log.warning("Redis can't be asked (%s): limits on connections are divided by processes", type(error).__name__)
        self.is_away = True
        self._within.divide(self.processes)
        self._turns.call_all()

    def _came_back(self) -> None:
        if not self.is_away:
            return
        log.warning("Redis can be asked again: limits on connections are those of all processes together")
        self.is_away = False
        self._within.divide(1)
