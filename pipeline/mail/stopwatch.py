"""A time limit that runs only while it is told to: waiting for our own turn costs a record nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Stopwatch:
    """Counts down `left` seconds of work."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Count the time inside; raises TimeoutError there when none is left."""
        self.check()
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(self.left):
                yield
        finally:
            self.left -= loop.time() - started

    def check(self) -> None:
        """Raise TimeoutError if no time is left."""
        if self.left <= 0:
            raise TimeoutError
