"""A time limit that runs only while it is told to: waiting for our own turn costs a contact nothing."""

import asyncio
from types import TracebackType


class Stopwatch:
    """Counts down `left` seconds of work, inside `with stopwatch as deadline`.

    The deadline is the event loop's time at which nothing will be left. Whoever waits inside keeps to it with the one
    timer that waiting has anyway: a timer per `with` took a tenth of a session's processor time.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self._started = 0.0

    def __enter__(self) -> float:
        self.check()
        self._started = asyncio.get_running_loop().time()
        return self._started + self.left

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left -= asyncio.get_running_loop().time() - self._started

    def check(self) -> None:
        """Raise TimeoutError if no time is left."""
        if self.left <= 0:
            raise TimeoutError
