"""A circuit breaker: stops requests to a source that keeps failing, and tests with one request whether it is back.

While *closed*, all requests are sent. After FAILURES failures in a row it is *open*, and none is sent for FIRST_PAUSE
seconds. Then it is *half-open*: one trial request is sent. Its success closes the breaker; its failure opens it again,
for twice as long.
"""

import time
from collections.abc import Callable

from pipeline.outcomes import Reason

FAILURES = 5
FIRST_PAUSE = 15.0
LONGEST_PAUSE = 600.0
"""Seconds."""


class CircuitBreaker:
    """The breaker of one source in this process; `reason` says why it is open."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.reason = Reason.PROVIDER_UNAVAILABLE
        self._clock = clock
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._open_until: float | None = None
        self._is_on_trial = False

    @property
    def is_open(self) -> bool:
        """Whether requests are stopped, a trial request excepted."""
        return self._open_until is not None

    @property
    def seconds(self) -> float:
        """How long it stays open at least."""
        return max(0.0, (self._open_until or 0.0) - self._clock())

    def enter(self) -> bool:
        """Whether a request may be sent now; if so, report how it went, or call `leave`."""
        if self._open_until is None:
            return True
        if self._is_on_trial or self.seconds > 0:
            return False
        self._is_on_trial = True
        return True

    def leave(self) -> None:
        """Report that no request was sent after all."""
        self._is_on_trial = False

    def succeeded(self) -> None:
        """Report that the source answered."""
        self._failures, self._pause = 0, FIRST_PAUSE
        self._open_until, self._is_on_trial = None, False

    def failed(self) -> None:
        """Report that the source gave no usable answer."""
        self._failures += 1
        self._is_on_trial = False
        if self._open_until is not None or self._failures >= FAILURES:
            self._open(self._pause, Reason.PROVIDER_UNAVAILABLE)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def shut(self, seconds: float, reason: Reason) -> None:
        """Open it at once, for so long: the source will not answer anybody."""
        self._is_on_trial = False
        self._open(seconds, reason)

    def _open(self, seconds: float, reason: Reason) -> None:
        self._open_until = self._clock() + seconds
        self.reason = reason
