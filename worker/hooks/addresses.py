"""Connects a hook's host at an address that was checked, as for mail hosts: no other name look-up comes between.

A name that leads to a public address when it is checked, and to a private one when it is connected, gets nothing.
"""

from collections.abc import Iterable
from typing import Any

import httpcore

from pipeline.mail.dns.routes import Resolver
from pipeline.outcomes import Reason


class NotReachable(httpcore.ConnectError):
    """Raised when a host has no address that may be contacted. Its text is a phrase for the log."""


class CheckedConnections(httpcore.AsyncNetworkBackend):
    """Opens connections for an HTTP client. TLS is verified against the host's name, not its address."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._connections = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers."""
        failure: Exception | None = None
        for address in await self._addresses(host):
            try:
                return await self._connections.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        assert failure is not None  # noqa: S101 - there was an address
        raise failure

    async def _addresses(self, host: str) -> tuple[str, ...]:
        found, usable = await self._resolver.addresses_of_host(host.rstrip(".").lower())
        if usable:
            return usable
        if found.records:
            raise NotReachable("its address is not public")
        missing = found.problem is None or found.problem is Reason.NO_SUCH_DOMAIN
        raise NotReachable("its name has no address" if missing else "its name servers failed")

    async def sleep(self, seconds: float) -> None:
        await self._connections.sleep(seconds)
