"""Politeness towards mail hosts: how many connections at once, and leaving alone a host that is down."""

import asyncio
import time
from collections.abc import Callable

from pipeline.mail.ttl_cache import TtlCache

FAILURES_UNTIL_DOWN = 2
DOWN_FOR = 30.0
"""Seconds that a host is left alone after failing FAILURES_UNTIL_DOWN times in a row."""
HOSTS_REMEMBERED = 10_000


class ConnectionSlots:
    """Limits connections at once, to each IP address and in all."""

    def __init__(self, per_host: int, total: int) -> None:
        self._per_host = per_host
        self._total = asyncio.Semaphore(total)
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._users: dict[str, int] = {}

    async def take(self, ip: str) -> None:
        """Wait for a slot at this address, first come, first served; `give_back` must follow.

        The host's own limit is waited for first, so that a queue at one host takes nothing from the others.
        """
        host = self._hosts.setdefault(ip, asyncio.Semaphore(self._per_host))
        self._users[ip] = self._users.get(ip, 0) + 1
        try:
            await host.acquire()
        except BaseException:
            self._leave(ip)
            raise
        try:
            await self._total.acquire()
        except BaseException:
            host.release()
            self._leave(ip)
            raise

    def give_back(self, ip: str) -> None:
        """Let somebody else connect."""
        self._total.release()
        self._hosts[ip].release()
        self._leave(ip)

    def _leave(self, ip: str) -> None:
        self._users[ip] -= 1
        if not self._users[ip]:
            del self._users[ip], self._hosts[ip]


class HostHealth:
    """Remembers hosts that did not answer, so that not every domain on them waits for the same silence."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures: TtlCache[str, int] = TtlCache(HOSTS_REMEMBERED, clock)

    def is_down(self, ip: str) -> bool:
        """Say whether asking this address now is a waste of time."""
        return (self._failures.get(ip) or 0) >= FAILURES_UNTIL_DOWN

    def failed(self, ip: str) -> None:
        """Note that the address could not be reached, or said nothing."""
        self._failures.put(ip, (self._failures.get(ip) or 0) + 1, DOWN_FOR)

    def answered(self, ip: str) -> None:
        """Note that the address is alive."""
        self._failures.discard(ip)
