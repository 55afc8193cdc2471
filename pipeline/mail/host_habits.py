"""What is remembered of mail hosts that offer more than they can do."""

import time
from collections.abc import Callable

from pipeline.mail.caching.ttl_cache import TtlCache

REMEMBERED = 3600.0
"""Seconds until a host is trusted again: somebody may have repaired it."""
HOSTS_REMEMBERED = 10_000


class HostHabits:
    """Remembers, by IP address, who fails at TLS and who loses pipelined commands."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._without_tls: TtlCache[str, bool] = TtlCache(HOSTS_REMEMBERED, clock)
        self._one_by_one: TtlCache[str, bool] = TtlCache(HOSTS_REMEMBERED, clock)

    def fails_at_tls(self, ip: str) -> bool:
        """Say whether a TLS handshake with this address failed lately."""
        return self._without_tls.get(ip) is not None

    def note_failure_at_tls(self, ip: str) -> None:
        """Have the next sessions with this address begin, and stay, in the clear."""
        self._without_tls.put(ip, True, REMEMBERED)  # noqa: FBT003 - a set with an end

    def loses_commands(self, ip: str) -> bool:
        """Say whether pipelined commands went unanswered at this address lately."""
        return self._one_by_one.get(ip) is not None

    def note_lost_command(self, ip: str) -> None:
        """Have the next sessions with this address wait for each reply."""
        self._one_by_one.put(ip, True, REMEMBERED)  # noqa: FBT003 - a set with an end
