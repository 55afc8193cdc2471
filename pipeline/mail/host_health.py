"""Leaving alone a mail host that is down."""

import time
from collections.abc import Callable

from pipeline.mail.caching.ttl_cache import TtlCache

FAILURES_UNTIL_DOWN = 2
DOWN_FOR = 30.0
"""Seconds that a host is left alone after failing FAILURES_UNTIL_DOWN times in a row."""
HOSTS_REMEMBERED = 10_000


class HostHealth:
    """Remembers hosts that did not answer, so that not every domain on them waits for the same silence.

    A host that answers the greeting, and no question after it, is as good as down.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures: TtlCache[str, int] = TtlCache(HOSTS_REMEMBERED, clock)
        self._stalls: TtlCache[str, int] = TtlCache(HOSTS_REMEMBERED, clock)

    def is_down(self, ip: str) -> bool:
        """Say whether asking this address now is a waste of time."""
        return max(self._failures.get(ip) or 0, self._stalls.get(ip) or 0) >= FAILURES_UNTIL_DOWN

    def failed(self, ip: str) -> None:
        """Note that the address could not be reached, or said nothing."""
        self._failures.put(ip, (self._failures.get(ip) or 0) + 1, DOWN_FOR)

    def stalled(self, ip: str) -> None:
        """Note that the address answered none of a conversation's questions within its time."""
        self._stalls.put(ip, (self._stalls.get(ip) or 0) + 1, DOWN_FOR)

    def told(self, ip: str) -> None:
        """Note that the address answered a question."""
        self._stalls.discard(ip)

    def answered(self, ip: str) -> None:
        """Note that the address is alive."""
        self._failures.discard(ip)
