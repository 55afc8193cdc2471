"""The limits of one mail host or provider: halved when it complains, and slowly restored.

Additive increase and multiplicative decrease, as in TCP congestion control (RFC 5681), of one number: the share of the
configured limits that is used. The rate is limited by a token bucket that may be overdrawn: the probes of a session are
paid for when it ends, and the next session waits until the debt is paid. So no probe waits for the bucket, and the
average rate holds.

Times are in seconds of any one clock. The scripts of `worker.pacing` do the same arithmetic in Redis.
"""

import math
from dataclasses import dataclass, field

HALVING = 0.5
SMALLEST_SHARE = 1 / 64
RECOVERY = 600.0
"""Seconds in which a share of zero would be restored to the whole."""
AGAIN_AFTER = 5.0
"""Seconds after a complaint in which another one counts only if its connection was opened after the first: the others
complain about what has been dealt with."""


@dataclass(slots=True)
class AdaptiveLimit:
    """The state of one limit: what is configured, what is in use, and what was learned from complaints."""

    connections: int
    per_second: float
    held: int = 0
    share: float = 1.0
    slowed_at: float = 0.0
    counted_at: float = 0.0
    tokens: float = field(default=math.inf)

    def wait(self, now: float) -> float:
        """Seconds until another connection may be opened if none is closed before; 0 if at once."""
        if self.held >= self.width(now):
            return math.inf
        missing = 1 - self.tokens_at(now)
        return missing / (self.per_second * self.share_at(now)) if missing > 0 else 0.0

    def width(self, now: float) -> int:
        """The number of connections allowed at the same time, at least one."""
        return max(1, int(self.connections * self.share_at(now)))

    def share_at(self, now: float) -> float:
        return min(1.0, self.share + max(0.0, now - self.slowed_at) / RECOVERY)

    def tokens_at(self, now: float) -> float:
        """Connections and probes that are allowed without waiting; a negative number is a debt."""
        if self.per_second == math.inf:
            return math.inf
        earned = max(0.0, now - self.counted_at) * self.per_second * self.share_at(now)
        return min(max(1.0, self.per_second), self.tokens + earned)

    def spend(self, tokens: int, now: float) -> None:
        """Pay for a connection, or for probes."""
        self.tokens = self.tokens_at(now) - tokens
        self.counted_at = now

    def slow_down(self, now: float, acquired_at: float) -> None:
        """Halve, unless a connection taken at that time complains about what has been dealt with."""
        if acquired_at <= self.slowed_at and now < self.slowed_at + AGAIN_AFTER:
            return
        self.spend(0, now)
        self.share = max(SMALLEST_SHARE, self.share_at(now) * HALVING)
        self.slowed_at = now

    def is_fresh(self, now: float) -> bool:
        """Whether the state is that of a new limit."""
        return not self.held and self.share_at(now) == 1.0 and self.tokens_at(now) >= self.per_second
