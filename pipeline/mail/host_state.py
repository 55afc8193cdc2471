"""What a process remembers of mail hosts, by IP address: which are down, and what they offer but cannot do."""

import time
from collections.abc import Callable

from pipeline.mail.caching.ttl_cache import TtlCache

FAILURES_UNTIL_DOWN = 2
DOWN_FOR = 30.0
"""Seconds for which a host is not contacted after FAILURES_UNTIL_DOWN failures in a row."""
DEFECT_REMEMBERED = 3600.0
"""Seconds until a host is trusted again with TLS or pipelining: somebody may have repaired it."""
HOSTS_REMEMBERED = 10_000


class HostState:
    """Remembers failing hosts, so that not every domain on a host waits for the same timeout.

    A host that sends its greeting and then answers no probe counts as down, too.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures: TtlCache[str, int] = TtlCache(HOSTS_REMEMBERED, clock)
        self._stalls: TtlCache[str, int] = TtlCache(HOSTS_REMEMBERED, clock)
        self._tls_broken: TtlCache[str, bool] = TtlCache(HOSTS_REMEMBERED, clock)
        self._pipelining_broken: TtlCache[str, bool] = TtlCache(HOSTS_REMEMBERED, clock)

    def is_down(self, ip: str) -> bool:
        return max(self._failures.get(ip) or 0, self._stalls.get(ip) or 0) >= FAILURES_UNTIL_DOWN

    def note_failure(self, ip: str) -> None:
        """Note that the host could not be reached, or did not send its greeting."""
        self._failures.put(ip, (self._failures.get(ip) or 0) + 1, DOWN_FOR)

    def note_greeting(self, ip: str) -> None:
        """Note that a session began: earlier failures no longer count."""
        self._failures.discard(ip)

    def note_stall(self, ip: str) -> None:
        """Note that the host answered none of a batch of probes in time."""
        self._stalls.put(ip, (self._stalls.get(ip) or 0) + 1, DOWN_FOR)

    def note_answer(self, ip: str) -> None:
        """Note that the host answered a probe: earlier stalls no longer count."""
        self._stalls.discard(ip)

    def is_tls_broken(self, ip: str) -> bool:
        return self._tls_broken.get(ip) is not None

    def note_tls_failure(self, ip: str) -> None:
        """Have the next sessions with this host stay unencrypted."""
        self._tls_broken.put(ip, True, DEFECT_REMEMBERED)  # noqa: FBT003 - the cache serves as a set

    def is_pipelining_broken(self, ip: str) -> bool:
        return self._pipelining_broken.get(ip) is not None

    def note_lost_command(self, ip: str) -> None:
        """Have the next sessions with this host wait for each reply before the next command."""
        self._pipelining_broken.put(ip, True, DEFECT_REMEMBERED)  # noqa: FBT003 - the cache serves as a set
