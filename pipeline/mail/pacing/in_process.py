"""Pacing within one process: for the command, and while Redis cannot be reached."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.mail.pacing.aimd import AdaptiveLimit
from pipeline.mail.pacing.slots import PacingLimits, Place, Slot

LOOK_AGAIN = 1.0
"""Seconds after which the queue is checked even if no slot was released: limits recover with time."""
LIMITS_KEPT = 1000
"""Number of limits above which those in their initial state are dropped."""

_Limits = tuple[AdaptiveLimit, AdaptiveLimit]


@dataclass(slots=True, eq=False)
class _Turn:
    place: Place
    called: asyncio.Future[Slot]


class ProcessPacing:
    """Limits connections to each mail host, to each provider, and in all. Used from one event loop."""

    def __init__(self, limits: PacingLimits, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = self._in_force = limits
        self._total = total
        self._clock = clock
        self._held = 0
        self._hosts: dict[str, AdaptiveLimit] = {}
        self._providers: dict[str, AdaptiveLimit] = {}
        self._line: dict[_Turn, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, place: Place) -> Slot:
        """See `Pacing`. Waiting for one host delays nobody who waits for another."""
        if not self._line and self._held < self._total:
            limits, now = self._both(place), self._clock()
            if not _wait(limits, now):
                return self._grant(place, limits, now)
        turn = _Turn(place, asyncio.get_running_loop().create_future())
        self._line[turn] = None
        self._call()
        try:
            return await turn.called
        except asyncio.CancelledError:
            self._line.pop(turn, None)
            if turn.called.done() and not turn.called.cancelled():
                self.release(turn.called.result(), 0)
            raise

    def release(self, slot: Slot, recipients: int) -> None:
        """See `Pacing`."""
        now = self._clock()
        self._held -= 1
        for limit in self._both(slot.place):
            limit.held -= 1
            if recipients:
                limit.spend(recipients, now)
        self._call()

    async def slow_down(self, slot: Slot) -> bool:
        """See `Pacing`."""
        now = self._clock()
        others = slot.others
        for limit in self._both(slot.place):
            others = others or limit.held > 1 or slot.acquired_at <= limit.slowed_at
            limit.slow_down(now, slot.acquired_at)
        return others

    async def flush(self) -> None:
        """See `Pacing`. There is nothing to send."""

    async def close(self) -> None:
        """See `Pacing`."""
        if self._timer is not None:
            self._timer.cancel()

    def divide(self, processes: int) -> None:
        """Use one process's share of the limits from now on; with 1, all of them."""
        self._in_force = self._limits.divided_by(processes)
        for limits, (connections, per_second) in ((self._hosts, self._of_host), (self._providers, self._of_provider)):
            for limit in limits.values():
                limit.connections, limit.per_second = connections, per_second
        self._call()

    @property
    def _of_host(self) -> tuple[int, float]:
        return self._in_force.connections_per_host, self._in_force.recipients_per_second

    @property
    def _of_provider(self) -> tuple[int, float]:
        return self._in_force.connections_per_provider, self._in_force.recipients_per_second_per_provider

    def _both(self, place: Place) -> _Limits:
        return (
            self._hosts.get(place.ip) or self._new(self._hosts, place.ip, self._of_host),
            self._providers.get(place.provider) or self._new(self._providers, place.provider, self._of_provider),
        )

    def _new(self, limits: dict[str, AdaptiveLimit], name: str, configured: tuple[int, float]) -> AdaptiveLimit:
        if len(limits) >= LIMITS_KEPT:
            now = self._clock()
            for known in [known for known, limit in limits.items() if limit.is_fresh(now)]:
                del limits[known]
        limits[name] = AdaptiveLimit(*configured)
        return limits[name]

    def _call(self) -> None:
        """Grant slots to all whose turn it is, in the order in which they came."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now, look_again = self._clock(), LOOK_AGAIN
        full: set[Place] = set()
        for turn in tuple(self._line):
            if self._held >= self._total:
                break
            if turn.place in full or turn.called.done():
                continue
            limits = self._both(turn.place)
            if wait := _wait(limits, now):
                full.add(turn.place)
                look_again = min(look_again, wait)
            else:
                del self._line[turn]
                turn.called.set_result(self._grant(turn.place, limits, now))
        if self._line:
            self._timer = asyncio.get_running_loop().call_later(look_again, self._call)

    def _grant(self, place: Place, limits: _Limits, now: float) -> Slot:
        host, provider = limits
        slot = Slot(place, now, host.held > 0 or provider.held > 0)
        self._held += 1
        for limit in limits:
            limit.held += 1
            limit.spend(1, now)
        return slot


def _wait(limits: _Limits, now: float) -> float:
    host, provider = limits
    return max(host.wait(now), provider.wait(now))
