"""An event loop whose clock only moves while everybody waits: a busy machine costs no time, and waiting is quick.

Client and servers must run in the loop together, so that whatever is on its way between them is seen.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

ON_ITS_WAY = 0.001
"""Real seconds in which what was sent on loopback has arrived."""


def run_on_idle_clock(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. The loop's `time` shows how many seconds it would have lasted."""
    with asyncio.Runner(loop_factory=_IdleClockLoop) as runner:
        return runner.run(work)


class _IdleClockLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._now

    def skip(self, seconds: float) -> None:
        self._now += seconds


class _Selector(selectors.DefaultSelector):
    """Ends a wait at once if nothing is on its way."""

    def __init__(self, loop: _IdleClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        events = super().select(ON_ITS_WAY)
        if not events:
            self._loop.skip(timeout)
        return events
