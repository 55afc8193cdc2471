"""A circuit breaker: leaves a source alone that fails again and again, and tries carefully whether it is back.

*Closed*: everybody may ask. After FAILURES failures in a row it is *open*: nobody may, for FIRST_PAUSE seconds. Then
it is *half-open*: one probe may ask; its success closes the breaker, its failure opens it for twice as long.
"""

import time
from collections.abc import Callable

from pipeline.outcomes import Reason

FAILURES = 5
FIRST_PAUSE = 15.0
LONGEST_PAUSE = 600.0
"""Seconds."""


class CircuitBreaker:
    """The state of one source's breaker, as this process sees it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.reason = Reason.PROVIDER_UNAVAILABLE
        """Why it is open, if it is."""
        self._clock = clock
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._open_until: float | None = None
        self._is_probed = False

    @property
    def is_open(self) -> bool:
        """Whether asking is pointless now, but for a probe whose time has come."""
        return self._open_until is not None

    @property
    def seconds(self) -> float:
        """How long it certainly stays open."""
        return max(0.0, (self._open_until or 0.0) - self._clock())

    def enter(self) -> bool:
        """Say whether one may ask now; who may must tell how it went, or `leave`."""
        if self._open_until is None:
            return True
        if self._is_probed or self.seconds > 0:
            return False
        self._is_probed = True
        return True

    def leave(self) -> None:
        """Nothing was asked after all."""
        self._is_probed = False

    def succeeded(self) -> None:
        """The source answered as it should."""
        self._failures, self._pause = 0, FIRST_PAUSE
        self._open_until, self._is_probed = None, False

    def failed(self) -> None:
        """The source did not answer, or not usably."""
        self._failures += 1
        self._is_probed = False
        if self._open_until is not None or self._failures >= FAILURES:
            self._open(self._pause, Reason.PROVIDER_UNAVAILABLE)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def shut(self, seconds: float, reason: Reason) -> None:
        """Open it at once: the source will not answer anybody for a while."""
        self._is_probed = False
        self._open(seconds, reason)

    def _open(self, seconds: float, reason: Reason) -> None:
        self._open_until = self._clock() + seconds
        self.reason = reason
