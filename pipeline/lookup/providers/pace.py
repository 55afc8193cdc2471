"""The rate limit of a source: how many requests this process sends at once, and in a second."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class TooBusy(Exception):
    """Raised when a turn would come after more than `seconds`; `ours` says that our own limits are the cause."""

    def __init__(self, seconds: float, *, ours: bool) -> None:
        super().__init__(f"no turn within {seconds:.0f} s")
        self.seconds = seconds
        self.ours = ours


class Pace:
    """Gives turns, first come, first served."""

    def __init__(self, at_once: int, per_second: float) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._interval = 1 / per_second
        self._next = 0.0
        self._held_until = 0.0

    def hold(self, seconds: float) -> None:
        """Give no turns for so long: the source asked for it."""
        self._held_until = max(self._held_until, time.monotonic() + seconds)

    @asynccontextmanager
    async def turn(self, patience: float) -> AsyncGenerator[None, None]:
        """Wait for a turn, for up to `patience` seconds. Raises `TooBusy`."""
        self._refuse_if_held(patience)
        try:
            await asyncio.wait_for(self._places.acquire(), patience)
        except TimeoutError:
            raise TooBusy(patience, ours=True) from None
        try:
            self._refuse_if_held(patience)
            await asyncio.sleep(self._slot(patience))
            yield
        finally:
            self._places.release()

    def _refuse_if_held(self, patience: float) -> None:
        held = self._held_until - time.monotonic()
        if held > patience:
            raise TooBusy(held, ours=False)

    def _slot(self, patience: float) -> float:
        """Reserve the next slot; return the seconds until then."""
        now = time.monotonic()
        slot = max(now, self._next, self._held_until)
        if slot - now > patience:
            raise TooBusy(slot - now, ours=self._held_until - now <= patience)
        self._next = slot + self._interval
        return slot - now
