"""A time limit that runs only while it is told to: waiting for our own turn costs a record nothing."""

import asyncio
from types import TracebackType


class Stopwatch:
    """Counts down `left` seconds of work."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def running(self) -> "_Running":
        """Count the time inside `async with`; raises TimeoutError there when none is left."""
        return _Running(self)

    def check(self) -> None:
        """Raise TimeoutError if no time is left."""
        if self.left <= 0:
            raise TimeoutError


class _Running:
    """Entered a few times in each conversation: a generator made into a context would cost more than it does."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self._timeout = asyncio.timeout(stopwatch.left)
        self._started = 0.0

    async def __aenter__(self) -> None:
        self._stopwatch.check()
        self._started = asyncio.get_running_loop().time()
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopwatch.left -= asyncio.get_running_loop().time() - self._started
        await self._timeout.__aexit__(kind, error, trace)
