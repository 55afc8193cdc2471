"""A time limit that can be paused: waiting for a slot does not count against a contact's limit."""

import asyncio
from types import TracebackType


class Stopwatch:
    """Counts down `left` seconds, but only inside `with stopwatch as deadline`.

    The deadline is a time of the event loop's clock. The code inside must keep to it itself: a timer for each `with`
    took a tenth of a session's processor time.
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
